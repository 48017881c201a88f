"""Reads final answers from free text and compares them exactly, numbers by value and other text by its words.

**Where the answer stands** (`final_answer`): after the last ``####``, to the end of that line; else in the last
``\\boxed{...}`` whose braces close; else, where the true answer is a number, the last number of the text.

**What is a number** (`read_number`): a text with exactly one number in it and any words or units around it, so
``$1,234.50``, ``42 apples`` and ``x = -7.`` are numbers and ``6*7`` is not. A number has digits, optionally
grouped by commas in threes, a decimal part, a sign and a denominator (``3/4``). Values are exact fractions.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

MARK = "####"

# The sign belongs to the number unless it follows a digit, letter or bracket, where it is a subtraction.
_SIGN = r"(?:(?<![0-9A-Za-z)\]}])[-+])?"
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_NUMBER = re.compile(rf"{_SIGN}(?:{_DIGITS})(?:/[0-9]+)?")
_LONGEST = 60


def read_number(text: str) -> Fraction | None:
    """Return the value of the only number in a text; None where there is none or more than one."""
    found = _NUMBER.findall(text.replace("\u2212", "-"))
    return _value(found[0]) if len(found) == 1 else None


def last_number(text: str) -> str | None:
    """Return the last number of a text as it is written; None where there is none."""
    found = _NUMBER.findall(text.replace("\u2212", "-"))
    return found[-1] if found else None


@lru_cache(maxsize=1 << 15)  # fractions are slow to make, and a batch asks for the same numbers again and again
def _value(written: str) -> Fraction | None:
    # Very long digit strings are no answers, and Python refuses to convert the longest of them.
    if len(written) > _LONGEST:
        return None
    numerator, _, denominator = written.replace(",", "").partition("/")
    if denominator and not int(denominator):
        return None
    return Fraction(numerator) / int(denominator) if denominator else Fraction(numerator)


def final_answer(text: str, *, numeric: bool) -> str | None:
    """Return the text of the final answer, see the module; None where there is none.

    Args:
        text: a completion or a worked solution.
        numeric: whether the last number counts where nothing marks the answer.
    """
    _, mark, rest = text.rpartition(MARK)
    if mark:
        return rest.partition("\n")[0].strip() or None
    boxed = last_boxed(text)
    if boxed is not None:
        return boxed.strip() or None
    return last_number(text) if numeric else None


def last_boxed(text: str) -> str | None:
    """Return what stands in the last ``\\boxed{...}`` whose braces close; None where there is none."""
    end = len(text)
    while (start := text.rfind("\\boxed{", 0, end)) >= 0:
        opened = start + len("\\boxed{")
        closed = _closing_brace(text, opened)
        if closed is not None:
            return text[opened:closed]
        end = start
    return None


def _closing_brace(text: str, start: int) -> int | None:
    depth = 1
    for brace in re.finditer(r"[{}]", text[start:]):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return start + brace.start()
    return None


def same_answer(given: str, true: str) -> bool | None:
    """Return whether two answers are the same; None where the true one is a number and the given one is not.

    Numbers are equal where their exact values are (``1,000.0`` and ``1000``); other texts where they are the
    same but for case, spaces and a final full stop.
    """
    expected = read_number(true)
    if expected is None or _words(given) == _words(true):
        return _words(given) == _words(true)
    number = read_number(given)
    return None if number is None else number == expected


def _words(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")
