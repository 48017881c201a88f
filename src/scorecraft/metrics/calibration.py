"""Are stated probabilities right: calibration error, Brier score, and how well they tell right from wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError


@implements("rlcr")
def ece(
    correct: ArrayLike, confidence: ArrayLike, n_bins: int = 10, *, right_closed: bool = False, adaptive: bool = False
) -> float:
    """Return the expected calibration error ``sum_b n_b/n |mean correct in b - mean confidence in b|``.

    Args:
        correct: 0 or 1 of each answer.
        confidence: in [0, 1].
        n_bins: number of bins of equal width, or, where ``adaptive``, of equal size.
        right_closed: whether a bin holds its upper edge instead of its lower one. Stated confidences often stand on
            an edge, so edges are compared after rounding to 12 digits.
        adaptive: whether bins hold equally many answers.

    Raises `ScorecraftError` for no answers, unequal lengths, values outside their range, or fewer than 1 bin.

    Source: Naeini, Cooper and Hauskrecht, 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning.
    """
    right, stated = _checked("ece", correct, confidence)
    if n_bins < 1:
        raise ScorecraftError(f"ece: expected at least 1 bin, got {n_bins}")
    if adaptive:
        order = np.argsort(stated, kind="stable")
        parts = [part for part in np.array_split(order, n_bins) if len(part)]
        return float(sum(abs(right[part].mean() - stated[part].mean()) * len(part) for part in parts) / len(right))
    place = np.round(stated * n_bins, 12)
    bins = np.ceil(place) - 1 if right_closed else np.floor(place)
    bins = bins.clip(0, n_bins - 1).astype(np.int64)
    gaps = np.bincount(bins, right - stated, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(right))


@implements("rlcr")
def brier(correct: ArrayLike, confidence: ArrayLike) -> float:
    """Return the Brier score ``mean (q - c)^2``; 0 is perfect.

    Args:
        correct: 0 or 1 of each answer.
        confidence: in [0, 1].

    Raises `ScorecraftError` as `ece` does.

    Source: Brier, 1950, Verification of Forecasts Expressed in Terms of Probability.
    """
    right, stated = _checked("brier", correct, confidence)
    return float(((stated - right) ** 2).mean())


@implements("rlcr")
def auroc(correct: ArrayLike, confidence: ArrayLike) -> float:
    """Return the probability that a right answer has a higher confidence than a wrong one, ties counting half.

    Args:
        correct: 0 or 1 of each answer, both occurring.
        confidence: in [0, 1].

    Raises `ScorecraftError` as `ece` does, and where all answers are right, or all wrong.

    Source: Hanley and McNeil, 1982, The Meaning and Use of the Area under a ROC Curve.
    """
    from scipy.stats import rankdata

    right, stated = _checked("auroc", correct, confidence)
    positives = int(right.sum())
    negatives = len(right) - positives
    if not positives or not negatives:
        raise ScorecraftError("auroc: expected right and wrong answers, got only one kind")
    ranks = rankdata(stated)[right == 1].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def _checked(name: str, correct: ArrayLike, confidence: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    right, stated = np.asarray(correct, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
    if right.ndim != 1 or right.shape != stated.shape or not len(right):
        raise ScorecraftError(f"{name}: expected two lists of one length, got shapes {right.shape} and {stated.shape}")
    if not np.isin(right, (0.0, 1.0)).all():
        raise ScorecraftError(f"{name}: expected a correctness of 0 or 1 for every answer")
    if not ((stated >= 0) & (stated <= 1)).all():
        place = int(np.flatnonzero(~((stated >= 0) & (stated <= 1)))[0])
        raise ScorecraftError(f"{name}: confidence {place} is {stated[place]:g}; expected a number in [0, 1]")
    return right, stated
