"""Calibration errors over bins: by how much stated probabilities differ from the rates at which things happen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Num

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.arrays import as_classes, as_distributions
from scorecraft.metrics.binning import BinSums, Strategy, bin_sums, labels_and_column

Measure = Literal["expected", "maximum", "squared", "debiased"]


def expected_calibration_error(
    y_true: Any,
    y_prob: Any,
    *,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    right_closed: bool = False,
    sample_weight: Any = None,
) -> float:
    """Return the expected calibration error ``sum_b w_b/w |o_b - p_b|``.

    With w_b the weight of bin b, o_b the rate of label 1 in it and p_b the mean probability. A bin of one row counts
    with its ``|y - p|``. The error is above 0 for perfect probabilities too, by about ``0.3 sqrt(n_bins / rows)``.

    Args:
        y_true: labels 0 and 1, or classes, ``[row]``.
        y_prob: probability of the label 1, ``[row]``; of ``[row, class]`` the most probable class of each row counts,
            being right or wrong.
        n_bins: number of bins.
        strategy: "uniform" for bins of equal width, "quantile" for bins of equal weight.
        right_closed: whether a bin holds its upper edge instead of its lower one.
        sample_weight: of each row, at least 0; all 1 where not given.

    Raises `ScorecraftError` as `bin_sums` does.

    Source: Naeini, Cooper and Hauskrecht, 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning; for
    classes Guo et al., 2017, On Calibration of Modern Neural Networks, arXiv 1706.04599, eq. 3.
    """
    sums = bin_sums(
        *labels_and_column(y_true, y_prob), n_bins, strategy, right_closed=right_closed, sample_weight=sample_weight
    )
    return float(_expected(sums.rows, sums.weight, sums.prob, sums.squares[0]))


def maximum_calibration_error(
    y_true: Any,
    y_prob: Any,
    *,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    right_closed: bool = False,
    sample_weight: Any = None,
) -> float:
    """Return the largest gap of a bin, ``max_b |o_b - p_b|``, over bins of any weight.

    A bin of one row has a gap of ``|y - p|`` and may well be the largest: use few bins, or bins of equal weight.

    Args:
        y_true: see `expected_calibration_error`, as all others.
        y_prob: ``[row]`` or ``[row, class]``.
        n_bins: number of bins.
        strategy: "uniform" or "quantile".
        right_closed: whether a bin holds its upper edge.
        sample_weight: of each row.

    Raises `ScorecraftError` as `bin_sums` does.

    Source: Naeini, Cooper and Hauskrecht, 2015; Guo et al., 2017, arXiv 1706.04599, eq. 5.
    """
    sums = bin_sums(
        *labels_and_column(y_true, y_prob), n_bins, strategy, right_closed=right_closed, sample_weight=sample_weight
    )
    return float(_maximum(sums.rows, sums.weight, sums.prob, sums.squares[0]))


def classwise_calibration_error(
    y_true: Any,
    y_prob: Any,
    *,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    right_closed: bool = False,
    sample_weight: Any = None,
) -> float:
    """Return the mean over classes of the expected calibration error of "is it this class".

    Args:
        y_true: classes 0 to K-1, ``[row]``.
        y_prob: ``[row, class]``; one column stands for two classes.
        n_bins: number of bins of every class.
        strategy: "uniform" or "quantile".
        right_closed: whether a bin holds its upper edge.
        sample_weight: of each row.

    Raises `ScorecraftError` as `bin_sums` and `as_distributions` do.

    Source: Kull et al., 2019, Beyond Temperature Scaling, arXiv 1910.12656, eq. 3; with "uniform" bins the static, with
    "quantile" bins the adaptive calibration error of Nixon et al., 2019, Measuring Calibration in Deep Learning,
    arXiv 1904.01685.
    """
    prob = as_distributions(y_prob)
    labels = as_classes(y_true, prob.shape[1], rows=len(prob))
    errors = [
        expected_calibration_error(
            labels == k,
            prob[:, k],
            n_bins=n_bins,
            strategy=strategy,
            right_closed=right_closed,
            sample_weight=sample_weight,
        )
        for k in range(prob.shape[1])
    ]
    return float(np.mean(errors))


def squared_calibration_error(
    y_true: Any,
    y_prob: Any,
    *,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    right_closed: bool = False,
    sample_weight: Any = None,
    debiased: bool = True,
) -> float:
    """Return the squared calibration error ``sum_b w_b/w (o_b - p_b)^2``, less its bias.

    The squared gap of a bin of n_b rows holds the variance of its rate; ``o_b (1 - o_b) / (n_b - 1)`` estimates that
    without bias and is subtracted, so that perfect probabilities have an error of 0 on average and a single estimate
    may be below 0. For weights, ``1 / (n_b - 1)`` becomes ``s_b / (w_b^2 - s_b)``, s_b the sum of squared weights.
    A bin of one row says nothing about its error and counts 0.

    Args:
        y_true: see `expected_calibration_error`, as all others but the last.
        y_prob: ``[row]`` or ``[row, class]``.
        n_bins: number of bins.
        strategy: "uniform" or "quantile".
        right_closed: whether a bin holds its upper edge.
        sample_weight: of each row.
        debiased: False for the plain estimate, which is never below 0, and counts bins of one row.

    Raises `ScorecraftError` as `bin_sums` does.

    Source: Kumar, Liang and Ma, 2019, Verified Uncertainty Calibration, arXiv 1909.10155, section 5.
    """
    sums = bin_sums(
        *labels_and_column(y_true, y_prob),
        n_bins,
        strategy,
        right_closed=right_closed,
        sample_weight=sample_weight,
        squares=True,
    )
    measure = _debiased if debiased else _squared
    return float(measure(sums.rows, sums.weight, sums.prob, sums.squares[0]))


def l2_calibration_error(
    y_true: Any,
    y_prob: Any,
    *,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    right_closed: bool = False,
    sample_weight: Any = None,
    debiased: bool = True,
) -> float:
    """Return the root of `squared_calibration_error`, 0 where that is below 0.

    Args:
        y_true: see `squared_calibration_error`, as all others.
        y_prob: ``[row]`` or ``[row, class]``.
        n_bins: number of bins.
        strategy: "uniform" or "quantile".
        right_closed: whether a bin holds its upper edge.
        sample_weight: of each row.
        debiased: whether the square is less its bias.

    Raises `ScorecraftError` as `bin_sums` does.

    Source: Kumar, Liang and Ma, 2019, arXiv 1909.10155.
    """
    squared = squared_calibration_error(
        y_true,
        y_prob,
        n_bins=n_bins,
        strategy=strategy,
        right_closed=right_closed,
        sample_weight=sample_weight,
        debiased=debiased,
    )
    return math.sqrt(max(squared, 0.0))


# What follows takes sums over the rows of each cell, ``[..., label, bin]``, so that resamples go through at once.
Sums = Float64[np.ndarray, "*resample label bin"]
Counts = Num[np.ndarray, "*resample label bin"]


def measure_of(name: Measure) -> Callable[[Counts, Sums, Sums, Sums], Any]:
    """Return the function of rows, weight, weight times probability and squared weight by its name.

    Args:
        name: "expected", "maximum", "squared" or "debiased".

    Raises `ScorecraftError` for another name.
    """
    measures = {"expected": _expected, "maximum": _maximum, "squared": _squared, "debiased": _debiased}
    if name not in measures:
        raise ScorecraftError(f"measure: expected one of {', '.join(measures)}, got {name!r}")
    return measures[name]


def gap_of(sums: BinSums) -> Float64[np.ndarray, " bin"]:
    """Return rate less mean probability of every bin, 0 for empty ones.

    Args:
        sums: from `bin_sums`.
    """
    return _gap(sums.weight, sums.prob)


def _expected(rows: Counts, weight: Sums, prob: Sums, squares: Sums) -> Float64[np.ndarray, "*resample"] | np.float64:
    return np.abs(weight[..., 1, :] - prob.sum(-2)).sum(-1) / weight.sum((-2, -1))


def _maximum(rows: Counts, weight: Sums, prob: Sums, squares: Sums) -> Float64[np.ndarray, "*resample"] | np.float64:
    return np.abs(_gap(weight, prob)).max(-1)


def _squared(rows: Counts, weight: Sums, prob: Sums, squares: Sums) -> Float64[np.ndarray, "*resample"] | np.float64:
    total = weight.sum(-2)
    return (total * _gap(weight, prob) ** 2).sum(-1) / total.sum(-1)


def _debiased(rows: Counts, weight: Sums, prob: Sums, squares: Sums) -> Float64[np.ndarray, "*resample"] | np.float64:
    total, square = weight.sum(-2), squares.sum(-2)
    several = rows.sum(-2) > 1
    spread = np.where(several, total**2 - square, 1.0)
    rate = weight[..., 1, :] / np.where(total > 0, total, 1.0)
    errors = _gap(weight, prob) ** 2 - rate * (1 - rate) * square / spread
    return (total * np.where(several, errors, 0.0)).sum(-1) / total.sum(-1)


def _gap(weight: Sums, prob: Sums) -> Float64[np.ndarray, "*resample bin"]:
    total = weight.sum(-2)
    return (weight[..., 1, :] - prob.sum(-2)) / np.where(total > 0, total, 1.0)
