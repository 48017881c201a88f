"""Probabilities in bins: what is kept of every bin, from one pass over the rows."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.arrays import (
    as_array,
    as_binary,
    as_classes,
    as_distributions,
    as_floats,
    as_probabilities,
    as_weights,
)

Strategy = Literal["uniform", "quantile"]

# Rows of one step of the pass: few enough that all of its columns stay in the processor's cache.
BLOCK_ROWS = 16_384
# Stated probabilities often stand on an edge: a number is on it where it is as near as this, counted in bins.
EDGE_TOLERANCE = 5e-13


class BinSums(NamedTuple):
    """Sums over the rows of every bin, apart for the labels 0 and 1 (axis ``label``).

    edges: of the bins. rows: number of rows with a weight above 0. weight: sum of weights. prob: sum of weight times
    probability. squares: sums of ``w^2``, ``w^2 p`` and ``w^2 p^2``, with weight w and probability p. least and most:
    the smallest weight above 0, and the largest.
    """

    edges: Float64[np.ndarray, " edge"]
    rows: Int64[np.ndarray, "label bin"]
    weight: Float64[np.ndarray, "label bin"]
    prob: Float64[np.ndarray, "label bin"]
    squares: Float64[np.ndarray, "moment label bin"]
    least: float
    most: float


def bin_sums(
    y_true: Any,
    y_prob: Any,
    n_bins: int,
    strategy: Strategy = "uniform",
    *,
    right_closed: bool = False,
    sample_weight: Any = None,
    squares: bool = False,
) -> BinSums:
    """Return the sums over bins from which calibration errors, reliability curves and their intervals follow.

    Args:
        y_true: labels 0 and 1, ``[row]``.
        y_prob: probability of the label 1, ``[row]``.
        n_bins: number of bins, at least 1.
        strategy: "uniform" for bins of equal width, "quantile" for bins of equal weight. Equal probabilities always
            share a bin, so that the order of rows is of no account; some of the latter bins may then be empty.
        right_closed: whether a bin holds its upper edge instead of its lower one; the outermost edges belong to the
            outermost bins. A probability within rounding of an edge is on it.
        sample_weight: of each row, at least 0; all 1 where not given.
        squares: whether to fill ``squares``, which stay 0 otherwise.

    Raises `ScorecraftError` for no rows, unequal lengths, labels other than 0 and 1, probabilities outside [0, 1],
    bad weights, fewer than 1 bin or an unknown strategy.
    """
    if n_bins < 1 or n_bins != int(n_bins):
        raise ScorecraftError(f"n_bins: expected a whole number of at least 1, got {n_bins}")
    if strategy not in {"uniform", "quantile"}:
        raise ScorecraftError(f"strategy: expected 'uniform' or 'quantile', got {strategy!r}")
    labels, stated = _column(y_true, "y_true"), _column(y_prob, "y_prob")
    if len(labels) != len(stated):
        as_floats(stated, "y_prob", len(labels))
    weights = None if sample_weight is None else as_weights(sample_weight, len(labels))
    edges = np.linspace(0, 1, n_bins + 1)
    if strategy == "quantile":
        edges[1:-1] = _equal_weight_edges(as_probabilities(stated), n_bins, weights, right_closed)
    tolerance = EDGE_TOLERANCE
    if stated.dtype.kind == "f":
        tolerance += n_bins * float(np.finfo(stated.dtype).eps) / 2
    sums = np.zeros((6, 2 * n_bins))
    for start in range(0, len(stated), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        prob = stated[block].astype(np.float64, copy=False)
        one = labels[block] == 1
        # Comparisons that a NaN fails; the full checks, which say what is wrong in which row, come only then.
        if not (prob.min() >= 0 and prob.max() <= 1) or not _all_labels(labels[block], one):
            as_binary(labels)
            as_probabilities(stated)
        if strategy == "uniform":
            place = _uniform_bins(prob, n_bins, right_closed, tolerance)
        else:
            place = np.searchsorted(edges[1:-1], prob, side="left" if right_closed else "right")
        cell = place + n_bins * one
        _add(sums, cell, prob, None if weights is None else weights[block], squares)
    if weights is None:
        sums[1] = sums[0]
        sums[3:5] = sums[1:3]
    least = 1.0 if weights is None else float(weights[weights > 0].min())
    rows, weight, prob, *rest = sums.reshape(6, 2, n_bins)
    most = 1.0 if weights is None else float(weights.max())
    return BinSums(edges, rows.astype(np.int64), weight, prob, np.stack(rest), least, most)


def top_label(y_true: Any, y_prob: Any) -> tuple[Bool[np.ndarray, " row"], Float64[np.ndarray, " row"]]:
    """Return whether each row's most probable class is the true one, and its probability; ties go to the first.

    Args:
        y_true: classes 0 to K-1, ``[row]``.
        y_prob: ``[row, class]``.

    Raises `ScorecraftError` as `as_distributions` and `as_classes` do.

    Source: Guo et al., 2017, On Calibration of Modern Neural Networks, arXiv 1706.04599.
    """
    prob = as_distributions(y_prob)
    labels = as_classes(y_true, prob.shape[1], rows=len(prob))
    best = prob.argmax(1)
    return best == labels, np.take_along_axis(prob, best[:, None], 1)[:, 0].clip(0, 1)


def labels_and_column(y_true: Any, y_prob: Any) -> tuple[Any, Any]:
    """Return labels 0 and 1 and one column of probabilities: as given, or of the top label of ``[row, class]``.

    Args:
        y_true: labels 0 and 1, or classes.
        y_prob: ``[row]`` or ``[row, class]``.
    """
    prob = as_array(y_prob, "y_prob")
    if prob.ndim == 2 and prob.shape[1] > 1:
        return top_label(y_true, prob)
    return y_true, prob


def _column(values: Any, name: str) -> NDArray[Any]:
    """Return one column as it is, without looking at its numbers."""
    found = as_array(values, name)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or not len(found):
        as_floats(found, name)
    return found


def _all_labels(labels: NDArray[Any], one: Bool[np.ndarray, " row"]) -> bool:
    return labels.dtype == np.bool_ or bool(np.count_nonzero(one) + np.count_nonzero(labels == 0) == len(labels))


def _uniform_bins(
    prob: Float64[np.ndarray, " row"], n_bins: int, right_closed: bool, tolerance: float
) -> Int64[np.ndarray, " row"]:
    # A bin closed on the right is one closed on the left, seen from the other end.
    place = (1 - prob if right_closed else prob) * n_bins
    place += tolerance
    bins = place.astype(np.int64)
    np.minimum(bins, n_bins - 1, out=bins)
    return n_bins - 1 - bins if right_closed else bins


def _equal_weight_edges(
    stated: Float64[np.ndarray, " row"],
    n_bins: int,
    weights: Float64[np.ndarray, " row"] | None,
    right_closed: bool,
) -> Float64[np.ndarray, " edge"]:
    """Return the inner edges: of each the first probability with more than its share of the weight up to it.

    Where bins are closed on the right, the last probability with more than the share of the bins above from it on.
    """
    shares = np.arange(1, n_bins)
    if right_closed:
        return -_equal_weight_edges(-stated, n_bins, weights, False)[::-1]
    if weights is None:
        places = shares * len(stated) // n_bins
        return np.partition(stated, np.unique(places))[places] if len(places) else np.empty(0)
    held = weights > 0
    stated, weights = stated[held], weights[held]
    order = np.argsort(stated, kind="stable")
    grown = np.cumsum(weights[order])
    places = np.searchsorted(grown, shares * grown[-1] / n_bins, side="right")
    return stated[order][places.clip(0, len(stated) - 1)]


def _add(
    sums: Float64[np.ndarray, "moment cell"],
    cell: Int64[np.ndarray, " row"],
    prob: Float64[np.ndarray, " row"],
    weights: Float64[np.ndarray, " row"] | None,
    squares: bool,
) -> None:
    """Add a block to the sums of 1 (rows), w, w p, w^2, w^2 p and w^2 p^2; without weights only where not all equal."""
    cells = sums.shape[1]
    if weights is None:
        sums[0] += np.bincount(cell, minlength=cells)
        sums[2] += np.bincount(cell, prob, minlength=cells)
        if squares:
            sums[5] += np.bincount(cell, prob * prob, minlength=cells)
        return
    sums[0] += np.bincount(cell, weights > 0, minlength=cells)
    weighted = weights * prob
    columns = (weights, weighted, weights * weights, weights * weighted, weighted * weighted)
    for moment, column in enumerate(columns if squares else columns[:2], start=1):
        sums[moment] += np.bincount(cell, column, minlength=cells)
