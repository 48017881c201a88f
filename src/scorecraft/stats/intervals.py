"""Intervals and tests: is a difference real, and how sure are we of a rate or a mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorecraft.errors import ScorecraftError

BootstrapMethod = Literal["percentile", "bca"]
Alternative = Literal["two-sided", "greater", "less"]


class Interval(NamedTuple):
    """An estimate and the two ends of its confidence interval."""

    estimate: float
    low: float
    high: float


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Return a rate's Wilson score interval, which stays inside [0, 1] and holds for small samples.

    With z the normal quantile: ``(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)``.

    Args:
        successes: number of successes, 0 to ``trials``.
        trials: number of trials, at least 1.
        confidence: coverage, in (0, 1).

    Raises `ScorecraftError` for counts that cannot be or a confidence outside (0, 1).

    Source: Wilson, 1927, Probable Inference, the Law of Succession, and Statistical Inference.
    """
    from scipy.stats import binomtest

    _check_confidence(confidence)
    if trials < 1 or not 0 <= successes <= trials:
        raise ScorecraftError(
            f"wilson_interval: expected trials >= 1 and successes from 0 to trials, got {successes} of {trials}"
        )
    bounds = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return Interval(successes / trials, float(bounds.low), float(bounds.high))


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[..., Any] = np.mean,
    *,
    confidence: float = 0.95,
    method: BootstrapMethod = "bca",
    resamples: int = 9999,
    seed: int = 0,
) -> Interval:
    """Return the bootstrap confidence interval of a statistic of one sample.

    Args:
        values: the sample, one number per independent unit, at least 2.
        statistic: a function of a sample that takes ``axis``, as numpy's reductions do.
        confidence: coverage, in (0, 1).
        method: "percentile", or "bca" (bias-corrected and accelerated).
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Raises `ScorecraftError` for fewer than 2 values or values that are not finite.

    Source: Efron, 1987, Better Bootstrap Confidence Intervals.
    """
    from scipy.stats import bootstrap

    sample = _sample("bootstrap_interval", values)
    _check_confidence(confidence)
    estimate = float(statistic(sample, axis=0))
    if np.ptp(sample) == 0:  # every resample is the sample itself, where BCa would divide 0 by 0
        return Interval(estimate, estimate, estimate)
    result = bootstrap(
        (sample,),
        statistic,
        confidence_level=confidence,
        n_resamples=resamples,
        method="BCa" if method == "bca" else "percentile",
        rng=np.random.default_rng(seed),
        batch=max(1, 10_000_000 // len(sample)),
    )
    bounds = result.confidence_interval
    if math.isnan(bounds.low) or math.isnan(bounds.high):
        raise ScorecraftError("bootstrap_interval: BCa is undefined for this sample; use method='percentile'")
    return Interval(estimate, float(bounds.low), float(bounds.high))


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    *,
    confidence: float = 0.95,
    method: BootstrapMethod = "bca",
    resamples: int = 9999,
    seed: int = 0,
) -> Interval:
    """Return the mean of ``first - second`` over pairs (same seed, same problem) with its bootstrap interval.

    Args:
        first: one number per pair.
        second: its partners, in the same order.
        confidence: coverage, in (0, 1).
        method: "percentile" or "bca".
        resamples: number of bootstrap samples, which draw whole pairs.
        seed: of the resampling.

    Raises `ScorecraftError` for unequal lengths, fewer than 2 pairs or values that are not finite.
    """
    left, right = _pairs("paired_bootstrap", first, second)
    return bootstrap_interval(left - right, confidence=confidence, method=method, resamples=resamples, seed=seed)


def permutation_test(
    first: ArrayLike,
    second: ArrayLike,
    *,
    paired: bool,
    alternative: Alternative = "two-sided",
    resamples: int = 9999,
    seed: int = 0,
) -> float:
    """Return the p-value of the difference of two means under exchangeability.

    All permutations are tried where there are at most ``resamples``; else that many random ones, with the
    usual +1 in numerator and denominator, so that the p-value is never 0.

    Args:
        first: the first sample.
        second: the second sample; with ``paired`` the partners of the first, in the same order.
        paired: whether swaps happen inside pairs (sign flips), or labels are permuted over both samples.
        alternative: "two-sided", or whether the first mean is "greater" or "less".
        resamples: number of permutations tried at most.
        seed: of the random permutations.

    Raises `ScorecraftError` for fewer than 2 values in a sample or, when paired, unequal lengths.

    Source: Phipson and Smyth, 2010, Permutation P-values Should Never Be Zero.
    """
    from scipy.stats import permutation_test as scipy_permutation_test

    left, right = (
        _pairs("permutation_test", first, second)
        if paired
        else (_sample("permutation_test", first), _sample("permutation_test", second))
    )
    result = scipy_permutation_test(
        (left, right),
        lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
        permutation_type="samples" if paired else "independent",
        vectorized=True,
        n_resamples=resamples,
        alternative=alternative,
        rng=np.random.default_rng(seed),
        batch=max(1, 10_000_000 // (len(left) + len(right))),
    )
    return float(result.pvalue)


def _sample(function: str, values: ArrayLike) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or len(sample) < 2:
        raise ScorecraftError(f"{function}: expected a list of at least 2 numbers, got shape {sample.shape}")
    if not np.isfinite(sample).all():
        place = int(np.flatnonzero(~np.isfinite(sample))[0])
        raise ScorecraftError(f"{function}: value {place} is {sample[place]}; leave out what was not measured")
    return sample


def _pairs(function: str, first: ArrayLike, second: ArrayLike) -> Sequence[NDArray[np.float64]]:
    left, right = _sample(function, first), _sample(function, second)
    if len(left) != len(right):
        raise ScorecraftError(f"{function}: expected pairs, got {len(left)} and {len(right)} values")
    return left, right


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ScorecraftError(f"confidence: expected a number between 0 and 1, such as 0.95, got {confidence}")
