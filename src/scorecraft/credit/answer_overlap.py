"""How much an answer in words overlaps with the true one."""

from __future__ import annotations

import string

from scorecraft.catalog import implements

_SPACES = str.maketrans(string.punctuation, " " * len(string.punctuation))


@implements("turn-matching")
def answer_f1(pred: str, gold: str) -> float:
    """Return ``2 p r / (p + r)`` of the two sets of words, 0 where none is in both.

    Lower case; ASCII punctuation counts as space. With n words in common ``p = n / |pred|`` and ``r = n / |gold|``.

    Args:
        pred: the answer given.
        gold: the true answer.

    Source: MatchTIR, 2026, arXiv 2601.10712.
    """
    given, true = (set(text.lower().translate(_SPACES).split()) for text in (pred, gold))
    shared = len(given & true)
    return 2 * shared / (len(given) + len(true)) if shared else 0.0
