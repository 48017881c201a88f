"""Statistics of distributions over several classes: of the most probable class, of each class against the rest, and of
the confusion matrix."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64

from scorecraft.metrics.scoring_rules import brier_scores, log_losses
from scorecraft.metrics.streaming import BinaryStream, BinaryTotals, Moments, coarser
from scorecraft.metrics.summary import (
    CALIBRATION_BINS,
    CONFIDENCE,
    RANKING,
    RESAMPLES,
    Measured,
    binary_metrics,
    brier_measures,
    calibration_measures,
    log_loss_measure,
    mean_measure,
    ranking_measures,
    rate_measure,
)

# Numbers that resampled confusion matrices may take; beyond it they have no interval.
_DRAWN_NUMBERS = 20_000_000


class MulticlassTotals(NamedTuple):
    """What is known of distributions over classes after all batches.

    rows: how many there were. brier, log_loss and balance: moments of the numbers per row. impossible: rows whose class
    was given the probability 0. confusion: rows by true class and most probable class. top: of "the most probable class
    is right" and its probability. classes: of "is it this class" and its probability; none where they were not asked.
    """

    rows: int
    brier: Moments
    log_loss: Moments
    balance: Moments
    impossible: int
    confusion: Int64[np.ndarray, "true predicted"]
    top: BinaryTotals
    classes: list[BinaryTotals]


class MulticlassStream:
    """Statistics of distributions over classes, batch by batch."""

    def __init__(self, classes: int, *, bits: int = 16, class_bits: int = 12, each_class: bool = True) -> None:
        self.brier, self.log_loss, self.balance = Moments(), Moments(), Moments()
        self.impossible = 0
        self.confusion = np.zeros((classes, classes), dtype=np.int64)
        self.top = BinaryStream(bits=bits)
        self.classes = [BinaryStream(bits=class_bits) for _ in range(classes if each_class else 0)]

    def add(self, labels: Int64[np.ndarray, " row"], prob: Float[np.ndarray, "row class"]) -> None:
        """Add a batch.

        Args:
            labels: class of each row, from 0.
            prob: its distribution.
        """
        if not len(labels):
            return
        number = prob.astype(np.float64, copy=False)
        self.brier.add(brier_scores(labels, number))
        losses = log_losses(labels, number)
        finite = np.isfinite(losses)
        self.impossible += int(len(losses) - finite.sum())
        self.log_loss.add(losses[finite])
        best = prob.argmax(1)
        confidence = np.take_along_axis(prob, best[:, None], 1)[:, 0].clip(0, 1)
        self.balance.add((best == labels) - confidence.astype(np.float64))
        size = len(self.confusion)
        self.confusion += np.bincount(labels * size + best, minlength=size * size).reshape(size, size)
        self.top.add(best == labels, confidence)
        for place, stream in enumerate(self.classes):
            stream.add(labels == place, np.ascontiguousarray(prob[:, place]))

    def fold(self) -> None:
        """Give up the rows for bins of their probabilities."""
        self.top.fold()
        for stream in self.classes:
            stream.fold()

    def totals(self) -> MulticlassTotals:
        """Return what is known by now, of at least one row."""
        return MulticlassTotals(
            self.brier.count, self.brier, self.log_loss, self.balance, self.impossible, self.confusion,
            self.top.totals(), [stream.totals() for stream in self.classes],
        )  # fmt: skip


def multiclass_metrics(
    totals: MulticlassTotals, *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> list[Measured]:
    """Return the metrics of distributions over classes.

    Calibration errors are those of the most probable class; the Brier score and its parts are sums over classes; means
    over classes are of those that occur, each against the rest. Their intervals have as half-width the mean of the
    classes' own, which is wide enough for however they hang together.

    Args:
        totals: of `MulticlassStream`.
        confidence: coverage, in (0, 1).
        resamples: number of bootstrap samples.
        seed: of them.

    Source: Gorodkin, 2004, Comparing Two K-Category Assignments by a K-Category Correlation Coefficient, for MCC.
    """
    top = totals.top
    right = int(np.trace(totals.confusion))
    brier = mean_measure("brier", totals.brier, confidence, 0, 2)
    each = [coarser(one.sums, CALIBRATION_BINS) for one in totals.classes]
    found = [
        rate_measure("largest_class", int(totals.confusion.sum(1).max()), totals.rows, confidence),
        *(brier_measures(brier, each, confidence, resamples, seed) if each else [brier]),
        log_loss_measure(totals.log_loss, totals.impossible, confidence),
        *calibration_measures(coarser(top.sums, CALIBRATION_BINS), top.counts, confidence, resamples, seed),
    ]
    by_class = [binary_metrics(one, confidence=confidence, resamples=200, seed=seed) for one in totals.classes]
    found += [_mean_over_classes("ece", by_class, "ece_classwise")] if by_class else []
    found += [mean_measure("balance", totals.balance, confidence, -1, 1)]
    found += [_mean_over_classes(name, by_class, f"{name}_macro") for name in RANKING] if by_class else []
    area = ranking_measures(top.counts, confidence, resamples, seed)[0]
    if area.value is None:
        area = area._replace(note=f"every row is {'right' if right else 'wrong'}")
    return [
        *found,
        area._replace(name="auroc_of_confidence"),
        rate_measure("accuracy", right, totals.rows, confidence),
        *_confusion_measures(totals.confusion, confidence, resamples, seed),
    ]


def confusion_metrics(
    confusion: Int64[np.ndarray, "*resample true predicted"],
) -> tuple[Float64[np.ndarray, "*resample"], Float64[np.ndarray, "*resample"], Float64[np.ndarray, "*resample"]]:
    """Return macro F1, g-mean and MCC of confusion matrices.

    ``F1 = mean_k 2 C_kk / (C_k. + C_.k)`` over classes that occur in truth or prediction; ``g = (prod_k C_kk /
    C_k.)^(1/K)`` over those that occur in truth; ``MCC = (c n - sum_k t_k p_k) / sqrt((n^2 - sum_k p_k^2)(n^2 - sum_k
    t_k^2))``, with c right of n, t_k and p_k the rows of class k in truth and prediction, and 0 where either is
    constant.

    Args:
        confusion: rows by true and predicted class.

    Source: Gorodkin, 2004, for MCC.
    """
    rows = confusion.astype(np.float64)
    right = np.diagonal(rows, axis1=-2, axis2=-1)
    true, predicted = rows.sum(-1), rows.sum(-2)
    either, occurs = true + predicted > 0, true > 0
    f1 = (2 * right / np.where(either, true + predicted, 1)).sum(-1) / either.sum(-1)
    with np.errstate(divide="ignore"):
        logs = np.where(occurs, np.log(right / np.where(occurs, true, 1)), 0.0)
    g_mean = np.exp(logs.sum(-1) / occurs.sum(-1))
    whole = rows.sum((-2, -1))
    spread = np.sqrt(np.maximum(whole**2 - (predicted**2).sum(-1), 0))
    spread *= np.sqrt(np.maximum(whole**2 - (true**2).sum(-1), 0))
    covariance = right.sum(-1) * whole - (true * predicted).sum(-1)
    return f1, g_mean, np.divide(covariance, spread, out=np.zeros(np.shape(spread)), where=spread > 0)


def _confusion_measures(
    confusion: Int64[np.ndarray, "true predicted"], confidence: float, resamples: int, seed: int
) -> list[Measured]:
    names = ("f1_macro", "g_mean", "mcc")
    found = [float(value) for value in confusion_metrics(confusion)]
    if confusion.size * resamples > _DRAWN_NUMBERS:
        return [
            Measured(name, value, note="no interval: too many classes")
            for name, value in zip(names, found, strict=True)
        ]
    cells = confusion.ravel() / confusion.sum()
    drawn = np.random.default_rng(seed).multinomial(int(confusion.sum()), cells, resamples)
    resampled = confusion_metrics(drawn.reshape(resamples, *confusion.shape))
    ends = [np.quantile(values, ((1 - confidence) / 2, (1 + confidence) / 2)).tolist() for values in resampled]
    return [Measured(name, value, *pair) for name, value, pair in zip(names, found, ends, strict=True)]


def _mean_over_classes(name: str, by_class: list[list[Measured]], title: str) -> Measured:
    """Return the mean of a metric over the classes where it is defined."""
    known = [one for measures in by_class for one in measures if one.name == name and one.value is not None]
    left = len(by_class) - len(known)
    note = f"without {left} of {len(by_class)} classes, which do not occur" if left else ""
    if not known:
        return Measured(title, None, note="undefined for every class")
    value = math.fsum(one.value or 0.0 for one in known) / len(known)
    bound = math.fsum(one.bound for one in known) / len(known)
    ends = [(one.low, one.high) for one in known if one.low is not None and one.high is not None]
    if len(ends) < len(known):
        return Measured(title, value, bound=bound, note=note)
    half = math.fsum(high - low for low, high in ends) / 2 / len(ends)
    return Measured(title, value, max(value - half, 0.0), min(value + half, 1.0), bound, note)
