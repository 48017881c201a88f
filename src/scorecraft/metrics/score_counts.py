"""Ranking metrics of counts: how many rows of each class have each score, or lie in each narrow bin of scores.

With a bin for every distinct score all is exact. With bins that hold several scores every metric comes with a bound on
its distance from the exact one, which follows from the counts themselves.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.arrays import as_binary, as_floats
from scorecraft.metrics.binning import BinSums
from scorecraft.stats.intervals import Interval

# Bins that resamples of the average precision are drawn in: the spread hardly depends on more.
COARSE_BINS = 512


class ScoreCounts(NamedTuple):
    """Rows by score, from low to high scores, without empty bins.

    value: a score of the bin. negatives and positives: number of rows of each class. score: sums of the scores of both
    classes. mixed: whether the bin holds more than one score.
    """

    value: Float64[np.ndarray, " bin"]
    negatives: Int64[np.ndarray, " bin"]
    positives: Int64[np.ndarray, " bin"]
    score: Float64[np.ndarray, "label bin"]
    mixed: Bool[np.ndarray, " bin"]


class Bounded(NamedTuple):
    """A metric and how far the exact one can be from it at most; 0 where it is exact."""

    value: float
    bound: float


def count_scores(y_true: Any, y_score: Any) -> ScoreCounts:
    """Return the rows of each class at every distinct score.

    Args:
        y_true: labels 0 and 1, ``[row]``.
        y_score: of each row, on any scale, higher for 1.

    Raises `ScorecraftError` for no rows, unequal lengths, other labels or scores that are not finite.
    """
    positive = as_binary(y_true)
    score = as_floats(y_score, "y_score", len(positive))
    sides = [np.unique(score[positive == label], return_counts=True) for label in (False, True)]
    values = np.union1d(sides[0][0], sides[1][0])
    counts = np.zeros((2, len(values)), dtype=np.int64)
    for label, (found, count) in enumerate(sides):
        counts[label, np.searchsorted(values, found)] = count
    return ScoreCounts(values, counts[0], counts[1], counts * values, np.zeros(len(values), dtype=np.bool_))


def equal_weight_sums(counts: ScoreCounts, n_bins: int) -> tuple[BinSums, float]:
    """Return sums over bins of about equally many rows, and a bound on what bins of scores cost the expected error.

    Bins are cut as by `bin_sums` with the strategy "quantile", between bins of scores. A row on the wrong side of a cut
    changes the sums of gaps of two bins by at most 1 each, so that the expected calibration error is off by at most
    ``2 sum_cuts n_cut / n``, with n_cut the rows of the bin of scores that a cut falls into.

    Args:
        counts: from `count_scores` or a stream, of probabilities.
        n_bins: number of bins, at least 1.
    """
    rows = np.stack((counts.negatives, counts.positives))
    grown = np.cumsum(rows.sum(0))
    places = np.searchsorted(grown, np.arange(1, n_bins) * grown[-1] // n_bins, side="right")
    cell = np.searchsorted(places, np.arange(len(grown)), side="right")
    squares = np.divide(counts.score**2, rows, out=np.zeros(rows.shape), where=rows > 0)
    found = [
        np.stack([np.bincount(cell, column, minlength=n_bins) for column in columns])
        for columns in (rows, counts.score, squares)
    ]
    edges = np.concatenate(([0.0], counts.value[places], [1.0]))
    sums = BinSums(
        edges, found[0].astype(np.int64), found[0], found[1], np.stack((found[0], found[1], found[2])), 1.0, 1.0
    )
    cut = np.unique(places)
    return sums, min(1.0, 2 * float(rows.sum(0)[cut[counts.mixed[cut]]].sum() / grown[-1]))


def area_under_roc(counts: ScoreCounts) -> Bounded:
    """Return the area under the ROC curve, ``sum_b p_b (n_<b + n_b / 2) / (P N)``.

    With p_b and n_b the positives and negatives of bin b, P and N all of them. Pairs of one bin count half; each may
    count 0 or 1 in truth, so the bound is ``sum_b p_b n_b / (2 P N)`` over the bins of more than one score.

    Args:
        counts: with rows of both classes.

    Raises `ScorecraftError` for one class only.

    Source: Hanley and McNeil, 1982, The Meaning and Use of the Area under a ROC Curve.
    """
    positives, negatives = _totals("area_under_roc", counts)
    area = float(counts.positives @ _below(counts.negatives)) / positives / negatives
    within = float((counts.positives * counts.negatives.astype(np.float64))[counts.mixed].sum())
    return Bounded(area, within / 2 / positives / negatives)


def area_under_roc_interval(counts: ScoreCounts, *, confidence: float = 0.95) -> Interval | None:
    """Return the area under the ROC curve with its DeLong interval on the logit scale; None where it has no variance.

    See `scorecraft.metrics.roc_auc_interval`. There is no variance for fewer than two rows of a class, constant scores,
    or classes that do not overlap.

    Args:
        counts: with rows of both classes.
        confidence: coverage, in (0, 1).

    Raises `ScorecraftError` for one class only.

    Source: DeLong, DeLong and Clarke-Pearson, 1988.
    """
    positives, negatives = _totals("area_under_roc_interval", counts)
    if min(positives, negatives) < 2:
        return None
    above, below = placements(counts)
    area = float(counts.positives @ above) / positives
    variance = _variance(above, counts.positives) / positives + _variance(below, counts.negatives) / negatives
    if variance <= 1e-24 or not 0 < area < 1:
        return None
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance) / (area * (1 - area))
    centre = math.log(area / (1 - area))
    return Interval(area, 1 / (1 + math.exp(half - centre)), 1 / (1 + math.exp(-centre - half)))


def placements(counts: ScoreCounts) -> tuple[Float64[np.ndarray, " bin"], Float64[np.ndarray, " bin"]]:
    """Return for each bin the share of negatives below it and that of positives above it, its own counting half.

    Args:
        counts: with rows of both classes.
    """
    return (
        _below(counts.negatives) / counts.negatives.sum(),
        1 - _below(counts.positives) / counts.positives.sum(),
    )


def average_precision_of(counts: ScoreCounts) -> Bounded:
    """Return the average precision ``sum_b p_b / P * H_b / (H_b + M_b)``, H_b and M_b what is in bin b and above.

    For a bin of several scores, every positive of it has a precision of at most ``H_b / (H_b + M_>b)``, and the i-th of
    them from above one of at least ``(H_>b + i) / (H_>b + i + M_b)``; the bound is the farther of both sums.

    Args:
        counts: with rows of both classes.

    Raises `ScorecraftError` for one class only.

    Source: Boyd, Eng and Page, 2013, Area under the Precision-Recall Curve, for the metric.
    """
    positives, _ = _totals("average_precision_of", counts)
    caught, alarms = counts.positives[::-1].astype(np.float64), counts.negatives[::-1].astype(np.float64)
    hits, misses = np.cumsum(caught), np.cumsum(alarms)
    tied = caught * hits / (hits + misses)
    mixed = counts.mixed[::-1] & (caught > 0)
    caught, alarms, hits, misses = (column[mixed] for column in (caught, alarms, hits, misses))
    up = float((caught * hits / (hits + misses - alarms) - tied[mixed]).sum())
    down = float((tied[mixed] - _least_precision(hits - caught, caught, misses)).sum())
    return Bounded(float(tied.sum()) / positives, max(up, down, 0.0) / positives)


def average_precision_interval_of(
    counts: ScoreCounts, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Return the average precision with its percentile bootstrap interval, each class resampled by itself.

    Where there are more bins, resamples are drawn in 512 that hold about equal shares of both classes, and their
    quantiles moved by the difference that this makes to the estimate.

    Args:
        counts: with rows of both classes.
        confidence: coverage, in (0, 1).
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Raises `ScorecraftError` for one class only.

    Source: Boyd, Eng and Page, 2013; Efron, 1979, Bootstrap Methods: Another Look at the Jackknife.
    """
    positives, negatives = _totals("average_precision_interval_of", counts)
    estimate = average_precision_of(counts).value
    caught, alarms = _coarse(counts)
    random = np.random.default_rng(seed)
    drawn = _precision(
        random.multinomial(positives, caught / positives, resamples),
        random.multinomial(negatives, alarms / negatives, resamples),
    )
    moved = estimate - float(_precision(caught, alarms))
    low, high = (np.quantile(drawn, ((1 - confidence) / 2, (1 + confidence) / 2)) + moved).clip(0, 1).tolist()
    return Interval(estimate, min(low, estimate), max(high, estimate))


def false_alarms_at(counts: ScoreCounts, tpr: float = 0.95) -> Bounded:
    """Return the smallest false positive rate of a threshold that catches a share ``tpr`` of the positives.

    The whole bin of the threshold is called positive; of its negatives none may be above the threshold in truth, so the
    bound is their share where the bin holds more than one score.

    Args:
        counts: with rows of both classes.
        tpr: share of positives to catch, in (0, 1].

    Raises `ScorecraftError` for one class only or a ``tpr`` outside (0, 1].

    Source: Liang, Li and Srikant, 2017, arXiv 1706.02690, section 4.3.
    """
    _, negatives = _totals("false_alarms_at", counts)
    place = _threshold_place(counts, tpr)
    alarms = int(counts.negatives[place:].sum())
    return Bounded(alarms / negatives, counts.negatives[place] / negatives if counts.mixed[place] else 0.0)


def false_alarms_interval(
    counts: ScoreCounts, tpr: float = 0.95, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Return `false_alarms_at` with its percentile bootstrap interval, as `scorecraft.metrics.fpr_at_tpr_interval`.

    Args:
        counts: with rows of both classes.
        tpr: share of positives to catch, in (0, 1].
        confidence: coverage, in (0, 1).
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Raises `ScorecraftError` for one class only or a ``tpr`` outside (0, 1].

    Source: Efron, 1979.
    """
    positives, negatives = _totals("false_alarms_interval", counts)
    estimate = false_alarms_at(counts, tpr).value
    rank = positives - math.ceil(tpr * positives * (1 - 1e-12)) + 1
    random = np.random.default_rng(seed)
    ranks = (positives * random.beta(rank, positives - rank + 1, resamples)).astype(np.int64).clip(0, positives - 1)
    place = np.searchsorted(np.cumsum(counts.positives), ranks, side="right")
    beyond = negatives - (np.cumsum(counts.negatives) - counts.negatives)[place]
    drawn = random.binomial(negatives, beyond / negatives) / negatives
    low, high = np.quantile(drawn, ((1 - confidence) / 2, (1 + confidence) / 2)).tolist()
    return Interval(estimate, low, high)


def _totals(name: str, counts: ScoreCounts) -> tuple[int, int]:
    positives, negatives = int(counts.positives.sum()), int(counts.negatives.sum())
    if not positives or not negatives:
        raise ScorecraftError(f"{name}: no row of the label {int(not positives)}; expected rows of both classes")
    return positives, negatives


def _below(count: Int64[np.ndarray, " bin"]) -> Float64[np.ndarray, " bin"]:
    return np.cumsum(count) - count / 2


def _variance(values: Float64[np.ndarray, " bin"], count: Int64[np.ndarray, " bin"]) -> float:
    rows = count.sum()
    return float(count @ (values - count @ values / rows) ** 2 / (rows - 1))


def _threshold_place(counts: ScoreCounts, tpr: float) -> int:
    if not 0 < tpr <= 1:
        raise ScorecraftError(f"tpr: expected a share in (0, 1], such as 0.95, got {tpr}")
    caught = np.cumsum(counts.positives[::-1])
    return len(caught) - 1 - int(np.searchsorted(caught, tpr * caught[-1] * (1 - 1e-12)))


def _least_precision(
    above: Float64[np.ndarray, " bin"], caught: Float64[np.ndarray, " bin"], misses: Float64[np.ndarray, " bin"]
) -> Float64[np.ndarray, " bin"]:
    """Return ``sum_{i=1..c} (a + i) / (a + i + m)`` of each bin."""
    from scipy.special import digamma

    return caught - misses * (digamma(above + caught + misses + 1) - digamma(above + misses + 1))


def _coarse(counts: ScoreCounts) -> tuple[Int64[np.ndarray, " step"], Int64[np.ndarray, " step"]]:
    """Return positives and negatives from the highest scores down, in bins of about equal shares of both classes."""
    caught, alarms = counts.positives[::-1], counts.negatives[::-1]
    if len(caught) <= COARSE_BINS:
        return caught, alarms
    grown = np.cumsum(caught) / caught.sum() + np.cumsum(alarms) / alarms.sum()
    step = np.minimum((grown * COARSE_BINS / 2).astype(np.int64), COARSE_BINS - 1)
    starts = np.flatnonzero(np.diff(step, prepend=-1))
    return np.add.reduceat(caught, starts), np.add.reduceat(alarms, starts)


def _precision(
    caught: Num[np.ndarray, "*resample step"], alarms: Num[np.ndarray, "*resample step"]
) -> Float64[np.ndarray, "*resample"] | np.float64:
    hits, misses = np.cumsum(caught, -1), np.cumsum(alarms, -1)
    return (caught * (hits / np.maximum(hits + misses, 1))).sum(-1) / hits[..., -1]
