"""Splits a formula at its top level: outside all brackets, braces and ``\\text{}``."""

from __future__ import annotations

import re

from scorecraft.rewards.verify.verification import Undecided, Unreadable

_BRACKET = re.compile(r"\\lbrace|\\rbrace|[()\[\]{}]")
_OPENING = frozenset(("(", "[", "{", r"\lbrace"))
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_AND = re.compile(r",? ?(?:\\text ?\{ ?(?:and|or) ?\}|\b(?:and|or)\b),?")


def depths(text: str) -> list[tuple[int, int]]:
    """Return the stretches of a text that are outside all brackets, as (start, end).

    Half-open intervals close with a bracket of another kind than they open with, so kinds are not compared.
    Raises `Unreadable` where there are more closing than opening brackets, or the other way round.
    """
    stretches, depth, start = [], 0, 0
    for bracket in _BRACKET.finditer(text):
        if bracket[0] in _OPENING:
            if depth == 0:
                stretches.append((start, bracket.start()))
            depth += 1
        else:
            depth -= 1
            if depth < 0:
                raise Unreadable("a closing bracket that was never opened")
            start = bracket.end()
    if depth:
        raise Unreadable("a bracket that is never closed")
    stretches.append((start, len(text)))
    return stretches


def split(text: str, separator: re.Pattern[str]) -> list[str]:
    """Return the parts of a text between the separators at its top level."""
    parts, start = [], 0
    for begin, end in depths(text):
        for found in separator.finditer(text, begin, end):
            parts.append(text[start : found.start()].strip())
            start = found.end()
    parts.append(text[start:].strip())
    return parts


_COMMA = re.compile(r"[,;]")
_SPACED_COMMA = re.compile(r",(?![0-9]{3}(?![0-9]))|(?<![0-9]),|;")


def split_list(text: str, *, bracketed: bool) -> list[str]:
    """Return the items of a list that commas, semicolons, "and" or "or" separate.

    Commas that group digits stay where other commas have a space after them ("1,234, 5"), and separate where none
    has ("2,4,100"). Inside brackets a lone such comma could be either, which is `Undecided`.
    """
    if not bracketed and ("and" in text or "or" in text):
        text = _AND.sub(",", text)
        text = re.sub(r",\s*,", ",", text)
    if "," not in text and ";" not in text:
        return [text]
    if _THOUSANDS.search(text):
        commas = text.count(",")
        spaced = text.count(", ") + text.count(";")
        if bracketed and commas == 1 and not spaced:
            raise Undecided("a comma between digits in brackets")
        if spaced:
            return split(text, _SPACED_COMMA)
    return split(text, _COMMA)
