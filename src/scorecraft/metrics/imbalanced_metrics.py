"""Two classes, one of them rare: the metrics of a confusion matrix, and the order of F1 first and g-mean second."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.arrays import as_binary, as_weights

ZeroDivision = Literal[0, "nan"]


class Confusion(NamedTuple):
    """How often truth and prediction meet: true and false positives, false and true negatives, as counts or rates."""

    tp: float
    fp: float
    fn: float
    tn: float


class ImbalancedMetrics(NamedTuple):
    """The metrics of one confusion matrix; ``undefined`` names those that are 0 / 0 for it."""

    accuracy: float
    precision: float
    recall: float
    specificity: float
    balanced_accuracy: float
    g_mean: float
    f1: float
    f_beta: float
    mcc: float
    kappa: float
    fpr: float
    fnr: float
    prevalence: float
    undefined: tuple[str, ...]


def confusion(y_true: Any, y_pred: Any, sample_weight: Any = None) -> Confusion:
    """Return the confusion matrix of two columns of labels.

    Args:
        y_true: 0 or 1 of each row.
        y_pred: 0 or 1 of each row.
        sample_weight: of each row, at least 0; all 1 where not given.

    Raises `ScorecraftError` for no rows, unequal lengths, other labels than 0 and 1, or bad weights.
    """
    true = as_binary(y_true, "y_true")
    predicted = as_binary(y_pred, "y_pred", len(true))
    weights = as_weights(sample_weight, len(true))
    tn, fp, fn, tp = np.bincount(2 * true.astype(np.int64) + predicted, weights, minlength=4).tolist()
    return Confusion(tp, fp, fn, tn)


@implements("imbalanced-metrics")
def imbalanced_metrics(c: Confusion, *, beta: float = 2.0, zero_division: ZeroDivision = 0) -> ImbalancedMetrics:
    """Return the metrics of a confusion matrix, and which of them it leaves undefined.

    With P = TP + FN and N = FP + TN::

        precision = TP / (TP + FP)                recall = TP / P        specificity = TN / N
        g_mean = sqrt(recall specificity)         balanced_accuracy = (recall + specificity) / 2
        f_beta = (1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP)             f1 is that with b = 1
        mcc = (TP TN - FP FN) / sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN))
        kappa = 2 (TP TN - FP FN) / ((TP + FP)(FP + TN) + (TP + FN)(FN + TN))

    A named tuple, not a dictionary, so that ``undefined`` stands beside the numbers; `_asdict` gives the dictionary.

    Args:
        c: counts or rates.
        beta: how much more recall weighs than precision in ``f_beta``, above 0.
        zero_division: what an undefined metric is: 0, or "nan".

    Raises `ScorecraftError` for negative entries, entries that are not finite, only zeros, or a ``beta`` not above 0.

    Source: Empirical study of Machine Learning Classifier Evaluation Metrics behavior in Massively Imbalanced and Noisy
    data, 2022, arXiv 2208.11904; the metrics are standard.
    """
    tp, fp, fn, tn = checked_confusion("imbalanced_metrics", c)
    if not (beta > 0 and math.isfinite(beta)):
        raise ScorecraftError(f"imbalanced_metrics: expected a beta above 0, such as 2, got {beta}")
    if zero_division not in {0, "nan"}:
        raise ScorecraftError(f"imbalanced_metrics: expected a zero_division of 0 or 'nan', got {zero_division!r}")
    positives, negatives, total, weight = tp + fn, fp + tn, tp + fn + fp + tn, beta * beta
    # Of shares, not counts, and a product of roots, not the root of a product: neither can overflow.
    a, b, c_, d = tp / total, fp / total, fn / total, tn / total
    roots = math.sqrt(a + b) * math.sqrt(a + c_) * math.sqrt(d + b) * math.sqrt(d + c_)
    ratios = {
        "precision": (tp, tp + fp),
        "recall": (tp, positives),
        "specificity": (tn, negatives),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "f_beta": ((1 + weight) * tp, (1 + weight) * tp + weight * fn + fp),
        "mcc": (a * d - b * c_, roots),
        "kappa": (2 * (a * d - b * c_), (a + b) * (b + d) + (a + c_) * (c_ + d)),
        "fpr": (fp, negatives),
        "fnr": (fn, positives),
    }
    stand_in = math.nan if zero_division == "nan" else 0.0
    values = {name: top / bottom if bottom > 0 else stand_in for name, (top, bottom) in ratios.items()}
    undefined = {name for name, (_, bottom) in ratios.items() if bottom == 0}
    values |= {"accuracy": (tp + tn) / total, "prevalence": positives / total}
    if undefined & {"recall", "specificity"}:
        undefined |= {"balanced_accuracy", "g_mean"}
        values |= {"balanced_accuracy": stand_in, "g_mean": stand_in}
    else:
        values["balanced_accuracy"] = (values["recall"] + values["specificity"]) / 2
        values["g_mean"] = math.sqrt(values["recall"] * values["specificity"])
    names = tuple(name for name in ImbalancedMetrics._fields if name in undefined)
    return ImbalancedMetrics(**values, undefined=names)


@implements("imbalanced-metrics")
def f1_gmean_key(c: Confusion, f1_tol: float = 0.0) -> tuple[float, float, float]:
    """Return what to sort classifiers by, larger being better: F1 first, g-mean second.

    ``(f1, g_mean, f1)``, and with a tolerance ``(floor(f1 / f1_tol), g_mean, f1)``. "Equal within a tolerance" is not
    transitive and ranks nothing, so F1 is rounded down to a grid instead. Exact F1s hardly ever tie: without a
    tolerance the order is that of F1. Undefined metrics count as 0.

    Args:
        c: counts or rates.
        f1_tol: width of a step of F1, in [0, 1].

    Raises `ScorecraftError` as `imbalanced_metrics` does, and for a tolerance outside [0, 1].

    Source: arXiv 2208.11904 for the order; the grid is this library's.
    """
    if not 0 <= f1_tol <= 1:
        raise ScorecraftError(f"f1_gmean_key: expected an f1_tol in [0, 1], such as 0.05, got {f1_tol}")
    found = imbalanced_metrics(c)
    # Rounded first: 0.3 / 0.1 is a hair less than 3.
    step = found.f1 if f1_tol == 0 else float(math.floor(round(found.f1 / f1_tol, 9)))
    return step, found.g_mean, found.f1


@implements("imbalanced-metrics")
def rank_f1_gmean(confusions: Sequence[Confusion], f1_tol: float = 0.0) -> list[int]:
    """Return the places of classifiers in the list, best first by F1 and then g-mean; equals keep their order.

    Args:
        confusions: one for each classifier, all of the same data.
        f1_tol: see `f1_gmean_key`.

    Raises `ScorecraftError` as `f1_gmean_key` does.

    Source: arXiv 2208.11904.
    """
    keys = [f1_gmean_key(c, f1_tol) for c in confusions]
    return sorted(range(len(keys)), key=keys.__getitem__, reverse=True)


def checked_confusion(name: str, c: Confusion) -> Confusion:
    """Return a confusion matrix of floats; raises `ScorecraftError` unless all are at least 0 and one is above.

    Args:
        name: of what is checking, for messages.
        c: counts or rates.
    """
    if len(c) != len(Confusion._fields):
        raise ScorecraftError(f"{name}: expected the four entries tp, fp, fn, tn, got {len(c)}")
    found = Confusion(*(float(value) for value in c))
    for field, value in found._asdict().items():
        if not (value >= 0 and math.isfinite(value)):
            raise ScorecraftError(f"{name}: {field} is {value:g}; expected a count or rate of at least 0")
    if not any(found):
        raise ScorecraftError(f"{name}: the confusion matrix holds nothing; expected at least one row")
    return found
