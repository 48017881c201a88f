"""Two models on the same rows: is one better, by how much, and could these rows have shown it."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.arrays import as_array, as_floats
from scorecraft.stats.intervals import Alternative, paired_bootstrap, permutation_test

# A metric that is undefined on so large a share of resamples has no bootstrap worth the name.
MOST_UNDEFINED = 0.1
POWER = 0.8


class PairedComparison(NamedTuple):
    """A paired comparison of two models.

    first and second: their metric. difference: first less second, with its interval from low to high. p_value: that of
    the permutation test. standard_error: of the difference, by the bootstrap. power: the chance that such rows show the
    effect asked about. detectable: the smallest difference that they show with a chance of 0.8. rows: how many there
    are. rows_needed: how many show the effect with a chance of 0.8; infinite for an effect of 0.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    standard_error: float
    power: float
    detectable: float
    rows: int
    rows_needed: float


def compare_losses(
    first: Any,
    second: Any,
    *,
    effect: float | None = None,
    alternative: Alternative = "two-sided",
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> PairedComparison:
    """Compare two models by a number per row whose mean is the metric, such as `brier_scores`.

    The interval is the BCa bootstrap of the mean difference, the test that of sign flips.

    Args:
        first: one number per row.
        second: that of the other model, ``[row]``.
        effect: a difference that would matter, for ``power`` and ``rows_needed``. By default the observed one, whose
            power only restates the p-value: give one that was decided on before.
        alternative: "two-sided", or whether the first is "greater" or "less".
        confidence: coverage of the interval, and 1 less the level of the test that ``power`` is of, in (0, 1).
        resamples: number of bootstrap samples and of permutations.
        seed: of both.

    Models that are equal in every row have a difference, an interval and a standard error of 0, and the p-value 1.

    Raises `ScorecraftError` for fewer than 2 rows, unequal lengths, numbers that are not finite, and a confidence
    outside (0, 1).

    Source: Efron and Tibshirani, 1993, An Introduction to the Bootstrap, chapters 13 to 15.
    """
    left = as_floats(first, "first")
    right = as_floats(second, "second", len(left))
    found = paired_bootstrap(left, right, confidence=confidence, resamples=resamples, seed=seed)
    p_value = permutation_test(left, right, paired=True, alternative=alternative, resamples=resamples, seed=seed)
    error = float((left - right).std(ddof=1)) / math.sqrt(len(left))
    return comparison_of(
        float(left.mean()),
        float(right.mean()),
        (found.low, found.high),
        p_value,
        error,
        rows=len(left),
        effect=effect,
        alternative=alternative,
        confidence=confidence,
    )


def compare_metric(
    metric: Callable[[Any, Any], float],
    y_true: Any,
    first: Any,
    second: Any,
    *,
    effect: float | None = None,
    alternative: Alternative = "two-sided",
    confidence: float = 0.95,
    resamples: int = 999,
    seed: int = 0,
) -> PairedComparison:
    """Compare two models by any metric of labels and predictions, such as `roc_auc` or `expected_calibration_error`.

    The test exchanges the predictions of both models in random rows, ``p = (1 + #{as extreme}) / (1 + resamples)``; the
    interval is the percentile bootstrap of rows. Calls the metric ``4 resamples`` times; for a metric that is a mean
    over rows `compare_losses` is far faster.

    Predictions are exchanged as they are: for a metric of their order, such as `roc_auc`, both models have to be on one
    scale (ranks, or probabilities), or the null hypothesis holds their scales to be equal too.

    Args:
        metric: of labels and predictions; one that raises `ScorecraftError` on a resample, as with one class only,
            has that resample drawn again.
        y_true: labels, ``[row]``.
        first: predictions of one model, ``[row]`` or ``[row, class]``.
        second: those of the other, in the same shape.
        effect: see `compare_losses`, as all others.
        alternative: "two-sided", "greater" or "less".
        confidence: coverage, in (0, 1).
        resamples: number of permutations, and of bootstrap samples.
        seed: of both.

    Raises `ScorecraftError` for fewer than 2 rows, unequal shapes, a metric that is not finite, or undefined on more
    than a tenth of the resamples, fewer than 1 resample, and a confidence outside (0, 1).

    Source: Noreen, 1989, Computer-Intensive Methods for Testing Hypotheses; Phipson and Smyth, 2010, Permutation
    P-values Should Never Be Zero.
    """
    if not 0 < confidence < 1:
        raise ScorecraftError(f"confidence: expected a number between 0 and 1, such as 0.95, got {confidence}")
    if resamples < 1:
        raise ScorecraftError(f"resamples: expected at least 1, got {resamples}")
    _check_alternative(alternative)
    labels, left, right = as_array(y_true, "y_true"), as_array(first, "first"), as_array(second, "second")
    if left.shape != right.shape or not left.ndim or labels.shape[:1] != left.shape[:1]:
        raise ScorecraftError(
            f"compare_metric: expected labels and two equal columns, got shapes {labels.shape}, {left.shape} and "
            f"{right.shape}"
        )
    if len(labels) < 2:
        raise ScorecraftError(f"compare_metric: {len(labels)} rows; expected 2 or more")
    values = _finite(metric(labels, left)), _finite(metric(labels, right))
    random = np.random.default_rng(seed)
    exchanged = _exchanged(metric, labels, left, right, resamples, random)
    drawn = _resampled(metric, labels, left, right, resamples, random)
    low, high = np.quantile(drawn, ((1 - confidence) / 2, (1 + confidence) / 2)).tolist()
    return comparison_of(
        *values,
        (low, high),
        _p_value(values[0] - values[1], exchanged, alternative),
        float(drawn.std(ddof=1)) if resamples > 1 else 0.0,
        rows=len(labels),
        effect=effect,
        alternative=alternative,
        confidence=confidence,
    )


def comparison_power(
    effect: float, standard_error: float, *, alternative: Alternative = "two-sided", confidence: float = 0.95
) -> float:
    """Return the chance that a test of level ``1 - confidence`` shows an effect, by the normal approximation.

    Two-sided it is ``Phi(|e|/se - z) + Phi(-|e|/se - z)`` with z the quantile at ``(1 + confidence) / 2``; one-sided
    ``Phi(e/se - z)`` with that at ``confidence``, and e turned round for "less". Without any error it is 1 for an
    effect in the direction of the test, and ``1 - confidence`` else.

    Args:
        effect: the true difference.
        standard_error: of the estimate of it, at least 0.
        alternative: "two-sided", "greater" or "less".
        confidence: 1 less the level of the test, in (0, 1).

    Raises `ScorecraftError` for a negative standard error, numbers that are not finite, or a confidence outside (0, 1).

    Source: Cohen, 1988, Statistical Power Analysis for the Behavioral Sciences.
    """
    _check_alternative(alternative)
    if not 0 < confidence < 1:
        raise ScorecraftError(f"confidence: expected a number between 0 and 1, such as 0.95, got {confidence}")
    if not (math.isfinite(effect) and math.isfinite(standard_error)) or standard_error < 0:
        raise ScorecraftError(
            f"comparison_power: expected a finite effect and a standard error of at least 0, got {effect} and "
            f"{standard_error}"
        )
    towards = {"two-sided": abs(effect), "greater": effect, "less": -effect}[alternative]
    if standard_error == 0:
        return 1.0 if towards > 0 else 1 - confidence
    normal = NormalDist()
    z, ratio = _critical(alternative, confidence), towards / standard_error
    return normal.cdf(ratio - z) + (normal.cdf(-ratio - z) if alternative == "two-sided" else 0.0)


def comparison_of(
    first: float,
    second: float,
    ends: tuple[float, float],
    p_value: float,
    standard_error: float,
    *,
    rows: int,
    effect: float | None = None,
    alternative: Alternative = "two-sided",
    confidence: float = 0.95,
) -> PairedComparison:
    """Return a comparison whose test was made already, with its power, such as that of `delong_test`.

    Args:
        first: the metric of one model.
        second: that of the other.
        ends: of the interval of the difference.
        p_value: of the test.
        standard_error: of the difference, at least 0.
        rows: how many there are.
        effect: see `compare_losses`, as all others.
        alternative: "two-sided", "greater" or "less".
        confidence: coverage, in (0, 1).

    Raises `ScorecraftError` as `comparison_power` does.

    Source: Cohen, 1988, Statistical Power Analysis for the Behavioral Sciences.
    """
    asked = first - second if effect is None else float(effect)
    detectable = (_critical(alternative, confidence) + NormalDist().inv_cdf(POWER)) * standard_error
    return PairedComparison(
        first,
        second,
        first - second,
        *ends,
        p_value,
        standard_error,
        comparison_power(asked, standard_error, alternative=alternative, confidence=confidence),
        detectable,
        rows,
        rows * (detectable / asked) ** 2 if asked else math.inf,
    )


def _exchanged(
    metric: Callable[[Any, Any], float],
    labels: NDArray[Any],
    left: NDArray[Any],
    right: NDArray[Any],
    resamples: int,
    random: np.random.Generator,
) -> Float64[np.ndarray, " resample"]:
    """Return differences of the metric after exchanging the predictions in random rows."""
    found = np.empty(resamples)
    for place in range(resamples):
        swap = random.random(len(labels)) < 0.5
        swap = swap.reshape(-1, *(1,) * (left.ndim - 1))
        found[place] = metric(labels, np.where(swap, right, left)) - metric(labels, np.where(swap, left, right))
    return found


def _resampled(
    metric: Callable[[Any, Any], float],
    labels: NDArray[Any],
    left: NDArray[Any],
    right: NDArray[Any],
    resamples: int,
    random: np.random.Generator,
) -> Float64[np.ndarray, " resample"]:
    """Return differences of the metric on rows drawn with replacement."""
    found: list[float] = []
    undefined = 0
    while len(found) < resamples:
        rows = random.integers(len(labels), size=len(labels))
        try:
            value = metric(labels[rows], left[rows]) - metric(labels[rows], right[rows])
        except ScorecraftError as error:
            undefined += 1
            if undefined > 1 + MOST_UNDEFINED * resamples:
                raise ScorecraftError(
                    f"compare_metric: undefined on {undefined} resamples, the last: {error}"
                ) from None
            continue
        found.append(_finite(value))
    return np.array(found)


def _p_value(difference: float, exchanged: Float64[np.ndarray, " resample"], alternative: Alternative) -> float:
    # Differences that are equal but for rounding are equally extreme.
    slack = 1e-12 * max(abs(difference), 1e-300)
    if alternative == "two-sided":
        extreme = np.abs(exchanged) >= abs(difference) - slack
    elif alternative == "greater":
        extreme = exchanged >= difference - slack
    else:
        extreme = exchanged <= difference + slack
    return float((1 + np.count_nonzero(extreme)) / (1 + len(exchanged)))


def _critical(alternative: Alternative, confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2 if alternative == "two-sided" else confidence)


def _check_alternative(alternative: str) -> None:
    if alternative not in {"two-sided", "greater", "less"}:
        raise ScorecraftError(f"alternative: expected 'two-sided', 'greater' or 'less', got {alternative!r}")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ScorecraftError(f"compare_metric: the metric is {value}; expected a finite number (see log_loss's clip)")
    return float(value)
