"""The reliability curve: how often things happen that were given a probability, with intervals."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.binning import BinSums, Strategy, bin_sums, labels_and_column


class ReliabilityCurve(NamedTuple):
    """The bins that hold rows, from low to high probabilities.

    left and right: edges of the bin. mean_prob: mean probability in it. rate: how often the label was 1, with its
    interval from low to high. rows: how many there are. weight: their share of all weight.
    """

    left: Float64[np.ndarray, " bin"]
    right: Float64[np.ndarray, " bin"]
    mean_prob: Float64[np.ndarray, " bin"]
    rate: Float64[np.ndarray, " bin"]
    low: Float64[np.ndarray, " bin"]
    high: Float64[np.ndarray, " bin"]
    rows: Int64[np.ndarray, " bin"]
    weight: Float64[np.ndarray, " bin"]


def reliability_curve(
    y_true: Any,
    y_prob: Any,
    *,
    n_bins: int = 10,
    strategy: Strategy = "uniform",
    right_closed: bool = False,
    sample_weight: Any = None,
    confidence: float = 0.95,
) -> ReliabilityCurve:
    """Return mean probability and rate of every bin that holds rows, with Wilson intervals of the rates.

    The interval of a rate o of n rows is ``(o + z^2/2n +- z sqrt(o(1-o)/n + z^2/4n^2)) / (1 + z^2/n)``; it stays in
    [0, 1] and is wide, not a point, for a bin of one row. Weighted rows count as ``n = (sum w)^2 / sum w^2``.

    Args:
        y_true: labels 0 and 1, or classes, ``[row]``.
        y_prob: probability of the label 1, ``[row]``, or ``[row, class]``, of which the top label counts.
        n_bins: number of bins.
        strategy: "uniform" for bins of equal width, "quantile" for bins of equal weight.
        right_closed: whether a bin holds its upper edge instead of its lower one.
        sample_weight: of each row, at least 0; all 1 where not given.
        confidence: coverage of the interval of each bin by itself, in (0, 1).

    Raises `ScorecraftError` as `bin_sums` does, and for a confidence outside (0, 1).

    Source: Wilson, 1927, Probable Inference, the Law of Succession, and Statistical Inference; Niculescu-Mizil and
    Caruana, 2005, Predicting Good Probabilities with Supervised Learning.
    """
    sums = bin_sums(
        *labels_and_column(y_true, y_prob),
        n_bins,
        strategy,
        right_closed=right_closed,
        sample_weight=sample_weight,
        squares=True,
    )
    return curve_of_sums(sums, confidence=confidence)


def curve_of_sums(sums: BinSums, *, confidence: float = 0.95) -> ReliabilityCurve:
    """Return `reliability_curve` from sums over bins, as a stream adds them up.

    Args:
        sums: from `bin_sums`, with their squares.
        confidence: coverage of the interval of each bin by itself, in (0, 1).

    Raises `ScorecraftError` for a confidence outside (0, 1).

    Source: Wilson, 1927.
    """
    if not 0 < confidence < 1:
        raise ScorecraftError(f"confidence: expected a number between 0 and 1, such as 0.95, got {confidence}")
    weight = sums.weight.sum(0)
    held = weight > 0
    weight = weight[held]
    rate = sums.weight[1, held] / weight
    trials = weight**2 / sums.squares[0].sum(0)[held]
    low, high = _wilson(rate, trials, confidence)
    return ReliabilityCurve(
        sums.edges[:-1][held],
        sums.edges[1:][held],
        sums.prob.sum(0)[held] / weight,
        rate,
        low,
        high,
        sums.rows.sum(0)[held],
        weight / weight.sum(),
    )


def _wilson(
    rate: Float64[np.ndarray, " bin"], trials: Float64[np.ndarray, " bin"], confidence: float
) -> tuple[Float64[np.ndarray, " bin"], Float64[np.ndarray, " bin"]]:
    # Not `scorecraft.stats.wilson_interval`, whose counts are whole: weights make them fractions.
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = rate + z * z / (2 * trials)
    half = z * np.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2))
    whole = 1 + z * z / trials
    return ((centre - half) / whole).clip(0, 1), ((centre + half) / whole).clip(0, 1)
