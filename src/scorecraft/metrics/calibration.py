"""Are stated probabilities right: calibration error, Brier score, and how well they tell right from wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.calibration_errors import expected_calibration_error
from scorecraft.metrics.ranking import roc_auc
from scorecraft.metrics.scoring_rules import brier_score


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
            an edge; one within rounding of it is on it.
        adaptive: whether bins hold equally many answers, as far as equal confidences, which share a bin, allow.

    Raises `ScorecraftError` for no answers, unequal lengths, values outside their range, or fewer than 1 bin.

    Source: Naeini, Cooper and Hauskrecht, 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning.
    """
    right, stated = _checked("ece", correct, confidence)
    if n_bins < 1:
        raise ScorecraftError(f"ece: expected at least 1 bin, got {n_bins}")
    strategy = "quantile" if adaptive else "uniform"
    return expected_calibration_error(right, stated, n_bins=n_bins, strategy=strategy, right_closed=right_closed)


@implements("rlcr")
def brier(correct: ArrayLike, confidence: ArrayLike) -> float:
    """Return the Brier score ``mean (q - c)^2``; 0 is perfect.

    Args:
        correct: 0 or 1 of each answer.
        confidence: in [0, 1].

    Raises `ScorecraftError` as `ece` does.

    Source: Brier, 1950, Verification of Forecasts Expressed in Terms of Probability.
    """
    return brier_score(*_checked("brier", correct, confidence))


@implements("rlcr")
def auroc(correct: ArrayLike, confidence: ArrayLike) -> float:
    """Return the probability that a right answer has a higher confidence than a wrong one, ties counting half.

    Args:
        correct: 0 or 1 of each answer, both occurring.
        confidence: in [0, 1].

    Raises `ScorecraftError` as `ece` does, and where all answers are right, or all wrong.

    Source: Hanley and McNeil, 1982, The Meaning and Use of the Area under a ROC Curve.
    """
    right, stated = _checked("auroc", correct, confidence)
    if right.min() == right.max():
        raise ScorecraftError("auroc: expected right and wrong answers, got only one kind")
    return roc_auc(right, stated)


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
