"""Pairs of independent answers to one question, from a table of questions and answers."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from numpy.typing import ArrayLike

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning

# Above this share of equal pairs the second answer says nothing, be it a copy or the only answer there is.
MOST_EQUAL = 0.999


class Pairs(NamedTuple):
    """Rows of the first and of the second answers."""

    first: Int64[np.ndarray, " pair"]
    second: Int64[np.ndarray, " pair"]


@implements("second-order-calibration")
def make_pairs(queries: ArrayLike, answers: ArrayLike, random: np.random.Generator) -> Pairs:
    """Return rows paired with a row of the same question, at random and each row at most once.

    A question with n answers gives n // 2 pairs, independent of each other, in random order.

    Args:
        queries: which question each row asks: numbers or strings.
        answers: its answer: numbers or strings.
        random: draws the pairs.

    Warns where more than 99.9 % of the pairs are equal though there are more than two answers: rows are copies, or
    every question has one answer. Then V becomes ``p (1 - p)``: right for the latter, wrong for copies. Raises
    `ScorecraftError` for unequal lengths, or where no question has two answers.

    Source: Experts Don't Cheat: Learning What You Don't Know By Predicting Pairs, 2024, arXiv 2402.08733.
    """
    asked, given = np.asarray(queries), np.asarray(answers)
    if asked.ndim != 1 or asked.shape != given.shape:
        raise ScorecraftError(
            f"make_pairs: expected a question and an answer a row, got shapes {asked.shape}, {given.shape}"
        )
    groups = np.unique(asked, return_inverse=True)[1]
    shuffled = random.permutation(len(asked))
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    sizes = np.bincount(groups)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    firsts = np.flatnonzero((rank % 2 == 0) & (rank + 1 < np.repeat(sizes, sizes)))
    if not len(firsts):
        raise ScorecraftError(
            "make_pairs: pairs needed; one answer per query cannot separate noise from ignorance. "
            "Ask some queries twice, independently"
        )
    firsts = random.permutation(firsts)
    one, two = order[firsts].astype(np.int64), order[firsts + 1].astype(np.int64)
    equal = float((given[one] == given[two]).mean())
    if equal > MOST_EQUAL and len(np.unique(given)) > 2:
        warnings.warn(
            f"make_pairs: {equal:.1%} of the pairs are equal answers; if rows are copies of one answer, they say "
            "nothing of what a model does not know. Questions with one answer each are fine",
            ScorecraftWarning,
            stacklevel=2,
        )
    return Pairs(one, two)
