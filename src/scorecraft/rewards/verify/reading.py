"""Understands a tidied answer: a number, an expression, words, several values, an interval, an equation, a matrix."""

from __future__ import annotations

import re
from functools import lru_cache

from scorecraft.rewards.verify.nodes import Node
from scorecraft.rewards.verify.parsing import parse
from scorecraft.rewards.verify.quantity import read_quantity
from scorecraft.rewards.verify.readings import (
    Collection,
    Matrix,
    Ratio,
    Reading,
    Relation,
    Term,
    Union,
    Unknown,
    Words,
)
from scorecraft.rewards.verify.splitting import depths, split, split_list
from scorecraft.rewards.verify.verification import Undecided, Unreadable
from scorecraft.rewards.verify.words import in_a_sentence, in_everyday_words, in_words

MOST_ITEMS = 100
_RATIO = re.compile(r"([0-9]{1,9}) ?: ?([0-9]{1,9})(?: ?([ap])\.? ?m\.?)?", re.IGNORECASE)
_SIGNS = {"=": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", r"\le": "<=", r"\ge": ">=", r"\lt": "<", r"\gt": ">",
          r"\in": "in", r"\ne": "!=", "!=": "!="}  # fmt: skip
_SIGN = re.compile(r"<=|>=|!=|\\(?:le|ge|lt|gt|in|ne)(?![a-z])|[=<>]")
_UNION = re.compile(r"\\cup(?![a-z])|(?<=[\])]) ?U ?(?=[\[(])")
_PLUS_MINUS = re.compile(r"\\pm(?![a-z])|\+ ?/ ?-|\+-")
_MATRIX = re.compile(r"\\begin\{([pbvBV]?)matrix\}(.*?)\\end\{\1matrix\}")
_ROW = re.compile(r"\\\\(?:\[[^\]]*\])?")
_APPROXIMATELY = re.compile(r"(?:\\approx|\\sim|\\therefore|=|approximately|about)(?![a-z]) ?(?=\S)")
_TEXT_TAIL = re.compile(r"(?<=\S) ?\\text ?\{ ?([A-Za-z. ]+?) ?\}(?: ?\^ ?\{?([23])\}?)?")


@lru_cache(maxsize=8192)
def read(text: str) -> Reading:
    """Return what a tidied answer says; `Unknown` where it cannot be told here.

    Raises `Unreadable` where nobody could read it: brackets that do not fit, values too large, a division by zero.
    """
    lead = _APPROXIMATELY.match(text)
    if lead:
        text = text[lead.end() :]
    quantity = read_quantity(text)
    if quantity is not None:
        return quantity
    if in_everyday_words(text):
        return Words(text)
    try:
        return _formula(text)
    except Undecided as error:
        return Words(text) if in_a_sentence(text) else Unknown(text, str(error))


def _formula(text: str) -> Reading:  # noqa: PLR0911 - one for each form
    depths(text)
    ratio = _RATIO.fullmatch(text)
    if ratio:
        time = len(ratio[2]) == 2 and int(ratio[2]) < 60 and int(ratio[1]) < 24
        return Ratio(" ".join(text.lower().replace(".", "").split()), int(ratio[1]), int(ratio[2]), time)
    if in_words(text):
        return Words(text)
    if r"\begin" in text:
        return _matrix(text)
    if _SIGN.search(text) and (relation := _relation(text)) is not None:
        return relation
    if _UNION.search(text):
        return Union(tuple(read(part) for part in split(text, _UNION)))
    enclosed = _enclosed(text)
    if enclosed is not None:
        return enclosed
    items = split_list(text, bracketed=False)
    if len(items) > 1:
        return Collection(_items(items), "", "")
    if _PLUS_MINUS.search(text):
        return _both_signs(text)
    return term(text)


def term(text: str) -> Term:
    """Return an expression with its unit; raises `Undecided` where it has no reading here."""
    unit, percent = "", False
    if text.endswith("%"):
        text, percent = text[:-1].rstrip(), True
    elif text.endswith("}") and r"\text" in text:
        tail = [found for found in _TEXT_TAIL.finditer(text) if found.end() == len(text)]
        if tail:
            unit = f"{tail[0][1]}^{tail[0][2]}" if tail[0][2] else tail[0][1]
            text = text[: tail[0].start()].rstrip()
    quantity = read_quantity(text)
    if quantity is not None:
        node: Node = quantity.node
        return Term(node, text, percent or quantity.percent, unit or quantity.unit, quantity.base)
    return Term(parse(text), text, percent, unit)


def _relation(text: str) -> Reading | None:
    parts = split_list(text, bracketed=False)
    if len(parts) > 1:
        return Collection(_items(parts), "", "")
    sides = split(text, _SIGN)
    if len(sides) == 1:
        return None
    signs: list[str] = []
    # The same pattern at the same level finds the signs in the same order.
    for begin, end in depths(text):
        signs.extend(_SIGNS[found[0]] for found in _SIGN.finditer(text, begin, end))
    if not sides[0] and signs[0] == "=":
        sides, signs = sides[1:], signs[1:]
        if len(sides) == 1:
            return read(sides[0])
    if len(sides) > 6 or not all(sides):
        raise Undecided("an equation with a missing side, or many")
    return Relation(tuple(read(side) for side in sides), tuple(signs))


def _enclosed(text: str) -> Reading | None:
    """Return the values in brackets around the whole of a text; None where no brackets are, or there is one value."""
    brace = text.startswith(r"\lbrace")
    if not (brace or text.startswith(("(", "[", "{"))):
        return None
    opening = r"\lbrace" if brace else text[0]
    closing = r"\rbrace" if text.endswith(r"\rbrace") else text[-1]
    if closing not in (")", "]", "}", r"\rbrace") or not _one_pair(text):
        return None
    inner = text[len(opening) : -len(closing)].strip()
    if brace or opening == "{":
        if closing not in ("}", r"\rbrace"):
            raise Unreadable("a set that does not end in a brace")
        items = split_list(inner, bracketed=True) if inner else []
        return Collection(_items(items), "{", "}") if brace or len(items) > 1 else None
    items = split_list(inner, bracketed=True)
    if len(items) == 1:
        return None
    return Collection(_items(items), opening, closing)  # pyright: ignore[reportArgumentType]


def _one_pair(text: str) -> bool:
    """Return whether the first bracket of a text is closed by its last."""
    depth = 0
    for found in re.finditer(r"\\lbrace|\\rbrace|[()\[\]{}]", text):
        depth += 1 if found[0] in ("(", "[", "{", r"\lbrace") else -1
        if depth == 0:
            return found.end() == len(text)
    return False


def _items(parts: list[str]) -> tuple[Reading, ...]:
    if len(parts) > MOST_ITEMS:
        raise Unreadable(f"more than {MOST_ITEMS} values")
    if not all(parts):
        raise Undecided("an empty place in a list")
    return tuple(read(part) for part in parts)


def _both_signs(text: str) -> Reading:
    found = _PLUS_MINUS.findall(text)
    if len(found) > 1:
        raise Undecided("two plus-minus signs")
    return Collection(tuple(term(_PLUS_MINUS.sub(sign, text, count=1)) for sign in ("+", "-")), "", "")


def _matrix(text: str) -> Reading:
    found = _MATRIX.fullmatch(text)
    if found is None or r"\begin" in found[2] or found[1] in ("v", "V"):
        raise Undecided("an environment that is no matrix")
    rows = [row.strip() for row in _ROW.split(found[2].strip())]
    if rows and not rows[-1]:
        rows.pop()
    table = tuple(tuple(_items([cell.strip() for cell in row.split("&")])) for row in rows)
    if not table or len({len(row) for row in table}) > 1 or len(table) * len(table[0]) > MOST_ITEMS:
        raise Undecided("a matrix with rows of different lengths, or a large one")
    return Matrix(table)
