"""Three numbers for predicted labels, closed forms of the confusion matrix: F-beta, g-mean and MCC."""

from __future__ import annotations

from typing import Any

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.imbalanced_metrics import confusion, imbalanced_metrics


def f_beta(y_true: Any, y_pred: Any, beta: float = 1.0, *, sample_weight: Any = None) -> float:
    """Return ``(1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP)``; 0 where no row is positive, in truth or prediction.

    Args:
        y_true: labels 0 and 1, ``[row]``.
        y_pred: predicted labels.
        beta: how much more recall weighs than precision, above 0.
        sample_weight: of each row, at least 0; all 1 where not given.

    Raises `ScorecraftError` for no rows, unequal lengths, other labels, bad weights, or a ``beta`` not above 0.

    Source: van Rijsbergen, 1979, Information Retrieval.
    """
    return imbalanced_metrics(confusion(y_true, y_pred, sample_weight), beta=beta).f_beta


def g_mean(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return ``sqrt(TPR TNR)``, the geometric mean of the shares of both classes that are right.

    Args:
        y_true: labels 0 and 1, both occurring, ``[row]``.
        y_pred: predicted labels.
        sample_weight: of each row, at least 0; all 1 where not given.

    Raises `ScorecraftError` for no rows, unequal lengths, other labels, bad weights, or one class only.

    Source: Kubat and Matwin, 1997, Addressing the Curse of Imbalanced Training Sets.
    """
    found = imbalanced_metrics(confusion(y_true, y_pred, sample_weight))
    if "g_mean" in found.undefined:
        raise ScorecraftError("g_mean: all rows are of one class; expected both labels 0 and 1")
    return found.g_mean


def matthews_correlation(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return ``(TP TN - FP FN) / sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN))``; 0 where truth or prediction is constant.

    Args:
        y_true: labels 0 and 1, ``[row]``.
        y_pred: predicted labels.
        sample_weight: of each row, at least 0; all 1 where not given.

    Raises `ScorecraftError` for no rows, unequal lengths, other labels or bad weights.

    Source: Matthews, 1975, Comparison of the Predicted and Observed Secondary Structure of T4 Phage Lysozyme.
    """
    return imbalanced_metrics(confusion(y_true, y_pred, sample_weight)).mcc
