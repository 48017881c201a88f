"""How well scores tell inputs in the distribution from inputs out of it."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.metrics.arrays import as_array, as_floats
from scorecraft.metrics.ranking import (
    average_precision,
    average_precision_interval,
    fpr_at_tpr,
    fpr_at_tpr_interval,
    roc_auc,
    roc_auc_interval,
)
from scorecraft.stats.intervals import Interval

Positive = Literal["in", "out"]


class OODReport(NamedTuple):
    """What `ood_report` returns: rates in [0, 1], and the threshold of the false positive rate."""

    fpr95: float
    auroc: float
    aupr_in: float
    aupr_out: float
    tau95: float


class OODIntervals(NamedTuple):
    """The rates of an `OODReport`, each with its interval."""

    fpr95: Interval
    auroc: Interval
    aupr_in: Interval
    aupr_out: Interval


class Threshold(NamedTuple):
    """A threshold of scores with its interval, and the share of further inputs that it keeps with its own."""

    value: Interval
    kept: Interval


def ood_report(id_scores: Any, ood_scores: Any, positive: Positive = "in") -> OODReport:
    """Return FPR@95, AUROC and both areas under precision and recall, exactly; higher scores mean further out.

    With "in" positive tau95 is the smallest in-distribution score that at least 95 % of them do not exceed, and FPR
    the share of outside scores that do not exceed it either. With "out" positive, as for pixels, tau95 is the largest
    outside score that at least 95 % of them reach, and FPR the share of inside scores that reach it. AUROC counts
    ties half; the areas under precision and recall are average precision, tied scores taken together.

    Args:
        id_scores: of inputs in the distribution.
        ood_scores: of inputs out of it.
        positive: which kind FPR@95 is to find: classification and boxes "in", segmentation "out".

    Raises `ScorecraftError` for an empty side or a score that is not finite; warns where all scores are equal.
    """
    if positive not in get_args(Positive):
        raise ScorecraftError(f"positive: expected 'in' or 'out', got {positive!r}")
    both, is_out = _joined(id_scores, ood_scores)
    if both.min() == both.max():
        warnings.warn("ood_report: all scores are equal and tell nothing", ScorecraftWarning, stacklevel=2)
    tau = threshold_at(both[~is_out]) if positive == "in" else -threshold_at(-both[is_out])
    return OODReport(
        fpr_at_tpr(~is_out, -both) if positive == "in" else fpr_at_tpr(is_out, both),
        roc_auc(is_out, both),
        average_precision(~is_out, -both),
        average_precision(is_out, both),
        tau,
    )


def ood_intervals(
    id_scores: Any,
    ood_scores: Any,
    positive: Positive = "in",
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> OODIntervals:
    """Return the rates of `ood_report`, each with its confidence interval.

    DeLong's for the AUROC, which is a point for kinds that do not overlap; percentile bootstrap intervals for the
    others, each kind resampled by itself.

    Args:
        id_scores: of inputs in the distribution, at least 2.
        ood_scores: of inputs out of it, at least 2.
        positive: as of `ood_report`.
        confidence: coverage, in (0, 1).
        resamples: of the bootstrap; the time is proportional to their number times that of distinct scores.
        seed: of the resampling.

    Raises `ScorecraftError` as `ood_report` does, for fewer than 2 scores of a kind, a confidence out of range and
    fewer than 1 resample.
    """
    if positive not in get_args(Positive):
        raise ScorecraftError(f"positive: expected 'in' or 'out', got {positive!r}")
    both, is_out = _joined(id_scores, ood_scores)
    found = (~is_out, -both) if positive == "in" else (is_out, both)
    drawn: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    return OODIntervals(
        fpr_at_tpr_interval(*found, **drawn),
        roc_auc_interval(is_out, both, confidence=confidence),
        average_precision_interval(~is_out, -both, **drawn),
        average_precision_interval(is_out, both, **drawn),
    )


def pixel_report(scores: Any, is_out: Any, ignore: Any = None) -> OODReport:
    """Return `ood_report` over all pixels together, pixels out of the distribution being the positive ones.

    Args:
        scores: of any shape, higher meaning further out.
        is_out: of the same shape, True or 1 where a pixel is out of the distribution.
        ignore: of the same shape, True or 1 where a pixel does not count.

    Raises `ScorecraftError` for unequal shapes, or pixels of one kind only.
    """
    table, out = as_array(scores, "scores"), as_array(is_out, "is_out").astype(bool)
    counted = np.ones(table.shape, dtype=bool) if ignore is None else ~as_array(ignore, "ignore").astype(bool)
    if not table.shape == out.shape == counted.shape:
        raise ScorecraftError(
            f"pixel_report: expected one shape, got {table.shape}, {out.shape} and {counted.shape} (scores, is_out, "
            "ignore)"
        )
    return ood_report(table[counted & ~out], table[counted & out], "out")


def threshold_at(scores: Any, share: float = 0.95) -> float:
    """Return the smallest of the scores that at least ``share`` of them do not exceed.

    Args:
        scores: one of each input.
        share: in (0, 1].

    Raises `ScorecraftError` for no scores or a share out of range.
    """
    ordered = np.sort(as_floats(scores, "scores"))
    return float(ordered[_rank(len(ordered), share) - 1])


def threshold_interval(scores: Any, share: float = 0.95, *, confidence: float = 0.95) -> Threshold:
    """Return `threshold_at` with an interval, and the share of further inputs of the kind that do not exceed it.

    The threshold is the k-th smallest of n scores. For scores without ties the share of further inputs below it is
    ``Beta(k, n - k + 1)``, of which the central part is taken; the threshold's interval goes from the l-th to the u-th
    score, ``l = F^-1(a / 2)`` and ``u = F^-1(1 - a / 2) + 1`` with F of ``Binomial(n, share)``, and has an infinite end
    where there is no such score. Neither assumes anything of the scores' distribution.

    Args:
        scores: of held-out inputs in the distribution, drawn independently.
        share: in (0, 1].
        confidence: ``1 - a``, in (0, 1).

    Raises `ScorecraftError` as `threshold_at` does, and for a confidence out of range.

    Source: David and Nagaraja, 2003, Order Statistics, section 7.1.
    """
    from scipy.stats import beta, binom

    if not 0 < confidence < 1:
        raise ScorecraftError(f"confidence: expected a number between 0 and 1, such as 0.95, got {confidence}")
    ordered = np.sort(as_floats(scores, "scores"))
    count, rank, tail = len(ordered), _rank(len(ordered), share), (1 - confidence) / 2
    bounded = np.concatenate(([-np.inf], ordered, [np.inf]))
    low, high = (int(binom.ppf(tail, count, share)), int(binom.ppf(1 - tail, count, share)) + 1)
    kept = beta.ppf([tail, 1 - tail], rank, count - rank + 1).tolist()
    return Threshold(
        Interval(float(bounded[rank]), float(bounded[low]), float(bounded[high])),
        Interval(float((ordered <= bounded[rank]).mean()), *kept),
    )


def _rank(count: int, share: float) -> int:
    """Return the place, from 1, of the smallest of ``count`` scores that a share of them do not exceed."""
    if not 0 < share <= 1:
        raise ScorecraftError(f"threshold: expected a share above 0 and at most 1, got {share}")
    # Rounded first: .95 * 20 is 19, not the next number above it.
    return int(np.ceil(round(share * count, 9)))


def _joined(id_scores: Any, ood_scores: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the scores of both kinds, and which of them are out of the distribution."""
    inside, outside = as_floats(id_scores, "id_scores"), as_floats(ood_scores, "ood_scores")
    both = np.concatenate((inside, outside))
    return both, np.arange(len(both)) >= len(inside)
