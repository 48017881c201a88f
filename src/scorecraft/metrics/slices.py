"""Where probabilities are wrong though they may be right on the whole: slices of the rows, and which are so by chance.

A slice is the rows with one value, or one range of values, of one column. All slices are tested together, so that the
chance of naming any slice of probabilities that are right everywhere is at most ``1 - confidence``.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.binning import EDGE_TOLERANCE
from scorecraft.metrics.calibration_errors import measure_of

Finding = Literal["too low", "too high", "too sure", "too timid", ""]

SLICE_BINS = 10
MINIMUM_ROWS = 100
# The variance of ones that a bin must have for its standardised gap to be near to normal.
LEAST_VARIANCE = 10.0

# Sums over the rows of a slice: of 1, p, p^2 and p^3.
_Sums = Float64[np.ndarray, "moment label bin"]


class CalibrationSlice(NamedTuple):
    """The calibration of one slice.

    column and value: which rows. rows: how many. mean_prob and rate: mean probability, and share of ones. gap: rate
    less mean probability, with its interval from low to high, which holds for all slices together. error: root of the
    debiased squared calibration error over 10 bins. p_value: that bins of probabilities are off by no more than chance,
    times the number of tests. finding: what is wrong beyond chance: probabilities too low or too high; or right on
    average but too sure (too near to 0 and 1) or too timid; empty for nothing.
    """

    column: str
    value: str
    rows: int
    mean_prob: float
    rate: float
    gap: float
    low: float
    high: float
    error: float
    p_value: float
    finding: Finding


class SliceSums:
    """Sums over the rows of each value of a column and bin of probabilities, batch by batch."""

    def __init__(self) -> None:
        # Rows, probabilities, their squares and cubes by value, label and bin.
        self.sums = np.zeros((4, 0, 2, SLICE_BINS))

    def add(
        self, codes: Int64[np.ndarray, " row"], labels: Bool[np.ndarray, " row"], prob: Float[np.ndarray, " row"]
    ) -> None:
        """Add a batch.

        Args:
            codes: number of each row's value, from 0.
            labels: True for the label 1.
            prob: its probability.
        """
        if not len(codes):
            return
        values = max(self.sums.shape[1], int(codes.max()) + 1)
        number = prob.astype(np.float64, copy=False)
        place = np.minimum((number * SLICE_BINS + EDGE_TOLERANCE).astype(np.int64), SLICE_BINS - 1)
        cell = (codes * 2 + labels) * SLICE_BINS + place
        grown = np.zeros((4, values, 2, SLICE_BINS))
        grown[:, : self.sums.shape[1]] = self.sums
        square = number * number
        for moment, column in enumerate((None, number, square, square * number)):
            grown[moment] += np.bincount(cell, column, values * 2 * SLICE_BINS).reshape(values, 2, SLICE_BINS)
        self.sums = grown


def calibration_slices(
    columns: Sequence[tuple[str, Sequence[str], SliceSums]],
    *,
    confidence: float = 0.95,
    minimum_rows: int = MINIMUM_ROWS,
) -> list[CalibrationSlice]:
    """Return all slices of at least ``minimum_rows``, those that are wrong beyond chance first, the worst first.

    Of each slice the gap on the whole is tested and the gaps of its bins of probabilities, so that errors that cancel
    are seen: 2 m tests of m slices, each at ``(1 - confidence) / 2m``.

    Given the probabilities, the ones of a slice or bin have the variance ``V = sum p (1 - p)`` and the skewness ``g =
    sum p (1 - p) (1 - 2p) / V^1.5`` where the probabilities are right. The gap's interval is ``gap - (z + (z^2 - 1) g /
    6) s`` to ``gap + (z - (z^2 - 1) g / 6) s``, with ``n s^2`` the larger of ``V / n`` and the variance of y - p; where
    V is below 10, Clopper and Pearson's interval of the rate less the mean probability. The bins' statistic is ``sum_b
    (z_b - (z_b^2 - 1) g_b / 6)^2``, with z_b the standardised gap of bin b, neighbours being taken together until V_b
    is at least 10; it has a chi-squared distribution.

    Args:
        columns: name, names of the values by their number, and sums of each column.
        confidence: that no slice is named where all probabilities are right, in (0, 1).
        minimum_rows: smaller slices are left out, as are columns of which one value only is left.

    Raises `ScorecraftError` for a confidence outside (0, 1).

    Source: Cornish and Fisher, 1938, Moments and Cumulants in the Specification of Distributions; Clopper and Pearson,
    1934; Hosmer and Lemeshow, 1980, Goodness of Fit Tests for the Multiple Logistic Regression Model; Bonferroni's
    inequality.
    """
    if not 0 < confidence < 1:
        raise ScorecraftError(f"confidence: expected a number between 0 and 1, such as 0.95, got {confidence}")
    kept: list[tuple[str, str, _Sums]] = []
    for column, names, held in columns:
        large = np.flatnonzero(held.sums[0].sum((1, 2)) >= max(minimum_rows, 1)).tolist()
        if len(held.sums[0]) > 1:
            kept += [(column, names[code], held.sums[:, code]) for code in large]
    level = (1 - confidence) / 2 / max(len(kept), 1)
    found = [_slice(column, value, sums, level, 2 * len(kept)) for column, value, sums in kept]
    alpha = 1 - confidence
    named = [_named(one, sums, alpha) for one, (_, _, sums) in zip(found, kept, strict=True)]
    return sorted(named, key=lambda one: (one.finding == "", -one.error, one.p_value))


def _slice(column: str, value: str, sums: _Sums, level: float, tests: int) -> CalibrationSlice:
    rows, prob, squares, _ = sums
    total, ones = float(rows.sum()), float(rows[1].sum())
    rate, mean_prob = ones / total, float(prob.sum()) / total
    gap = rate - mean_prob
    variance, skewness = _spread(sums.sum((1, 2)))
    if variance < LEAST_VARIANCE:
        low, high = (end - mean_prob for end in _exact_ends(ones, total, level))
    else:
        # mean (y - p)^2 = (ones - 2 sum_ones p + sum p^2) / n
        brier = (ones - 2 * float(prob[1].sum()) + float(squares.sum())) / total
        error = max(variance / total, brier - gap * gap) ** 0.5 / total**0.5
        z = NormalDist().inv_cdf(1 - level / 2)
        shift = (z * z - 1) * skewness / 6
        low, high = gap - (z + shift) * error, gap + (z - shift) * error
    debiased = float(measure_of("debiased")(rows, rows, prob, rows))
    return CalibrationSlice(
        column, value, int(total), mean_prob, rate, gap, max(low, -mean_prob), min(high, 1 - mean_prob),
        max(debiased, 0.0) ** 0.5, min(1.0, tests * _bins_p_value(sums)), "",
    )  # fmt: skip


def _named(one: CalibrationSlice, sums: _Sums, alpha: float) -> CalibrationSlice:
    if one.low > 0 or one.high < 0:
        return one._replace(finding="too low" if one.low > 0 else "too high")
    if one.p_value >= alpha:
        return one
    # What is above where probabilities are high and below where they are low was stated too timidly.
    gaps = sums[0, 1] - sums[1].sum(0)
    rows = sums[0].sum(0)
    mean = sums[1].sum(0) / np.maximum(rows, 1)
    return one._replace(finding="too timid" if float(gaps @ (mean - one.mean_prob)) > 0 else "too sure")


def _spread(sums: Float64[np.ndarray, " moment"]) -> tuple[float, float]:
    """Return variance and skewness of the number of ones, given the probabilities, from sums of 1, p, p^2 and p^3."""
    _, first, second, third = sums.tolist()
    variance = max(first - second, 0.0)
    # sum p (1 - p) (1 - 2p)
    return variance, (first - 3 * second + 2 * third) / variance**1.5 if variance >= LEAST_VARIANCE else 0.0


def _exact_ends(ones: float, rows: float, level: float) -> tuple[float, float]:
    from scipy.special import betaincinv

    low = float(betaincinv(ones, rows - ones + 1, level / 2)) if ones > 0 else 0.0
    high = float(betaincinv(ones + 1, rows - ones, 1 - level / 2)) if ones < rows else 1.0
    return low, high


def _bins_p_value(sums: _Sums) -> float:
    from scipy.stats import chi2

    statistic, degrees = 0.0, 0
    for one in _joined(sums):
        variance, skewness = _spread(one.sum(1))
        z = float(one[0, 1] - one[1].sum()) / variance**0.5
        statistic += (z - (z * z - 1) * skewness / 6) ** 2
        degrees += 1
    return float(chi2.sf(statistic, degrees)) if degrees else 1.0


def _joined(sums: _Sums) -> list[Float64[np.ndarray, "moment label"]]:
    """Return bins that are taken together, from low to high, until the variance of their ones is large enough."""
    found: list[Float64[np.ndarray, "moment label"]] = []
    waiting = np.zeros(sums.shape[:2])
    for place in range(sums.shape[2]):
        waiting = waiting + sums[:, :, place]
        if _spread(waiting.sum(1))[0] >= LEAST_VARIANCE:
            found.append(waiting)
            waiting = np.zeros(sums.shape[:2])
    if found:
        found[-1] = found[-1] + waiting
    return found
