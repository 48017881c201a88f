"""How well scores put one class above the other, with intervals and a paired test."""

from __future__ import annotations

import math
import warnings
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Num

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.metrics.arrays import as_binary, as_floats, as_weights
from scorecraft.stats.intervals import Interval

# Numbers that resampling holds at once.
HELD_NUMBERS = 4_000_000


class DeLongTest(NamedTuple):
    """Two areas under the ROC curve on the same rows, their difference with its interval, z and two-sided p-value."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    z: float
    p_value: float


def roc_auc(y_true: Any, y_score: Any, *, sample_weight: Any = None) -> float:
    """Return the area under the ROC curve: how probably a positive has a higher score than a negative, ties half.

    Constant scores have an area of 0.5.

    Args:
        y_true: labels 0 and 1, both occurring, ``[row]``.
        y_score: of each row, on any scale, higher for 1.
        sample_weight: of each row, at least 0; all 1 where not given.

    Raises `ScorecraftError` for no rows, unequal lengths, other labels, scores that are not finite, bad weights, or one
    class only.

    Source: Hanley and McNeil, 1982, The Meaning and Use of the Area under a ROC Curve.
    """
    positives, negatives, weights = _counted("roc_auc", y_true, y_score, sample_weight)
    if sample_weight is None:
        return float(_midranks(np.sort(negatives), np.sort(positives)).mean() / len(negatives))
    order = np.argsort(negatives)
    below = np.concatenate(([0.0], np.cumsum(weights[1][order])))
    ranked = negatives[order]
    halves = below[np.searchsorted(ranked, positives)] + below[np.searchsorted(ranked, positives, side="right")]
    return float(weights[0] @ halves / (2 * weights[0].sum() * below[-1]))


def roc_auc_interval(
    y_true: Any, y_score: Any, *, confidence: float = 0.95, method: Literal["logit", "wald"] = "logit"
) -> Interval:
    """Return the area under the ROC curve A with its DeLong interval.

    The variance is ``S(V10)/m + S(V01)/n``: V10 of each of m positives is the share of negatives below it, V01 of each
    of n negatives the share of positives above it, S the sample variance. "logit" takes the interval ``logit A +- z
    sd / (A (1 - A))``, which stays in (0, 1) and covers better near its ends; "wald" is ``A +- z sd``, cut to [0, 1].

    Args:
        y_true: labels 0 and 1, each at least twice, ``[row]``.
        y_score: of each row, on any scale.
        confidence: coverage, in (0, 1).
        method: "logit" or "wald".

    Where the variance is 0, as for constant scores or classes that do not overlap, the interval is the estimate alone,
    with a `ScorecraftWarning`: such data say nothing of their spread.

    Raises `ScorecraftError` as `roc_auc` does, for fewer than 2 rows of a class, and for a confidence outside (0, 1).

    Source: DeLong, DeLong and Clarke-Pearson, 1988, Comparing the Areas under Two or More Correlated Receiver Operating
    Characteristic Curves; Sun and Xu, 2014, Fast Implementation of DeLong's Algorithm; Pepe, 2003, for "logit".
    """
    z = _quantile(confidence)
    if method not in {"logit", "wald"}:
        raise ScorecraftError(f"method: expected 'logit' or 'wald', got {method!r}")
    above, below = _placements("roc_auc_interval", y_true, y_score)
    area, deviation = float(above.mean()), math.sqrt(_variance(above, below))
    if deviation == 0:
        warnings.warn(
            f"roc_auc_interval: the area of {area:g} has no variance by DeLong's formula; the interval is a point",
            ScorecraftWarning,
            stacklevel=2,
        )
        return Interval(area, area, area)
    if method == "wald":
        return Interval(area, max(area - z * deviation, 0.0), min(area + z * deviation, 1.0))
    centre, half = math.log(area / (1 - area)), z * deviation / (area * (1 - area))
    return Interval(area, 1 / (1 + math.exp(half - centre)), 1 / (1 + math.exp(-centre - half)))


def delong_test(y_true: Any, first: Any, second: Any, *, confidence: float = 0.95) -> DeLongTest:
    """Return whether two scores of the same rows differ in their area under the ROC curve.

    ``z = (A1 - A2) / sd``, with the variance of the difference as in `roc_auc_interval`, from V10 and V01 of the first
    less those of the second, which accounts for their correlation.

    Args:
        y_true: labels 0 and 1, each at least twice, ``[row]``.
        first: score of each row, on any scale.
        second: the other score of each row, on its own scale.
        confidence: coverage of the interval of the difference, in (0, 1).

    Where the difference has no variance, z is 0 and the p-value 1 for equal areas, and z infinite and the p-value 0 for
    others.

    Raises `ScorecraftError` as `roc_auc_interval` does.

    Source: DeLong, DeLong and Clarke-Pearson, 1988.
    """
    quantile = _quantile(confidence)
    above, below = _placements("delong_test", y_true, first)
    other_above, other_below = _placements("delong_test", y_true, second)
    difference = float(above.mean() - other_above.mean())
    deviation = math.sqrt(_variance(above - other_above, below - other_below))
    if deviation > 0:
        z = difference / deviation
    else:
        z = 0.0 if abs(difference) < 1e-12 else math.copysign(math.inf, difference)
    p_value = math.erfc(abs(z) / math.sqrt(2))
    half = quantile * deviation
    return DeLongTest(
        float(above.mean()), float(other_above.mean()), difference, difference - half, difference + half, z, p_value
    )


def average_precision(y_true: Any, y_score: Any, *, sample_weight: Any = None) -> float:
    """Return the area under the precision-recall curve in steps, not interpolated: ``sum_k (R_k - R_(k-1)) P_k``.

    ``k`` runs over the distinct scores from the highest; ``P_k`` and ``R_k`` are precision and recall of calling all
    scores down to it positive. Constant scores have the share of positives.

    Args:
        y_true: labels 0 and 1, both occurring, ``[row]``.
        y_score: of each row, on any scale, higher for 1.
        sample_weight: of each row, at least 0; all 1 where not given.

    Raises `ScorecraftError` as `roc_auc` does.

    Source: Boyd, Eng and Page, 2013, Area under the Precision-Recall Curve: Point Estimates and Confidence Intervals.
    """
    caught, alarms = _steps(*_counted("average_precision", y_true, y_score, sample_weight))
    return float(_average_precision(caught, alarms))


def average_precision_interval(
    y_true: Any, y_score: Any, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Return the average precision with its percentile bootstrap interval, each class resampled by itself.

    Takes ``resamples`` times the number of distinct scores of positives.

    Args:
        y_true: labels 0 and 1, both occurring, ``[row]``.
        y_score: of each row, on any scale.
        confidence: coverage, in (0, 1).
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Raises `ScorecraftError` as `roc_auc` does, for a confidence outside (0, 1) and fewer than 1 resample.

    Source: Boyd, Eng and Page, 2013.
    """
    _quantile(confidence)
    _check_resamples(resamples)
    caught, alarms = _steps(*_counted("average_precision_interval", y_true, y_score, None))
    random = np.random.default_rng(seed)
    positives, negatives = int(caught.sum()), int(alarms.sum())
    at_once = max(1, HELD_NUMBERS // len(caught))
    drawn: list[float] = []
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        found = _average_precision(
            random.multinomial(positives, caught / positives, size),
            random.multinomial(negatives, alarms / negatives, size),
        )
        drawn.extend(np.atleast_1d(found).tolist())
    return _percentiles(float(_average_precision(caught, alarms)), drawn, confidence)


def fpr_at_tpr(y_true: Any, y_score: Any, tpr: float = 0.95, *, sample_weight: Any = None) -> float:
    """Return the smallest false positive rate of a threshold that catches a share ``tpr`` of the positives.

    Scores on the threshold are called positive: constant scores have a rate of 1.

    Args:
        y_true: labels 0 and 1, both occurring, ``[row]``.
        y_score: of each row, on any scale, higher for 1.
        tpr: share of positives to catch, in (0, 1].
        sample_weight: of each row, at least 0; all 1 where not given.

    Raises `ScorecraftError` as `roc_auc` does, and for a ``tpr`` outside (0, 1].

    Source: Liang, Li and Srikant, 2017, Enhancing the Reliability of Out-of-distribution Image Detection, arXiv
    1706.02690, section 4.3.
    """
    _check_tpr(tpr)
    positives, negatives, weights = _counted("fpr_at_tpr", y_true, y_score, sample_weight)
    order = np.argsort(-positives, kind="stable")
    caught = np.cumsum(weights[0][order])
    place = int(np.searchsorted(caught, tpr * caught[-1] * (1 - 1e-12)))
    return float(weights[1][negatives >= positives[order][place]].sum() / weights[1].sum())


def fpr_at_tpr_interval(
    y_true: Any,
    y_score: Any,
    tpr: float = 0.95,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return `fpr_at_tpr` with its percentile bootstrap interval, each class resampled by itself.

    No rows are drawn: the threshold of a resample is an order statistic of m positives, whose place among those of the
    data is ``floor(m U)`` with ``U ~ Beta(j, m - j + 1)``, and the negatives beyond it are binomial. That is the
    bootstrap's exact distribution, at one step for each resample.

    Args:
        y_true: labels 0 and 1, both occurring, ``[row]``.
        y_score: of each row, on any scale.
        tpr: share of positives to catch, in (0, 1].
        confidence: coverage, in (0, 1).
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Raises `ScorecraftError` as `fpr_at_tpr` does, for a confidence outside (0, 1) and fewer than 1 resample.

    Source: Efron, 1979, Bootstrap Methods: Another Look at the Jackknife.
    """
    _quantile(confidence)
    _check_resamples(resamples)
    estimate = fpr_at_tpr(y_true, y_score, tpr)
    positives, negatives, _ = _counted("fpr_at_tpr_interval", y_true, y_score, None)
    positives, negatives = np.sort(positives), np.sort(negatives)
    rows = len(positives)
    rank = rows - math.ceil(tpr * rows * (1 - 1e-12)) + 1
    random = np.random.default_rng(seed)
    place = (rows * random.beta(rank, rows - rank + 1, resamples)).astype(np.int64).clip(0, rows - 1)
    beyond = len(negatives) - np.searchsorted(negatives, positives[place])
    drawn = random.binomial(len(negatives), beyond / len(negatives)) / len(negatives)
    return _percentiles(estimate, drawn, confidence)


def _counted(
    name: str, y_true: Any, y_score: Any, sample_weight: Any
) -> tuple[
    Float64[np.ndarray, " positive"],
    Float64[np.ndarray, " negative"],
    tuple[Float64[np.ndarray, " positive"], Float64[np.ndarray, " negative"]],
]:
    """Return scores of positives and of negatives with a weight above 0, and their weights."""
    positive = as_binary(y_true)
    score = as_floats(y_score, "y_score", len(positive))
    weights = as_weights(sample_weight, len(positive))
    ones, zeros = positive & (weights > 0), ~positive & (weights > 0)
    for label, rows in ((1, ones), (0, zeros)):
        if not rows.any():
            raise ScorecraftError(f"{name}: no row of the label {label}; expected rows of both classes")
    return score[ones], score[zeros], (weights[ones], weights[zeros])


def _placements(
    name: str, y_true: Any, y_score: Any
) -> tuple[Float64[np.ndarray, " positive"], Float64[np.ndarray, " negative"]]:
    """Return of each positive the share of negatives below it, and of each negative that of positives above it."""
    positives, negatives, _ = _counted(name, y_true, y_score, None)
    if min(len(positives), len(negatives)) < 2:
        raise ScorecraftError(f"{name}: one row of a class only; expected 2 or more of each for a variance")
    first, second = np.argsort(positives), np.argsort(negatives)
    above, below = np.empty(len(positives)), np.empty(len(negatives))
    # Both sorted, for a search among millions in order stays in the cache.
    above[first] = _midranks(negatives[second], positives[first]) / len(negatives)
    below[second] = 1 - _midranks(positives[first], negatives[second]) / len(positives)
    return above, below


def _midranks(
    ranked: Float64[np.ndarray, " row"], values: Float64[np.ndarray, " other"]
) -> Float64[np.ndarray, " other"]:
    return (np.searchsorted(ranked, values) + np.searchsorted(ranked, values, side="right")) / 2


def _variance(above: Float64[np.ndarray, " positive"], below: Float64[np.ndarray, " negative"]) -> float:
    # Differences of equal shares may be off by rounding; so little is none.
    found = float(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))
    return found if found > 1e-24 else 0.0


def _steps(
    positives: Float64[np.ndarray, " positive"],
    negatives: Float64[np.ndarray, " negative"],
    weights: tuple[Float64[np.ndarray, " positive"], Float64[np.ndarray, " negative"]],
) -> tuple[Float64[np.ndarray, " step"], Float64[np.ndarray, " step"]]:
    """Return weights of positives at each of their scores from the highest, and of negatives down to it; and a rest."""
    values, place = np.unique(-positives, return_inverse=True)
    steps = len(values) + 1
    caught = np.bincount(place, weights[0], minlength=steps)
    alarms = np.bincount(np.searchsorted(values, -negatives), weights[1], minlength=steps)
    return caught, alarms


def _average_precision(
    caught: Num[np.ndarray, "*resample step"], alarms: Num[np.ndarray, "*resample step"]
) -> Float64[np.ndarray, "*resample"] | np.float64:
    hits, misses = np.cumsum(caught, -1), np.cumsum(alarms, -1)
    called = hits + misses
    return (caught * (hits / np.where(called > 0, called, 1))).sum(-1) / hits[..., -1]


def _percentiles(estimate: float, drawn: Any, confidence: float) -> Interval:
    low, high = np.quantile(drawn, ((1 - confidence) / 2, (1 + confidence) / 2)).tolist()
    return Interval(estimate, low, high)


def _quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ScorecraftError(f"confidence: expected a number between 0 and 1, such as 0.95, got {confidence}")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _check_resamples(resamples: int) -> None:
    if resamples < 1:
        raise ScorecraftError(f"resamples: expected at least 1, got {resamples}")


def _check_tpr(tpr: float) -> None:
    if not 0 < tpr <= 1:
        raise ScorecraftError(f"tpr: expected a share in (0, 1], such as 0.95, got {tpr}")
