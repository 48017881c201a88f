"""Answers in words."""

from __future__ import annotations

import re

from scorecraft.rewards.verify.parsing import FUNCTIONS

_TEXT = re.compile(r"\\text ?\{([^{}]*)\}")
_EDGES = " .,;:!?'\"*()"
_SHORT = frozenset(("yes", "no", "odd", "all", "not", "any"))
_LETTERS = re.compile(r"[^\W\d_]{2,}")
_ANY_WORD = re.compile(r"[^\W\d_]+")
_EVERYDAY = frozenset(("so", "it", "is", "we", "he", "me", "us", "be", "at", "in", "on", "by", "as", "my", "am", "an"))
_FORMULA = re.compile(r"[=+*/^_<>\\|{}\[\]]")
_FUNCTIONS = FUNCTIONS | {"sqrt", "abs", "mod", "gcd", "lcm", "lim", "min", "max", "det"}
_MATHEMATICS = re.compile(r"[0-9=+*/^_<>\\|{}\[\]$%]")


def words(text: str, *, ignore_case: bool = True) -> str:
    r"""Return the words of a text, ``\text{}`` taken off, with single spaces and no punctuation around it."""
    plain = without_text_commands(text).strip(_EDGES)
    return plain.casefold() if ignore_case else plain


def in_words(text: str) -> bool:
    r"""Return whether a text is words and no formula.

    It is in ``\text{}``, has a word of four letters, several words, letters beyond ASCII, or is a short word that is
    often an answer ("yes", "odd").
    """
    if _TEXT.fullmatch(text):
        return True
    plain = without_text_commands(text)
    if _MATHEMATICS.search(plain):
        return False
    found = _LETTERS.findall(plain)
    long_or_several = any(len(word) > 3 for word in found) or len(found) > 1
    return long_or_several or plain.strip(_EDGES).lower() in _SHORT or not plain.isascii()


def in_a_sentence(text: str) -> bool:
    """Return whether a text is words with numbers among them, and no formula; "cos 2x" is one."""
    plain = without_text_commands(text)
    found = [word for word in _LETTERS.findall(plain) if len(word) > 2]
    return bool(found) and not _FORMULA.search(plain) and _FUNCTIONS.isdisjoint(found)


def in_everyday_words(text: str) -> bool:
    """Return whether a number stands among words so common that their letters are no product: "so it is 42"."""
    found = [word.lower() for word in _ANY_WORD.findall(without_text_commands(text))]
    known = all(word in _EVERYDAY or (len(word) > 2 and word not in _FUNCTIONS) for word in found)
    return known and not _EVERYDAY.isdisjoint(found) and not _FORMULA.search(text)


def without_text_commands(text: str) -> str:
    r"""Return a text with ``\text{words}`` as mere words."""
    return " ".join(_TEXT.sub(r" \1 ", text).split())


def same_words(given: str, true: str, *, ignore_case: bool = True) -> bool:
    """Return whether two texts have the same words, spaces and outer punctuation aside."""
    first = words(given, ignore_case=ignore_case)
    return bool(first) and first == words(true, ignore_case=ignore_case)
