"""Balance score: is a classifier on the whole too sure or too timid, as one signed number without bins.

It is no proper scoring rule and no test of calibration: a forecaster that always states its own average accuracy has
Balance 0, regions that are too sure and too timid cancel, and so does a constant shift, whose sign turns at 0.5. A
Balance far from 0 shows miscalibration; one near 0 does not show calibration. `scorecraft.metrics.calibration_panel`
puts the numbers beside it that see what it cannot.
"""

from __future__ import annotations

import math
import warnings
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import ArrayLike

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.metrics.arrays import as_array, as_binary, as_classes, as_distributions, as_probabilities, as_weights
from scorecraft.stats.intervals import BootstrapMethod, Interval, bootstrap_interval

Sign = Literal["paper", "overconfidence"]


class Balance(NamedTuple):
    """A Balance score and what it is made of.

    score: ``accuracy - confidence``, below 0 where forecasts are too sure. accuracy: of the class at or above 0.5.
    confidence: mean of ``max(p, 1 - p)``. standard_error: of the score; infinite for one row. z: ``score /
    standard_error``; where that is 0, 0 for a score of 0, else infinite. p_value: two-sided, of "confidence equals
    accuracy".
    """

    score: float
    accuracy: float
    confidence: float
    standard_error: float
    z: float
    p_value: float


@implements("balance-score")
def balance_terms(y_true: ArrayLike, y_prob: ArrayLike) -> Float64[np.ndarray, " row"]:
    """Return the gain of every forecast, whose mean is the Balance score.

    With the forecast class ``yhat = 1[p >= 0.5]``: ``g = 1[yhat = y] - max(p, 1 - p)``, which is

        1 - p   for p >= 0.5, y = 1        p       for p < 0.5, y = 0
        -p      for p >= 0.5, y = 0        p - 1   for p < 0.5, y = 1

    Where 1 has the probability q, the expected gain is ``q - p`` for ``p >= 0.5`` and ``p - q`` below: it is 0 for
    ``p = q``, negative for a forecast that is too extreme and positive for one that is too timid.

    Args:
        y_true: labels 0 and 1 (or booleans), ``[row]``.
        y_prob: probability of the label 1, ``[row]``, in [0, 1].

    Returns gains in [-1, 0.5].

    Raises `ScorecraftError` for no rows, unequal lengths, other labels, or probabilities outside [0, 1]. Warns where
    all probabilities are 0.5, since the tie rule alone then decides.

    Source: Rethinking Evaluation Metric for Probability Estimation Models Using Esports Data, 2023, arXiv 2309.06248.
    """
    right, confidence = _decided(y_true, y_prob)
    return right - confidence


@implements("balance-score")
def balance_score(
    y_true: ArrayLike, y_prob: ArrayLike, *, sample_weight: ArrayLike | None = None, sign: Sign = "paper"
) -> float:
    """Return the Balance score ``mean g = accuracy - mean confidence``, of `balance_terms`.

    Its size is at most the true calibration error, ``|E g| <= E|q - p|``, with equality where forecasts are nowhere
    too timid, or nowhere too extreme.

    Args:
        y_true: labels 0 and 1, ``[row]``.
        y_prob: probability of the label 1, ``[row]``, in [0, 1].
        sample_weight: of the rows, at least 0; equal where not given.
        sign: with "paper" a score below 0 means overconfident; with "overconfidence" one above 0 does.

    Returns a number in [-1, 0.5], or in [-0.5, 1] with the other sign; 0 is best.

    Raises `ScorecraftError` and warns as `balance_terms` does, and for negative weights, weights that are all 0 or an
    unknown sign.

    Source: Rethinking Evaluation Metric for Probability Estimation Models Using Esports Data, 2023, arXiv 2309.06248.
    """
    if sign not in ("paper", "overconfidence"):
        raise ScorecraftError(f"balance_score: unknown sign '{sign}'; expected 'paper' or 'overconfidence'")
    right, confidence = _decided(y_true, y_prob)
    score = float(np.average(right - confidence, weights=as_weights(sample_weight, len(right))))
    return score if sign == "paper" else -score


@implements("balance-score")
def balance_parts(y_true: ArrayLike, y_prob: ArrayLike, *, sample_weight: ArrayLike | None = None) -> Balance:
    """Return the Balance score with accuracy, mean confidence, standard error and a test against 0.

    With weights ``w`` that sum to W: ``standard_error = sqrt(n / (n - 1) sum_i w_i^2 (g_i - score)^2) / W``, which is
    ``std(g) / sqrt(n)`` for equal ones. ``z = score / standard_error`` is normal where confidence equals accuracy, for
    independent rows and more than a few of them.

    Args:
        y_true: labels 0 and 1, ``[row]``.
        y_prob: probability of the label 1, ``[row]``, in [0, 1].
        sample_weight: of the rows, at least 0; equal where not given.

    Raises `ScorecraftError` and warns as `balance_score` does.

    Source: Rethinking Evaluation Metric for Probability Estimation Models Using Esports Data, 2023, arXiv 2309.06248.
    """
    right, confidence = _decided(y_true, y_prob)
    return _parts(right, confidence, as_weights(sample_weight, len(right)))


@implements("balance-score")
def balance_score_multiclass(y_true: ArrayLike, y_prob: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the Balance score of the most probable class, ``mean(1[argmax p = y] - max p)``.

    An extension; the paper has two classes. A tie goes to the first class, where the score of two classes gives it to
    class 1.

    Args:
        y_true: labels 0 to K - 1, ``[row]``.
        y_prob: distributions, ``[row, K]``, that sum to 1.
        sample_weight: of the rows, at least 0; equal where not given.

    Returns a number in [-1, 1 - 1/K].

    Raises `ScorecraftError` for no rows, unequal lengths, labels that are no class, rows that are no distribution, and
    weights as `balance_score` does.
    """
    stated = as_distributions(y_prob)
    labels = as_classes(y_true, stated.shape[1], rows=len(stated))
    terms = (stated.argmax(1) == labels) - stated.max(1)
    return float(np.average(terms, weights=as_weights(sample_weight, len(terms))))


@implements("balance-score")
def balance_bootstrap(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    confidence: float = 0.95,
    method: BootstrapMethod = "percentile",
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the Balance score with its bootstrap interval over rows.

    Args:
        y_true: labels 0 and 1, ``[row]``, at least 2.
        y_prob: probability of the label 1, ``[row]``, in [0, 1].
        confidence: coverage of the interval, in (0, 1).
        method: "percentile", or "bca" (bias-corrected and accelerated).
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Raises `ScorecraftError` as `balance_terms` does, and for fewer than 2 rows.
    """
    right, stated = _decided(y_true, y_prob)
    return bootstrap_interval(right - stated, confidence=confidence, method=method, resamples=resamples, seed=seed)


@implements("balance-score")
def true_ece(true_prob: ArrayLike, y_prob: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the true calibration error ``mean |p - q|``, which only a simulation knows.

    Args:
        true_prob: the probability q that the label is 1, ``[row]``, in [0, 1].
        y_prob: the forecast p, ``[row]``, in [0, 1].
        sample_weight: of the rows, at least 0; equal where not given.

    Raises `ScorecraftError` for no rows, unequal lengths, numbers outside [0, 1], and weights as `balance_score` does.

    Source: Rethinking Evaluation Metric for Probability Estimation Models Using Esports Data, 2023, arXiv 2309.06248.
    """
    truth = as_probabilities(true_prob, "true_prob")
    stated = as_probabilities(y_prob, "y_prob", rows=len(truth))
    return float(np.average(np.abs(stated - truth), weights=as_weights(sample_weight, len(truth))))


def _decided(y_true: ArrayLike, y_prob: ArrayLike) -> tuple[Bool[np.ndarray, " row"], Float64[np.ndarray, " row"]]:
    """Return whether the class at or above 0.5 is right, and how sure the forecast is of it."""
    labels = as_binary(y_true)
    found = as_array(y_prob, "y_prob")
    if found.ndim == 2 and found.shape[1] > 1:
        hint = "pass y_prob[:, 1]" if found.shape[1] == 2 else "use balance_score_multiclass"
        raise ScorecraftError(f"y_prob: expected one column, got an array of shape {found.shape}; {hint}")
    stated = as_probabilities(found, "y_prob", rows=len(labels))
    if (stated == 0.5).all():
        warnings.warn(
            "Balance: all probabilities are 0.5, which counts as a forecast of class 1; the score is the share of "
            "ones minus 0.5 and says nothing of confidence",
            ScorecraftWarning,
            stacklevel=3,
        )
    return (stated >= 0.5) == labels, np.maximum(stated, 1 - stated)


def _parts(
    right: Bool[np.ndarray, " row"], confidence: Float64[np.ndarray, " row"], weight: Float64[np.ndarray, " row"]
) -> Balance:
    rows, terms = len(right), right - confidence
    score = float(np.average(terms, weights=weight))
    error = math.inf
    if rows > 1:
        # Differences of a rounding error are none: equal gains have the error 0.
        away = weight * np.where(np.isclose(terms, score, rtol=0, atol=1e-12), 0.0, terms - score)
        error = float(np.sqrt(rows / (rows - 1) * (away**2).sum()) / weight.sum())
    z = 0.0 if abs(score) < 1e-12 else score / error if error > 0 else math.copysign(math.inf, score)
    return Balance(
        score,
        float(np.average(right, weights=weight)),
        float(np.average(confidence, weights=weight)),
        error,
        z,
        math.erfc(abs(z) / math.sqrt(2)),
    )
