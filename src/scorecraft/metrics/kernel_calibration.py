"""Calibration error without bins: the squared kernel calibration error, estimated without bias."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.arrays import as_array, as_binary, as_classes, as_distributions, as_probabilities, as_weights

Kernel = Literal["laplacian", "gaussian"]

# Rows whose distances to all others are held at once, and rows that the median distance is taken of.
BLOCK_ROWS, MEDIAN_ROWS = 512, 1000
# exp of this is far from overflow, and so is its square.
LONGEST_STRETCH = 300.0


def kernel_calibration_error(
    y_true: Any,
    y_prob: Any,
    *,
    kernel: Kernel = "laplacian",
    bandwidth: float | Literal["median"] = "median",
    block_size: int | None = None,
    sample_weight: Any = None,
) -> float:
    """Return the unbiased estimate of the squared kernel calibration error (SKCE).

    With residuals ``d_i = e_{y_i} - p_i`` it is ``sum_{i != j} w_i w_j k(p_i, p_j) d_i . d_j / sum_{i != j} w_i w_j``:
    0 on average for calibrated probabilities, so that an estimate may be below 0. For one column, d is ``y - p`` of the
    label 1, which is half of the value for the same forecasts in two columns.

    One column with the Laplacian kernel takes ``n log n`` steps; all else takes ``n^2``, or with blocks
    ``n block_size``, at the price of a larger variance.

    Args:
        y_true: labels 0 and 1, or classes 0 to K-1, ``[row]``; all classes are compared, not only the top one.
        y_prob: probability of the label 1, ``[row]``, or ``[row, class]``.
        kernel: "laplacian", ``exp(-t / h)`` with t the total variation distance (of one column ``|p - q|``), or
            "gaussian", ``exp(-d^2 / 2h^2)`` with d the Euclidean distance.
        bandwidth: h, above 0, or "median" for the median distance of up to 1,000 rows spread over the data (1 where
            that is 0, as for constant probabilities).
        block_size: only pairs within blocks of so many rows in their order count, at least 2; all pairs by default.
        sample_weight: of each row, at least 0; all 1 where not given.

    Raises `ScorecraftError` for fewer than 2 rows with a weight, unequal lengths, labels that are none, numbers outside
    [0, 1], bad weights, or an unknown kernel, a bandwidth or a block size that cannot be.

    Source: Widmann, Lindsten and Zachariah, 2019, Calibration Tests in Multi-class Classification, arXiv 1910.11385,
    table 1 (SKCE_uq, and for blocks of two SKCE_ul).
    """
    if kernel not in {"laplacian", "gaussian"}:
        raise ScorecraftError(f"kernel: expected 'laplacian' or 'gaussian', got {kernel!r}")
    if block_size is not None and block_size < 2:
        raise ScorecraftError(f"block_size: expected at least 2 rows, so that there are pairs, got {block_size}")
    prob, residual = _residuals(y_true, y_prob)
    weights = as_weights(sample_weight, len(prob))
    held = weights > 0
    prob, residual, weights = prob[held], residual[held] * weights[held, None], weights[held]
    if len(prob) < 2:
        raise ScorecraftError("kernel_calibration_error: one row only; expected 2 or more, so that there are pairs")
    width = _bandwidth(prob, kernel, bandwidth)
    size = block_size or len(prob)
    total = pairs = 0.0
    for start in range(0, len(prob), size):
        block = slice(start, start + size)
        own = weights[block]
        pairs += float(own.sum() ** 2 - own @ own) / 2
        if kernel == "laplacian" and prob.shape[1] == 1:
            total += _sorted_sum(prob[block, 0] / width, residual[block, 0])
        else:
            total += _pairwise_sum(prob[block], residual[block], kernel, width)
    return total / pairs


def _residuals(y_true: Any, y_prob: Any) -> tuple[Float64[np.ndarray, "row class"], Float64[np.ndarray, "row class"]]:
    found = as_array(y_prob, "y_prob")
    if found.ndim == 2 and found.shape[1] > 1:
        prob = as_distributions(found)
        labels = as_classes(y_true, prob.shape[1], rows=len(prob))
        return prob, np.eye(prob.shape[1])[labels] - prob
    column = as_probabilities(found)
    return column[:, None], (as_binary(y_true, rows=len(column)) - column)[:, None]


def _distances(
    first: Float64[np.ndarray, "row class"], second: Float64[np.ndarray, "other class"], kernel: Kernel
) -> Float64[np.ndarray, "row other"]:
    found = np.zeros((len(first), len(second)))
    for k in range(first.shape[1]):
        apart = first[:, k, None] - second[None, :, k]
        found += np.abs(apart) if kernel == "laplacian" else apart * apart
    if kernel == "gaussian":
        return np.sqrt(found)
    return found / 2 if first.shape[1] > 1 else found


def _bandwidth(prob: Float64[np.ndarray, "row class"], kernel: Kernel, bandwidth: float | str) -> float:
    if bandwidth == "median":
        spread = prob[np.linspace(0, len(prob) - 1, min(len(prob), MEDIAN_ROWS)).astype(np.int64)]
        middle = float(np.median(_distances(spread, spread, kernel)[np.triu_indices(len(spread), 1)]))
        return middle or 1.0
    if isinstance(bandwidth, str) or not 0 < bandwidth < np.inf:
        raise ScorecraftError(f"bandwidth: expected a number above 0 or 'median', got {bandwidth!r}")
    return float(bandwidth)


def _pairwise_sum(
    prob: Float64[np.ndarray, "row class"], residual: Float64[np.ndarray, "row class"], kernel: Kernel, width: float
) -> float:
    """Return ``sum_{i < j} k(p_i, p_j) d_i . d_j``, some rows against all later ones at a time."""
    total = 0.0
    for start in range(0, len(prob), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        scaled = _distances(prob[rows], prob[start:], kernel) / width
        near = np.exp(-scaled if kernel == "laplacian" else -(scaled**2) / 2)
        count = len(near)
        near[:, :count] = np.triu(near[:, :count], 1)
        total += float(((near @ residual[start:]) * residual[rows]).sum())
    return total


def _sorted_sum(place: Float64[np.ndarray, " row"], residual: Float64[np.ndarray, " row"]) -> float:
    """Return ``sum_{i < j} d_i d_j exp(-|x_i - x_j|)`` from one walk over the sorted places x.

    ``exp(-(x_j - x_i)) = exp(-(x_j - a)) exp(x_i - a)``, so that running sums do; in stretches, each with an anchor a
    of its own, for exp not to overflow.
    """
    order = np.argsort(place, kind="stable")
    place, residual = place[order], residual[order]
    total = carried = 0.0  # sum of d_i exp(-(a - x_i)) over earlier stretches
    start = 0
    while start < len(place):
        stop = int(np.searchsorted(place, place[start] + LONGEST_STRETCH, side="right"))
        beyond = place[start:stop] - place[start]
        grown = np.cumsum(residual[start:stop] * np.exp(beyond))
        before = np.concatenate(([0.0], grown[:-1])) + carried
        total += float((residual[start:stop] * np.exp(-beyond)) @ before)
        if stop < len(place):
            carried = float(carried + grown[-1]) * float(np.exp(place[start] - place[stop]))
        start = stop
    return total
