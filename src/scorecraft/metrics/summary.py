"""The table of metrics of probabilities: each with its interval, what bins cost it at most, and why it is absent."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from scorecraft.metrics.binning import BinSums
from scorecraft.metrics.calibration_errors import measure_of
from scorecraft.metrics.calibration_interval import interval_of_sums
from scorecraft.metrics.imbalanced_metrics import Confusion, ImbalancedMetrics, imbalanced_metrics
from scorecraft.metrics.score_counts import (
    ScoreCounts,
    area_under_roc,
    area_under_roc_interval,
    average_precision_interval_of,
    average_precision_of,
    equal_weight_sums,
    false_alarms_at,
    false_alarms_interval,
)
from scorecraft.metrics.scoring_rules import decomposition_of_sums
from scorecraft.metrics.streaming import BinaryTotals, Moments, coarser
from scorecraft.stats.intervals import Interval, wilson_interval

# Bins of calibration errors, of the reliability curve and of the Brier score's parts.
CALIBRATION_BINS = 15
CONFIDENCE = 0.95
RESAMPLES = 1000

TITLES = {
    "base_rate": "base rate",
    "largest_class": "share of the largest class",
    "brier": "Brier score",
    "brier_reliability": "  reliability",
    "brier_resolution": "  resolution",
    "brier_uncertainty": "  uncertainty",
    "brier_within_bins": "  within bins",
    "log_loss": "log loss (nats)",
    "ece": "ECE",
    "ece_equal_mass": "ECE, bins of equal size",
    "ece_classwise": "ECE, mean over classes",
    "rms_calibration_error": "RMS calibration error, debiased",
    "balance": "balance score",
    "auroc": "AUROC",
    "aupr": "AUPR",
    "fpr_at_95_tpr": "FPR at 95 % TPR",
    "auroc_of_confidence": "AUROC of confidence (right or wrong)",
    "auroc_macro": "AUROC, mean over classes",
    "aupr_macro": "AUPR, mean over classes",
    "fpr_at_95_tpr_macro": "FPR at 95 % TPR, mean over classes",
    "accuracy": "accuracy",
    "f1": "F1",
    "f1_macro": "F1, mean over classes",
    "g_mean": "g-mean",
    "mcc": "MCC",
}
RANKING = ("auroc", "aupr", "fpr_at_95_tpr")


class Measured(NamedTuple):
    """One metric. value: None where it is undefined, and ``note`` says why; infinite for a log loss that is. low and
    high: of its interval, None where there is none. bound: how far the exact value can be from this one at most."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    bound: float = 0.0
    note: str = ""

    @property
    def title(self) -> str:
        """What the metric is called in tables."""
        return TITLES[self.name]


def binary_metrics(
    totals: BinaryTotals, *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> list[Measured]:
    """Return the metrics of one column of probabilities.

    Intervals: Wilson's of rates; Student's of means over rows (Brier score, log loss, balance score); the bootstrap
    over bins, centred, of calibration errors; DeLong's of AUROC; the bootstrap of AUPR, FPR and what follows from the
    confusion matrix, whose four counts are drawn anew.

    Args:
        totals: of `BinaryStream`.
        confidence: coverage, in (0, 1).
        resamples: number of bootstrap samples.
        seed: of them.
    """
    positives = totals.confusion.tp + totals.confusion.fn
    right = totals.confusion.tp + totals.confusion.tn
    sums = coarser(totals.sums, CALIBRATION_BINS)
    return [
        _rate("base_rate", positives, totals.rows, confidence),
        *brier_measures(mean_measure("brier", totals.brier, confidence, 0, 1), [sums], confidence, resamples, seed),
        log_loss_measure(totals.log_loss, totals.impossible, confidence),
        *calibration_measures(sums, totals.counts, confidence, resamples, seed),
        mean_measure("balance", totals.balance, confidence, -1, 0.5),
        *ranking_measures(totals.counts, confidence, resamples, seed),
        _rate("accuracy", right, totals.rows, confidence),
        *_confusion_measures(totals.confusion, confidence, resamples, seed),
    ]


def mean_measure(name: str, moments: Moments, confidence: float, least: float, most: float) -> Measured:
    """Return a mean with Student's interval, cut to where the mean can be; none for a single row.

    Args:
        name: of the metric.
        moments: of the numbers.
        confidence: coverage.
        least: the smallest mean there can be.
        most: the largest.
    """
    from scipy.stats import t

    if moments.count < 2:
        return Measured(name, moments.mean, note="one row only")
    half = float(t.ppf((1 + confidence) / 2, moments.count - 1)) * moments.standard_error
    return Measured(name, moments.mean, max(moments.mean - half, least), min(moments.mean + half, most))


def log_loss_measure(moments: Moments, impossible: int, confidence: float) -> Measured:
    """Return the log loss; infinite, and why, where something happened that was given the probability 0.

    Args:
        moments: of the finite losses.
        impossible: number of infinite ones.
        confidence: coverage.
    """
    if impossible:
        rows = f"{impossible:,} {'row' if impossible == 1 else 'rows'}"
        finite = f"; the mean of the others is {moments.mean:.4g}" if moments.count else ""
        return Measured("log_loss", math.inf, note=f"{rows} gave the probability 0 to what happened{finite}")
    return mean_measure("log_loss", moments, confidence, 0, math.inf)


def brier_measures(
    brier: Measured, sums: list[BinSums], confidence: float, resamples: int, seed: int
) -> list[Measured]:
    """Return the Brier score and its parts, each added up over classes.

    Args:
        brier: the score.
        sums: over bins, of the one column or of each class.
        confidence: coverage.
        resamples: number of bootstrap samples.
        seed: of them.
    """
    score = brier.value or 0.0
    # The score of the rows is not known class by class; what is left within bins is so of their sum alone.
    parts = [decomposition_of_sums(each, 0.0) for each in sums]
    reliability, resolution, uncertainty = (
        math.fsum(getattr(part, name) for part in parts) for name in ("reliability", "resolution", "uncertainty")
    )
    found = Measured("brier_reliability", reliability)
    if len(sums) == 1 and sums[0].rows.sum() > 1:
        ends = interval_of_sums(sums[0], measure="squared", confidence=confidence, resamples=resamples, seed=seed)
        found = found._replace(low=ends.low, high=ends.high)
    return [
        brier,
        found,
        Measured("brier_resolution", resolution),
        Measured("brier_uncertainty", uncertainty),
        Measured("brier_within_bins", score - (reliability - resolution + uncertainty)),
    ]


def calibration_measures(
    sums: BinSums, counts: ScoreCounts, confidence: float, resamples: int, seed: int
) -> list[Measured]:
    """Return the calibration errors: over bins of equal width, over bins of equal size, and debiased.

    Args:
        sums: over bins of equal width.
        counts: by score.
        confidence: coverage.
        resamples: number of bootstrap samples.
        seed: of them.
    """
    equal, bound = equal_weight_sums(counts, sums.rows.shape[1])
    if sums.rows.sum() < 2:
        value = float(measure_of("expected")(sums.rows, sums.weight, sums.prob, sums.squares[0]))
        return [Measured(name, value, note="one row only") for name in ("ece", "ece_equal_mass")]
    options = {"confidence": confidence, "resamples": resamples, "seed": seed}
    width, size = interval_of_sums(sums, **options), interval_of_sums(equal, **options)
    debiased = interval_of_sums(sums, measure="debiased", **options)
    return [
        Measured("ece", *width),
        Measured("ece_equal_mass", *size, bound=bound),
        Measured("rms_calibration_error", *_roots(debiased)),
    ]


def _roots(ends: Interval) -> Interval:
    return Interval(*(math.sqrt(max(value, 0.0)) for value in ends))


def ranking_measures(counts: ScoreCounts, confidence: float, resamples: int, seed: int) -> list[Measured]:
    """Return AUROC, AUPR and FPR at 95 % TPR; undefined where one class does not occur.

    Args:
        counts: by score.
        confidence: coverage.
        resamples: number of bootstrap samples.
        seed: of them.
    """
    if not counts.positives.any() or not counts.negatives.any():
        note = f"only the label {int(counts.positives.any())} occurs"
        return [Measured(name, None, note=note) for name in RANKING]
    area, precision, alarms = area_under_roc(counts), average_precision_of(counts), false_alarms_at(counts)
    if len(counts.value) == 1 and not counts.mixed[0]:
        note = "all probabilities are equal"
        return [
            Measured(name, found.value, note=note)
            for name, found in zip(RANKING, (area, precision, alarms), strict=True)
        ]
    options = {"confidence": confidence, "resamples": resamples, "seed": seed}
    ends = (
        area_under_roc_interval(counts, confidence=confidence),
        average_precision_interval_of(counts, **options),
        false_alarms_interval(counts, **options),
    )
    if ends[0] is None:
        note = "the classes do not overlap" if area.value in {0.0, 1.0} else "too few rows of a class for an interval"
        return [
            Measured(name, found.value, bound=found.bound, note=note)
            for name, found in zip(RANKING, (area, precision, alarms), strict=True)
        ]
    return [
        _with_ends(Measured(name, found.value, bound=found.bound), end)
        for name, found, end in zip(RANKING, (area, precision, alarms), ends, strict=True)
    ]


def _with_ends(measured: Measured, ends: Interval | None) -> Measured:
    return measured if ends is None else measured._replace(low=ends.low, high=ends.high)


def _rate(name: str, count: float, rows: int, confidence: float) -> Measured:
    return Measured(name, *wilson_interval(int(count), rows, confidence))


def _confusion_measures(confusion: Confusion, confidence: float, resamples: int, seed: int) -> list[Measured]:
    names = ("f1", "g_mean", "mcc")
    cells = np.array(confusion, dtype=np.float64)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(int(cells.sum()), cells / cells.sum(), resamples).tolist()
    resampled = [imbalanced_metrics(Confusion(*row)) for row in drawn]
    found = imbalanced_metrics(confusion)
    return [_of_confusion(name, found, resampled, confidence) for name in names]


def _of_confusion(
    name: str, found: ImbalancedMetrics, resampled: list[ImbalancedMetrics], confidence: float
) -> Measured:
    if name in found.undefined:
        note = "one class only" if name == "g_mean" else "labels or predictions are all of one class"
        return Measured(name, None, note=note)
    values = [getattr(one, name) for one in resampled]
    low, high = np.quantile(values, ((1 - confidence) / 2, (1 + confidence) / 2)).tolist()
    return Measured(name, getattr(found, name), low, high)


def rate_measure(name: str, count: int, rows: int, confidence: float) -> Measured:
    """Return a rate with Wilson's interval.

    Args:
        name: of the metric.
        count: how often it happened.
        rows: how often it could have.
        confidence: coverage.
    """
    return _rate(name, count, rows, confidence)
