"""Proper scoring rules: one number for forecasts, best on average where the forecast is the true probability.

Every rule has a form per row (``brier_scores``), to compare forecasters row by row, and its mean (``brier_score``).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.arrays import as_array, as_binary, as_classes, as_distributions, as_probabilities, as_weights
from scorecraft.metrics.binning import BinSums, bin_sums


class BrierParts(NamedTuple):
    """A Brier score in parts: ``brier = reliability - resolution + uncertainty + within_bins``.

    reliability: mean squared gap between forecast and frequency of a bin; 0 is best. resolution: how far frequencies
    of bins are from that of all rows. uncertainty: the variance of the labels. within_bins: what is left, because
    forecasts of one bin differ; 0 where every forecast has a bin of its own.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float


def brier_scores(y_true: Any, y_prob: Any) -> Float64[np.ndarray, " row"]:
    """Return the Brier score of every row: ``(p - y)^2``, and for classes ``sum_k (p_k - [y = k])^2``, at most 2.

    Args:
        y_true: labels 0 and 1, or classes 0 to K-1, ``[row]``.
        y_prob: probability of the label 1, ``[row]``, or ``[row, class]``.

    Raises `ScorecraftError` for no rows, unequal lengths, labels that are none, numbers outside [0, 1], or rows of
    probabilities that do not sum to 1.

    Source: Brier, 1950, Verification of Forecasts Expressed in Terms of Probability.
    """
    labels, prob = _forecasts(y_true, y_prob)
    if prob.ndim == 1:
        return (prob - labels) ** 2
    return ((prob - np.eye(prob.shape[1])[labels.astype(np.int64)]) ** 2).sum(1)


def brier_score(y_true: Any, y_prob: Any, *, sample_weight: Any = None) -> float:
    """Return the mean Brier score; 0 is perfect.

    Args:
        y_true: see `brier_scores`.
        y_prob: ``[row]`` or ``[row, class]``; two columns have twice the score of one.
        sample_weight: of each row, at least 0; all 1 where not given.

    Raises `ScorecraftError` as `brier_scores` does, and for bad weights.

    Source: Brier, 1950.
    """
    return _mean(brier_scores(y_true, y_prob), sample_weight)


def brier_decomposition(
    y_true: Any, y_prob: Any, n_bins: int | None = None, *, sample_weight: Any = None
) -> BrierParts:
    """Return the Brier score and its parts: reliability, resolution, uncertainty and what bins leave over.

    With w_b the share of bin b, p_b its mean forecast, o_b its frequency of ones, and o that of all rows:
    ``reliability = sum_b w_b (p_b - o_b)^2``, ``resolution = sum_b w_b (o_b - o)^2``, ``uncertainty = o (1 - o)``.
    For classes each part is the sum over classes of that of "is it this class".

    Args:
        y_true: labels 0 and 1, or classes 0 to K-1, ``[row]``.
        y_prob: probability of the label 1, ``[row]``, or ``[row, class]``.
        n_bins: number of bins of equal width, each with its lower edge, the last with both; where not given, all
            distinct forecasts have a bin of their own and ``within_bins`` is 0 but for rounding.
        sample_weight: of each row, at least 0; all 1 where not given.

    Where only one class occurs, uncertainty and resolution are 0.

    Raises `ScorecraftError` as `brier_scores` does, for fewer than 1 bin, and for bad weights.

    Source: Murphy, 1973, A New Vector Partition of the Probability Score; for ``within_bins`` Stephenson, Coelho and
    Jolliffe, 2008, Two Extra Components in the Brier Score Decomposition.
    """
    labels, prob = _forecasts(y_true, y_prob)
    weights = as_weights(sample_weight, len(labels))
    if prob.ndim == 1:
        return _parts(labels == 1, prob, n_bins, weights)
    parts = [_parts(labels == k, prob[:, k], n_bins, weights) for k in range(prob.shape[1])]
    return BrierParts(*(math.fsum(values) for values in zip(*parts, strict=True)))


def log_losses(y_true: Any, y_prob: Any, *, clip: float = 0.0) -> Float64[np.ndarray, " row"]:
    """Return the log loss of every row, ``-ln p_y``, in nats.

    Args:
        y_true: see `brier_scores`.
        y_prob: ``[row]`` or ``[row, class]``.
        clip: probabilities of what happened count as at least this. At 0 the loss of what was said to be impossible
            is infinite, as the rule has it.

    Raises `ScorecraftError` as `brier_scores` does, and for a ``clip`` outside [0, 1).

    Source: Good, 1952, Rational Decisions.
    """
    if not 0 <= clip < 1:
        raise ScorecraftError(f"clip: expected a number in [0, 1), such as 1e-15, got {clip}")
    of_label, _ = _of_label(*_forecasts(y_true, y_prob))
    with np.errstate(divide="ignore"):
        return 0.0 - np.log(of_label.clip(clip, 1))


def log_loss(y_true: Any, y_prob: Any, *, clip: float = 0.0, sample_weight: Any = None) -> float:
    """Return the mean log loss in nats; infinite where something happened that was given the probability 0.

    Args:
        y_true: see `brier_scores`.
        y_prob: ``[row]`` or ``[row, class]``.
        clip: see `log_losses`.
        sample_weight: of each row; a row of weight 0 does not count, however large its loss.

    Raises `ScorecraftError` as `log_losses` does, and for bad weights.

    Source: Good, 1952.
    """
    return _mean(log_losses(y_true, y_prob, clip=clip), sample_weight)


def spherical_scores(y_true: Any, y_prob: Any) -> Float64[np.ndarray, " row"]:
    """Return the spherical score of every row, ``p_y / sqrt(sum_k p_k^2)``, in [0, 1]; higher is better.

    Args:
        y_true: see `brier_scores`.
        y_prob: ``[row]`` or ``[row, class]``.

    Raises `ScorecraftError` as `brier_scores` does.

    Source: Gneiting and Raftery, 2007, Strictly Proper Scoring Rules, Prediction, and Estimation, section 3.2.
    """
    of_label, squares = _of_label(*_forecasts(y_true, y_prob))
    return of_label / np.sqrt(squares)


def spherical_score(y_true: Any, y_prob: Any, *, sample_weight: Any = None) -> float:
    """Return the mean spherical score; 1 is perfect, and higher is better.

    Args:
        y_true: see `brier_scores`.
        y_prob: ``[row]`` or ``[row, class]``.
        sample_weight: of each row.

    Raises `ScorecraftError` as `brier_scores` does, and for bad weights.

    Source: Gneiting and Raftery, 2007.
    """
    return _mean(spherical_scores(y_true, y_prob), sample_weight)


def ranked_probability_scores(y_true: Any, y_prob: Any, *, normalized: bool = False) -> Float64[np.ndarray, " row"]:
    """Return the ranked probability score of every row, ``sum_{k < K-1} (P(Y <= k) - [y <= k])^2``.

    For ordered classes: it is smaller where the probability is near the true class. For two it is the Brier score.

    Args:
        y_true: see `brier_scores`.
        y_prob: ``[row]`` or ``[row, class]``, the classes in their order.
        normalized: whether to divide by ``K - 1``, so that it is in [0, 1].

    Raises `ScorecraftError` as `brier_scores` does.

    Source: Epstein, 1969, A Scoring System for Probability Forecasts of Ranked Categories; Murphy, 1971.
    """
    labels, prob = _forecasts(y_true, y_prob)
    if prob.ndim == 1:
        return (prob - labels) ** 2
    classes = prob.shape[1]
    reached = labels[:, None] <= np.arange(classes - 1)
    scores = ((np.cumsum(prob, 1)[:, :-1] - reached) ** 2).sum(1)
    return scores / max(classes - 1, 1) if normalized else scores


def ranked_probability_score(y_true: Any, y_prob: Any, *, normalized: bool = False, sample_weight: Any = None) -> float:
    """Return the mean ranked probability score; 0 is perfect.

    Args:
        y_true: see `brier_scores`.
        y_prob: ``[row]`` or ``[row, class]``, the classes in their order.
        normalized: whether to divide by ``K - 1``.
        sample_weight: of each row.

    Raises `ScorecraftError` as `brier_scores` does, and for bad weights.

    Source: Epstein, 1969; Murphy, 1971.
    """
    return _mean(ranked_probability_scores(y_true, y_prob, normalized=normalized), sample_weight)


def _forecasts(
    y_true: Any, y_prob: Any
) -> tuple[
    Bool[np.ndarray, " row"] | Int64[np.ndarray, " row"],
    Float64[np.ndarray, " row"] | Float64[np.ndarray, "row class"],
]:
    """Return booleans and one column, or classes and rows of probabilities."""
    prob = as_array(y_prob, "y_prob")
    if prob.ndim == 2 and prob.shape[1] > 1:
        rows = as_distributions(prob)
        return as_classes(y_true, rows.shape[1], rows=len(rows)), rows
    column = as_probabilities(prob)
    return as_binary(y_true, rows=len(column)), column


def _of_label(
    labels: Bool[np.ndarray, " row"] | Int64[np.ndarray, " row"],
    prob: Float64[np.ndarray, " row"] | Float64[np.ndarray, "row class"],
) -> tuple[Float64[np.ndarray, " row"], Float64[np.ndarray, " row"]]:
    """Return the probability of what happened, and the sum of the squares of all probabilities."""
    if prob.ndim == 1:
        return np.where(labels, prob, 1 - prob), prob**2 + (1 - prob) ** 2
    return np.take_along_axis(prob, labels.astype(np.int64)[:, None], 1)[:, 0], (prob**2).sum(1)


def _mean(scores: Float64[np.ndarray, " row"], sample_weight: Any) -> float:
    if sample_weight is None:
        return float(scores.mean())
    weights = as_weights(sample_weight, len(scores))
    held = weights > 0  # or an infinite loss of weight 0 would be a NaN
    return float(scores[held] @ weights[held] / weights[held].sum())


def _parts(
    happened: Bool[np.ndarray, " row"],
    prob: Float64[np.ndarray, " row"],
    n_bins: int | None,
    weights: Float64[np.ndarray, " row"],
) -> BrierParts:
    score = float(weights @ (prob - happened) ** 2 / weights.sum())
    if n_bins is not None:
        return decomposition_of_sums(bin_sums(happened, prob, n_bins, sample_weight=weights), score)
    values, place = np.unique(prob, return_inverse=True)
    return _split(np.bincount(place, weights), np.bincount(place, weights * happened), values, score)


def decomposition_of_sums(sums: BinSums, score: float) -> BrierParts:
    """Return `brier_decomposition` from sums over bins, as a stream adds them up, and the Brier score.

    Args:
        sums: from `bin_sums`.
        score: the Brier score of the same rows, for ``within_bins``.

    Source: Murphy, 1973; Stephenson, Coelho and Jolliffe, 2008.
    """
    total = sums.weight.sum(0)
    return _split(total, sums.weight[1], sums.prob.sum(0) / np.where(total > 0, total, 1.0), score)


def _split(
    total: Float64[np.ndarray, " bin"],
    ones: Float64[np.ndarray, " bin"],
    forecast: Float64[np.ndarray, " bin"],
    score: float,
) -> BrierParts:
    held = total > 0
    share, frequency, forecast = total[held] / total.sum(), ones[held] / total[held], forecast[held]
    base = float(ones.sum() / total.sum())
    reliability = float(share @ (forecast - frequency) ** 2)
    resolution = float(share @ (frequency - base) ** 2)
    uncertainty = base * (1 - base)
    return BrierParts(score, reliability, resolution, uncertainty, score - (reliability - resolution + uncertainty))
