"""Labels that people got wrong: what a classifier's confusion matrix becomes under them, and the way back.

A miss is a true 1 labelled 0, a false alarm a true 0 labelled 1, each at its own rate and, given the truth, independent
of the classifier. Three consequences when positives are rare:

- misses alone leave the observed recall as it is (the labels are a random part of the positives) and multiply the
  precision by ``1 - miss``;
- false alarms alone hardly touch the precision of a good classifier, and crush the observed recall as soon as
  ``(1 - prevalence) false_alarm`` is comparable to the prevalence: at 0.173 % positives, false alarms on 0.1 % of the
  negatives make 37 % of the observed positives wrong;
- the accuracy moves by at most ``prevalence miss + (1 - prevalence) false_alarm``, whatever the classifier.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from jaxtyping import Bool

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.metrics.arrays import as_binary
from scorecraft.metrics.imbalanced_metrics import Confusion, checked_confusion

# Relative to the whole matrix: what rounding alone can make negative.
ROUNDING = 1e-12


@implements("imbalanced-metrics")
def annotate(
    y_true: Any,
    miss: float = 0.0,
    false_alarm: float = 0.0,
    *,
    rng: np.random.Generator,
    y_pred: Any = None,
    alert_bias: float = 0.0,
) -> Bool[np.ndarray, " row"]:
    """Return the labels that an erring annotator gives, True for 1.

    ``P(0 | true 1) = miss``; ``P(1 | true 0) = false_alarm``, which for rows that the classifier calls 1 becomes
    ``false_alarm + alert_bias (1 - false_alarm)``: the annotator takes over that share of its false alerts unread.

    Args:
        y_true: 0 or 1 of each row.
        miss: in [0, 1].
        false_alarm: in [0, 1].
        rng: source of chance.
        y_pred: 0 or 1 of each row, needed where ``alert_bias`` is above 0.
        alert_bias: in [0, 1].

    Raises `ScorecraftError` for other labels, unequal lengths, rates outside [0, 1], or a bias without predictions.

    Source: arXiv 2208.11904 for human annotation errors; the rates by class and the bias are this library's model.
    """
    _check_rates(miss=miss, false_alarm=false_alarm, alert_bias=alert_bias)
    true = as_binary(y_true, "y_true")
    flips = np.where(true, miss, false_alarm)
    if alert_bias > 0:
        if y_pred is None:
            raise ScorecraftError("annotate: an alert_bias needs y_pred, the alerts that the annotator sees")
        alerted = as_binary(y_pred, "y_pred", len(true))
        flips = np.where(alerted & ~true, _alerted(false_alarm, alert_bias), flips)
    # random() is below 1, so a rate of 1 flips every row and a rate of 0 none.
    return true ^ (rng.random(len(true)) < flips)


@implements("imbalanced-metrics")
def noisy_confusion(
    prevalence: float, tpr: float, fpr: float, miss: float = 0.0, false_alarm: float = 0.0, alert_bias: float = 0.0
) -> Confusion:
    """Return the expected observed rates of a classifier of known quality; they sum to 1.

    `observed_confusion` of ``tp = pi r``, ``fp = (1 - pi) f``, ``fn = pi (1 - r)``, ``tn = (1 - pi)(1 - f)``.

    Args:
        prevalence: pi, true share of positives, in [0, 1].
        tpr: r, in [0, 1].
        fpr: f, in [0, 1].
        miss: in [0, 1].
        false_alarm: in [0, 1].
        alert_bias: in [0, 1], see `annotate`.

    Raises `ScorecraftError` for a rate outside [0, 1].

    Source: arXiv 2208.11904 for the question; the closed form is this library's.
    """
    _check_rates(prevalence=prevalence, tpr=tpr, fpr=fpr)
    rest = 1 - prevalence
    clean = Confusion(prevalence * tpr, rest * fpr, prevalence * (1 - tpr), rest * (1 - fpr))
    return observed_confusion(clean, miss, false_alarm, alert_bias)


@implements("imbalanced-metrics")
def observed_confusion(c: Confusion, miss: float = 0.0, false_alarm: float = 0.0, alert_bias: float = 0.0) -> Confusion:
    """Return the expected confusion matrix against erring labels, from the one against the truth.

    With ``b = false_alarm`` and ``b1 = b + alert_bias (1 - b)``::

        TP' = TP (1 - miss) + FP b1        FP' = TP miss + FP (1 - b1)
        FN' = FN (1 - miss) + TN b         TN' = FN miss + TN (1 - b)

    Args:
        c: counts or rates against the truth.
        miss: in [0, 1].
        false_alarm: in [0, 1].
        alert_bias: in [0, 1], see `annotate`.

    Raises `ScorecraftError` for a rate outside [0, 1] or entries that are no confusion matrix.

    Source: arXiv 2208.11904 for the question; the closed form is this library's.
    """
    _check_rates(miss=miss, false_alarm=false_alarm, alert_bias=alert_bias)
    tp, fp, fn, tn = checked_confusion("observed_confusion", c)
    alerted = _alerted(false_alarm, alert_bias)
    return Confusion(
        tp * (1 - miss) + fp * alerted,
        tp * miss + fp * (1 - alerted),
        fn * (1 - miss) + tn * false_alarm,
        fn * miss + tn * (1 - false_alarm),
    )


@implements("imbalanced-metrics")
def correct_confusion(
    c_observed: Confusion, miss: float = 0.0, false_alarm: float = 0.0, alert_bias: float = 0.0
) -> Confusion:
    """Return the confusion matrix against the truth, from the observed one and known rates of error.

    Among the rows predicted 1 ``TP = (TP' - b1 (TP' + FP')) / (1 - miss - b1)`` and ``FP = TP' + FP' - TP``; the same
    among those predicted 0 with FN', TN' and ``b``. It inverts `observed_confusion`. From counts of a sample a result
    can be negative; it is then set to 0, its partner to the whole column, with a `ScorecraftWarning`.

    Args:
        c_observed: counts or rates against the labels.
        miss: in [0, 1].
        false_alarm: in [0, 1].
        alert_bias: in [0, 1], see `annotate`.

    Raises `ScorecraftError` for a rate outside [0, 1], entries that are no confusion matrix, or
    ``miss + b1 >= 1``: labels that say nothing about the truth, or its opposite, cannot be undone.

    Source: arXiv 2208.11904 for the question; the closed form is this library's.
    """
    _check_rates(miss=miss, false_alarm=false_alarm, alert_bias=alert_bias)
    tp, fp, fn, tn = checked_confusion("correct_confusion", c_observed)
    alerted = _alerted(false_alarm, alert_bias)
    if miss + alerted >= 1:
        raise ScorecraftError(
            f"correct_confusion: miss + false_alarm is {miss + alerted:g} among rows predicted 1; expected less than 1,"
            " else the labels do not tell the classes apart and nothing can be inverted"
        )
    caught, clipped_1 = _column(tp, fp, miss, alerted)
    missed, clipped_0 = _column(fn, tn, miss, false_alarm)
    if max(clipped_1, clipped_0) > ROUNDING * (tp + fp + fn + tn):
        warnings.warn(
            f"correct_confusion: miss {miss:g} and false_alarm {false_alarm:g} explain more errors than were observed;"
            " negative entries were set to 0 (too few rows, or rates that are too high)",
            ScorecraftWarning,
            stacklevel=2,
        )
    return Confusion(caught, tp + fp - caught, missed, fn + tn - missed)


def _column(ones: float, zeros: float, miss: float, false_alarm: float) -> tuple[float, float]:
    """Return the true 1s among rows of one prediction, and by how much they had to be clipped."""
    whole = ones + zeros
    true = (ones - false_alarm * whole) / (1 - miss - false_alarm)
    clipped = min(whole, max(0.0, true))
    return clipped, abs(true - clipped)


def _alerted(false_alarm: float, alert_bias: float) -> float:
    return false_alarm + alert_bias * (1 - false_alarm)


def _check_rates(**rates: float) -> None:
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            raise ScorecraftError(f"{name}: expected a rate in [0, 1], got {rate:g}")
