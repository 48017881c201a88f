"""Answers in words."""

from __future__ import annotations

import re

_TEXT = re.compile(r"\\text ?\{([^{}]*)\}")
_EDGES = " .,;:!?'\"*()"
_SHORT = frozenset(("yes", "no", "odd", "all", "not", "any"))
_LETTERS = re.compile(r"[^\W\d_]{2,}")
_MATHEMATICS = re.compile(r"[0-9=+*/^_<>\\|{}\[\]$%]")


def words(text: str, *, ignore_case: bool = True) -> str:
    r"""Return the words of a text, ``\text{}`` taken off, with single spaces and no punctuation around it."""
    plain = " ".join(_TEXT.sub(r" \1 ", text).split()).strip(_EDGES)
    return plain.casefold() if ignore_case else plain


def in_words(text: str) -> bool:
    r"""Return whether a text is words and no formula.

    It is in ``\text{}``, has a word of four letters, several words, letters beyond ASCII, or is a short word that is
    often an answer ("yes", "odd").
    """
    if _TEXT.fullmatch(text):
        return True
    plain = _TEXT.sub(r" \1 ", text)
    if _MATHEMATICS.search(plain):
        return False
    found = _LETTERS.findall(plain)
    long_or_several = any(len(word) > 3 for word in found) or len(found) > 1
    return long_or_several or plain.strip(_EDGES).lower() in _SHORT or not plain.isascii()


def same_words(given: str, true: str, *, ignore_case: bool = True) -> bool:
    """Return whether two texts have the same words, spaces and outer punctuation aside."""
    first = words(given, ignore_case=ignore_case)
    return bool(first) and first == words(true, ignore_case=ignore_case)
