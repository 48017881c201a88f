"""Arithmetic relations in running text, such as ``3x + 4 = 19`` or ``20% of 50 < 12``, as formulas.

A relation is two or more sides on one line. Numbers, single letters, names that the text introduces with "let", signs
in their typographic and LaTeX forms, parentheses and percentages make a side; words end it. What stands next to a
relation and may belong to it (a unit, "times", "remainder", an operation on a word) makes it unreadable rather than
wrong: a step that is not understood must not be refuted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from scorecraft.rewards.formal_steps.claim import (
    Claim,
    ClaimError,
    Congruence,
    Formula,
    Name,
    Negation,
    Number,
    Relation,
    Sort,
    Term,
    names_in,
)
from scorecraft.rewards.formal_steps.parser import parse_term
from scorecraft.rewards.formal_steps.sorts import check_sorts

MOST_TEXT = 20_000
MOST_LINE = 4000
MOST_RELATIONS = 32

_FORMS = {
    "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{MULTIPLICATION SIGN}": "*", "·": "*", "÷": "/", "≤": "<=", "≥": ">=",
    "≠": "!=", "≡": "==", "²": "^2", "³": "^3", "\\times": "*", "\\cdot": "*", "\\div": "/", "\\leq": "<=",
    "\\geq": ">=", "\\neq": "!=", "\\le": "<=", "\\ge": ">=", "\\ne": "!=", "\\lt": "<", "\\gt": ">", "\\equiv": "==",
    "\\left": "", "\\right": "", "\\$": "", "$": "", "\\%": "%", "\\,": "", "\\!": "", "\\(": " ", "\\)": " ",
    "\\[": " ", "\\]": " ", "{": "(", "}": ")", "**": "^", "\\pmod": " mod ", "\\bmod": " mod ", "€": "", "£": "",
}  # fmt: skip
_FORM = re.compile("|".join(map(re.escape, sorted(_FORMS, key=len, reverse=True))))
_TIMES = re.compile(r"(?<=[0-9)])[ \t]*x[ \t]*(?=[0-9(])")
_WRAPPED = re.compile(r"\\(?:boxed|mathbf|text|mathrm)\{([^{}]{0,200})\}")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]{1,100})\}\{([^{}]{1,100})\}")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_BULLET = re.compile(r"^[ \t]*(?:[-*•][ \t]+|\(?[0-9]{1,3}[.)][ \t]+|(?:step|Step)[ \t]+[0-9]{1,3}[.:)]?[ \t]*)+")
_LET = re.compile(r"\b[Ll]et[ \t]+([A-Za-z][A-Za-z_0-9]{0,30})[ \t]*(?=(?:=|be\b))")
_TOKEN = re.compile(
    r"(?P<number>[0-9]{1,400}(?:\.[0-9]{1,400})?(?![0-9]))|(?P<word>[^\W\d_][\w']*)|(?P<relation><=|>=|!=|==|[=<>])"
    r"|(?P<sign>[-+*/^()%])|(?P<space>[ \t]+)|(?P<end>.)"
)
# Words that say something about the number before or after them.
_BEFORE = frozenset((
    "twice", "double", "triple", "thrice", "half", "third", "quarter", "times", "plus", "minus", "by", "square",
    "cube", "root", "squared", "of", "about", "roughly", "approximately", "remainder", "negative", "over", "mod",
    "sqrt", "sin", "cos", "tan", "log", "ln", "exp",
))  # fmt: skip
_AFTER = frozenset((
    "times", "plus", "minus", "divided", "multiplied", "percent", "dozen", "hundred", "thousand", "million",
    "billion", "squared", "cubed", "remainder", "r", "mod", "over", "half", "quarter", "choose", "factorial",
    "degrees", "th",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    spaced: bool  # whether white space stands before it


def written_relations(text: str, names: frozenset[str] = frozenset()) -> tuple[Formula, ...]:
    """Return the relations of a text in order; ground ones have an operation on one side at least.

    Args:
        text: such as a step of a solution; only its first `MOST_TEXT` characters are read.
        names: words that are variables, besides single letters and what the text introduces with "let".
    """
    return _relations(text[:MOST_TEXT], names)


@lru_cache(maxsize=1024)
def _relations(text: str, names: frozenset[str]) -> tuple[Formula, ...]:
    known = names | introduced_names(text)
    found: list[Formula] = []
    for line in _plain(text).split("\n"):
        if len(line) > MOST_LINE or not any(sign in line for sign in "=<>"):
            continue
        for run in _runs(_tokens(_BULLET.sub("", line), known)):
            if len(found) == MOST_RELATIONS:
                return tuple(found)
            formula = _read(run)
            if formula is not None and _is_sound(formula):
                found.append(formula)
    return tuple(found)


def introduced_names(text: str) -> frozenset[str]:
    """Return the words that a text makes variables with "let"."""
    return frozenset(match[1] for match in _LET.finditer(text[:MOST_TEXT]))


def _plain(text: str) -> str:
    text = _WRAPPED.sub(r" \1 ", text)
    for _ in range(3):
        text = _FRACTION.sub(r"((\1)/(\2))", text)
    text = _FORM.sub(lambda match: _FORMS[match[0]], text)
    return _TIMES.sub(" * ", _THOUSANDS.sub("", text))


def _tokens(line: str, names: frozenset[str]) -> list[_Token]:
    """Return the tokens of a line; words that are no variables are of kind "word", letters of kind "name"."""
    found: list[_Token] = []
    spaced = True
    for match in _TOKEN.finditer(line):
        kind, text = str(match.lastgroup), match[0]
        if kind == "space":
            spaced = True
            continue
        if kind == "word" and (text in names or re.fullmatch(r"[A-Za-z](_?[0-9]{1,3})?", text)):
            kind = "name"
        found.append(_Token(kind, text, spaced))
        spaced = False
    return found


def _runs(tokens: list[_Token]) -> list[tuple[str, list[_Token], str]]:
    """Return the stretches of mathematics that hold a relation, each with the word before and after it."""
    found: list[tuple[str, list[_Token], str]] = []
    run: list[_Token] = []
    before = ""
    for token in [*tokens, _Token("end", "", True)]:
        of = token.text == "of" and bool(run) and run[-1].text == "%"
        if token.kind in ("number", "name", "relation", "sign") or of or token.text == "mod":
            run.append(token)
            continue
        if any(one.kind == "relation" for one in run):
            found.append((before, run, token.text))
        before = token.text if token.kind == "word" else ""
        run = []
    return found


def _read(run: tuple[str, list[_Token], str]) -> Formula | None:
    before, tokens, after = run
    cuts = [place for place, token in enumerate(tokens) if token.kind == "relation"]
    starts, ends = [0, *(cut + 1 for cut in cuts)], [*cuts, len(tokens)]
    sides = [tokens[start:end] for start, end in zip(starts, ends, strict=True)]
    relations = [tokens[cut].text for cut in cuts]
    first = _first_side(sides[0], before)
    if first is None:
        return None
    try:
        if "==" in relations:
            return _congruence(first, sides[1]) if len(relations) == 1 else None
        last = _last_side(sides[-1], after)
        terms = [_side(side) for side in (*([first] if first else []), *sides[1:-1], *([last] if last else []))]
    except ClaimError:
        return None
    if last is None or len(terms) < 2:
        return None
    return Relation(tuple(terms), tuple(relations[-len(terms) + 1 :]))  # "= 3 + 4 = 7" after a word has one less


def _congruence(left: list[_Token], tokens: list[_Token]) -> Formula | None:
    words = [token.text for token in tokens]
    if "mod" not in words:
        return None
    cut = words.index("mod")
    modulus = [token for token in tokens[cut + 1 :] if token.text not in ("(", ")")]
    right = tokens[: cut - 1] if cut and words[cut - 1] == "(" else tokens[:cut]
    if not modulus or modulus[0].kind != "number":
        return None
    return Congruence(_side(left), _side(right), _side(modulus[:1]))


def _first_side(tokens: list[_Token], before: str) -> list[_Token] | None:
    """Return the end of the tokens that is a side, [] where there is none, None where it cannot be told."""
    if not tokens:
        return []
    start = _opening(tokens, _last_cut(tokens))
    side = tokens[start:]
    if not side or (start == 0 and before.lower() in _BEFORE):
        return None
    if start > 0 and tokens[start - 1].kind in ("number", "name") and (side[0].kind == "name" or not side[0].spaced):
        return None  # a number with its unit, or a function of something
    sign = side[0]
    if sign.text in "+*/^%" or (sign.text == "-" and before and (len(side) < 2 or side[1].spaced)):
        return None
    return side


def _last_side(tokens: list[_Token], after: str) -> list[_Token] | None:
    """Return the beginning of the tokens that is a side, None where it cannot be told."""
    end = next((place for place in range(1, len(tokens)) if _apart(tokens[place - 1], tokens[place])), len(tokens))
    depth = 0
    for place, token in enumerate(tokens[:end]):
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0:
            end = place
            break
    side = tokens[:end]
    follows = tokens[end].text if end < len(tokens) else after
    if follows.lower() in _AFTER or follows == "!":
        return None
    if end == len(tokens) and len(side) > 1 and side[-1].text == "-" and side[-1].spaced:
        side = side[:-1]  # a dash before words
    return side or None


def _apart(left: _Token, right: _Token) -> bool:
    """Return whether two neighbours belong to different terms: a product is only read without a space."""
    ends = left.kind in ("number", "name") or left.text in (")", "%")
    begins = right.kind in ("number", "name") or right.text == "("
    if not (ends and begins):
        return False
    joined = not right.spaced and (left.kind == "number" or left.text == ")") and right.kind != "number"
    return not joined


def _last_cut(tokens: list[_Token]) -> int:
    return next((p for p in range(len(tokens) - 1, 0, -1) if _apart(tokens[p - 1], tokens[p])), 0)


def _opening(tokens: list[_Token], start: int) -> int:
    """Return where the side begins after parentheses that are not closed."""
    depth = 0
    for place in range(len(tokens) - 1, start - 1, -1):
        depth += (tokens[place].text == ")") - (tokens[place].text == "(")
        if depth < 0:
            return place + 1
    return start


def _side(tokens: list[_Token]) -> Term:
    """Return the term that tokens spell; raises `ClaimError`."""
    pieces: list[str] = []
    slash = False
    for place, token in enumerate(tokens):
        previous = tokens[place - 1] if place else None
        if previous is not None and token.text not in ("of", "mod", "%") and _joins(previous, token):
            if _apart(previous, token) or slash:
                raise ClaimError("parse", "two numbers side by side")
            pieces.append("*")
        slash = token.text == "/" or (slash and token.kind in ("number", "name"))
        match token.text:
            case "%":
                pieces.append("/100")
            case "of":
                pieces.append("*")
            case "mod":
                raise ClaimError("parse", "a remainder")
            case _:
                pieces.append(token.text)
    return parse_term(" ".join(_percentages(pieces)))


def _percentages(pieces: list[str]) -> list[str]:
    """Put every percentage in parentheses, so that ``5 / 20%`` divides by a fifth."""
    out: list[str] = []
    for piece in pieces:
        if piece == "/100":
            out[-1:] = ["(", out[-1], "/100", ")"] if out and out[-1] != ")" else [out[-1] if out else "", "/100"]
        else:
            out.append(piece)
    return out


def _joins(left: _Token, right: _Token) -> bool:
    ends = left.kind in ("number", "name") or left.text in (")", "%")
    return ends and (right.kind in ("number", "name") or right.text == "(")


def _is_sound(formula: Formula) -> bool:
    """Return whether a formula is well-sorted over the reals and, without variables, has an operation."""
    variables = tuple((name, Sort.REAL) for name in sorted(names_in(formula)))
    try:
        check_sorts(Claim(variables, (), formula))
    except ClaimError:
        return False
    if variables or not isinstance(formula, Relation):
        return True
    return not all(_is_plain(term) for term in formula.terms)


def _is_plain(term: Term) -> bool:
    return isinstance(term, Number | Name) or (isinstance(term, Negation) and _is_plain(term.term))
