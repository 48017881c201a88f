"""How sure is a calibration error: a bootstrap that resamples bins, not rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int64

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.binning import BinSums, Strategy, bin_sums, labels_and_column
from scorecraft.metrics.calibration_errors import Measure, measure_of
from scorecraft.stats.intervals import Interval

IntervalMethod = Literal["centred", "percentile"]


def calibration_error_interval(
    y_true: Any,
    y_prob: Any,
    *,
    measure: Measure = "expected",
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    right_closed: bool = False,
    sample_weight: Any = None,
    confidence: float = 0.95,
    method: IntervalMethod = "centred",
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return a calibration error over bins with its bootstrap interval; the time hardly depends on ``resamples``.

    To draw n rows with replacement is to draw how many come from each bin and label, ``multinomial(n, n_cell / n)``,
    and then the sum of the probabilities of those m rows, which is normal with mean ``m mean_cell`` and variance
    ``m var_cell`` but for rows so few that the width of a bin bounds the difference. So only sums over bins are
    resampled. The bins are those of the data in every resample.

    Resampling adds noise to every bin, and absolute or squared gaps grow by it: the bootstrap's errors lie above the
    estimate as the estimate lies above the truth. "centred" moves their quantiles down by that much, ``quantile -
    (mean - estimate)``, and lets the interval begin at 0 where labels drawn with the stated probabilities (consistency
    resampling) have errors as large as the estimate; it covers about as often as it says down to an error of 0.
    "percentile" takes the quantiles as they are, and for good probabilities hardly ever holds the true error.

    Args:
        y_true: labels 0 and 1, or classes, ``[row]``.
        y_prob: probability of the label 1, ``[row]``, or ``[row, class]``, of which the top label counts.
        measure: "expected" or "maximum" calibration error, the "squared" one, or that "debiased".
        n_bins: number of bins.
        strategy: "uniform" or "quantile".
        right_closed: whether a bin holds its upper edge.
        sample_weight: of each row, drawn together with it.
        confidence: coverage, in (0, 1).
        method: "centred" or "percentile".
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Returns the estimate and the ends, both in [0, 1] but for the debiased error, which may be below 0.

    Raises `ScorecraftError` as `bin_sums` does, for a confidence outside (0, 1), fewer than 2 rows or 1 resample, or an
    unknown measure or method.

    Source: Efron, 1979, Bootstrap Methods: Another Look at the Jackknife; Broecker and Smith, 2007, Increasing the
    Reliability of Reliability Diagrams, for consistency resampling.
    """
    sums = bin_sums(
        *labels_and_column(y_true, y_prob),
        n_bins,
        strategy,
        right_closed=right_closed,
        sample_weight=sample_weight,
        squares=True,
    )
    return interval_of_sums(sums, measure=measure, confidence=confidence, method=method, resamples=resamples, seed=seed)


def interval_of_sums(
    sums: BinSums,
    *,
    measure: Measure = "expected",
    confidence: float = 0.95,
    method: IntervalMethod = "centred",
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return `calibration_error_interval` from sums over bins, as a stream adds them up.

    Args:
        sums: from `bin_sums`, with their squares.
        measure: see `calibration_error_interval`, as all others.
        confidence: coverage, in (0, 1).
        method: "centred" or "percentile".
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Raises `ScorecraftError` as `calibration_error_interval` does.

    Source: Efron, 1979; Broecker and Smith, 2007.
    """
    if not 0 < confidence < 1:
        raise ScorecraftError(f"confidence: expected a number between 0 and 1, such as 0.95, got {confidence}")
    if method not in {"centred", "percentile"}:
        raise ScorecraftError(f"method: expected 'centred' or 'percentile', got {method!r}")
    if resamples < 1:
        raise ScorecraftError(f"resamples: expected at least 1, got {resamples}")
    function = measure_of(measure)
    if sums.rows.sum() < 2:
        raise ScorecraftError("calibration_error_interval: one row only; expected 2 or more to resample")
    estimate = float(function(sums.rows, sums.weight, sums.prob, sums.squares[0]))
    random = np.random.default_rng(seed)
    rows = random.multinomial(sums.rows.sum(), sums.rows.ravel() / sums.rows.sum(), size=resamples)
    rows = rows.reshape(resamples, *sums.rows.shape)
    weight, prob, squares = _resampled(sums, rows, random)
    drawn = function(rows, weight, prob, squares)
    low, high = np.quantile(drawn, ((1 - confidence) / 2, (1 + confidence) / 2)).tolist()
    if method == "centred":
        excess = float(drawn.mean()) - estimate
        low, high = low - excess, high - excess
        if estimate <= np.quantile(_consistent(sums, function, resamples, random), (1 + confidence) / 2):
            low = min(low, 0.0)
    least = -1.0 if measure == "debiased" else 0.0
    return Interval(estimate, min(max(low, least), 1.0), min(max(high, least), 1.0))


def _consistent(
    sums: BinSums,
    function: Callable[..., Any],
    resamples: int,
    random: np.random.Generator,
) -> Float64[np.ndarray, " resample"]:
    """Return errors where labels come with the stated probabilities: gaps of variance ``sum w^2 p (1 - p)``."""
    variance = (sums.squares[1] - sums.squares[2]).sum(0)
    gap = np.sqrt(np.maximum(variance, 0)) * random.standard_normal((resamples, len(variance)))
    rows, weight, square = (
        np.broadcast_to(column, (resamples, *column.shape)) for column in (sums.rows, sums.weight, sums.squares[0])
    )
    prob = np.zeros(weight.shape)
    prob[:, 1] = weight[:, 1] - gap  # only the sum over labels counts
    return function(rows, weight, prob, square)


def _resampled(
    sums: BinSums, rows: Int64[np.ndarray, "resample label bin"], random: np.random.Generator
) -> tuple[
    Float64[np.ndarray, "resample label bin"],
    Float64[np.ndarray, "resample label bin"],
    Float64[np.ndarray, "resample label bin"],
]:
    """Return sums of weight, of weight times probability and of squared weight over rows drawn from every cell."""
    held = np.maximum(sums.rows, 1)
    weight, prob = sums.weight / held, sums.prob / held
    square, cross, prob_square = sums.squares / held
    # A root of the covariance of (weight, weight times probability) in each cell: [[a, 0], [b, c]].
    a = np.sqrt(np.maximum(square - weight**2, 0))
    b = np.divide(cross - weight * prob, a, out=np.zeros_like(a), where=a > 1e-9 * weight)
    c = np.sqrt(np.maximum(prob_square - prob**2 - b**2, 0))
    root = np.sqrt(rows)
    first, second = random.standard_normal((2, *rows.shape))
    low, high = sums.edges[:-1], sums.edges[1:]
    drawn = (rows * weight + root * a * first).clip(rows * sums.least, rows * sums.most)
    weighted = (rows * prob + root * (b * first + c * second)).clip(drawn * low, drawn * high)
    return drawn, weighted, rows * square
