"""What a model does not know, from pairs of answers: how much it gains by seeing one answer before the other.

An expert gains nothing by peeking at another answer to the same question. What a model gains is what it does not know,
and with it come intervals around its probabilities and a bound on how often it says what cannot be.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.metrics.arrays import SUM_TOLERANCE, as_array, as_binary, as_classes, as_floats, as_probabilities

Bound = Literal["empirical-bernstein", "hoeffding"]

# A variance below this is negative by more than rounding.
ROUNDING = 1e-6
# Above this share of negative variances a model counts as under-trained.
MOST_NEGATIVE = 0.1


class PairMoments(NamedTuple):
    """The probabilities of a pair model, and the covariance of the true ones around them."""

    probability: Float64[np.ndarray, "row answer"]
    covariance: Float64[np.ndarray, "row answer answer"]


class SelfCheat(NamedTuple):
    """The variance and confidence of answers scored twice, and the share that seeing the answer made less likely."""

    variance: Float64[np.ndarray, " row"]
    confidence: Float64[np.ndarray, " row"]
    fraction_negative: float


class Bounds(NamedTuple):
    """The two ends of intervals."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


class SecondOrderError(NamedTuple):
    """How far variances are from the squared errors they claim to be.

    Attributes:
        error: ``|E[(p_hat - p)^2 - V]|``, in units of probability squared, as all variances and squared errors here.
        binned_error: the same in bins of V, averaged with their sizes.
        mean_variance: ``E[V]``.
        mean_squared_error: ``E[(p_hat - p)^2]``.
        first_order_error: the calibration error of p_hat itself, in ten bins of equal width.
        fraction_negative: share of variances below 0.
        violation_rate: share of true probabilities outside their interval; None where they are not known.
    """

    error: float
    binned_error: float
    mean_variance: float
    mean_squared_error: float
    first_order_error: float
    fraction_negative: float
    violation_rate: float | None


@implements("second-order-calibration")
def cheat_covariance(log_joint: Any) -> PairMoments:
    """Return what a pair model says of the true probabilities: their mean and their covariance.

    ``p(y) = sum_y2 J(y, y2)`` and ``Sigma(y, y') = J(y, y') - p(y) p(y')``. If J is calibrated on pairs, Sigma is the
    covariance of the true probabilities among the questions that the model cannot tell apart.

    Args:
        log_joint: ``[row, answer, answer]``, log-probability of the first and the second answer.

    Raises `ScorecraftError` for another shape, or a row whose probabilities do not sum to 1 within 1e-4.

    Source: Experts Don't Cheat: Learning What You Don't Know By Predicting Pairs, 2024, arXiv 2402.08733.
    """
    joint = _joint(log_joint)
    first = joint.sum(2)
    return PairMoments(first, joint - first[:, :, None] * first[:, None, :])


@implements("second-order-calibration")
def cheat_variance(log_joint: Any) -> Float64[np.ndarray, "row answer"]:
    """Return the cheat-corrected variance ``V(y) = p(y) (p(Y2 = y | Y1 = y) - p(y))``, the diagonal of the covariance.

    It estimates the squared error of p(y): where J is calibrated, ``E[(p_hat - p)^2 | A] = E[V | A]`` for every event A
    that the model's own view of the question decides. It is below 0 where training noise makes it so.

    Args:
        log_joint: as in `cheat_covariance`.

    Raises `ScorecraftError` as `cheat_covariance` does.

    Source: arXiv 2402.08733.
    """
    joint = _joint(log_joint)
    return np.diagonal(joint, axis1=1, axis2=2) - joint.sum(2) ** 2


@implements("second-order-calibration")
def epistemic_confidence(log_joint: Any) -> Float64[np.ndarray, "row answer"]:
    """Return the cheat-corrected confidence ``C(y) = p(y) / p(Y2 = y | Y1 = y)``, at most 1; 0 where p(y) is 0.

    1 means that seeing y changes nothing. Of answers with confidence C, at most 1 - C have a true probability of 0
    (Cantelli: ``V / (V + p^2) = 1 - C``).

    Args:
        log_joint: as in `cheat_covariance`.

    Raises `ScorecraftError` as `cheat_covariance` does.

    Source: arXiv 2402.08733.
    """
    joint = _joint(log_joint)
    first = joint.sum(2)
    # p^2 / max(J(y, y), p^2): the cap at 1 is the variance's at 0.
    again = np.maximum(np.diagonal(joint, axis1=1, axis2=2), first**2)
    return np.divide(first**2, again, out=np.zeros_like(first), where=again > 0)


@implements("second-order-calibration")
def self_cheat(logp_y: Any, logp_y_given_y: Any) -> SelfCheat:
    """Return variance and confidence of whole answers from two log-probabilities of any model trained on pairs.

    ``V = exp(2 l1) (exp(l2 - l1) - 1)`` and ``C = min(1, exp(l1 - l2))``, computed so that neither overflows.

    Args:
        logp_y: l1, log-probability of each answer as the first.
        logp_y_given_y: l2, of the same answer as the second, after itself.

    Warns where more than a tenth of the answers became less likely. Raises `ScorecraftError` for NaN, log-probabilities
    above 0 or unequal lengths.

    Source: arXiv 2402.08733.
    """
    first = _log_probabilities(logp_y, "logp_y")
    second = _log_probabilities(logp_y_given_y, "logp_y_given_y")
    if first.shape != second.shape:
        raise ScorecraftError(f"self_cheat: expected one pair of numbers an answer, got {len(first)} and {len(second)}")
    possible = np.isfinite(first)
    gain = np.subtract(second, first, out=np.zeros_like(first), where=possible)
    gained = np.exp(first + second) * -np.expm1(-np.maximum(gain, 0))
    lost = np.exp(2 * first) * np.expm1(np.minimum(gain, 0))
    confidence = np.where(possible, np.exp(-np.maximum(gain, 0)), 0.0)
    negative = float((gain < -ROUNDING).mean())
    _warn_of_negatives("self_cheat", negative, 3)
    return SelfCheat(np.where(gain >= 0, gained, lost), confidence, negative)


@implements("second-order-calibration")
def interval(y_prob: Any, variance: Any, beta: float = 0.05, *, scale: float = 1.0, floor: float = 0.0) -> Bounds:
    """Return the interval that the true probability leaves with probability at most beta.

    ``p +- sqrt(scale max(V, floor) / beta)``, clipped to [0, 1]: Markov's inequality on the squared error.

    Args:
        y_prob: probabilities, of any shape.
        variance: V of each, such as `cheat_variance` returns.
        beta: how often the truth may lie outside, in (0, 1).
        scale: gamma of `conservative_scale`, with which the interval holds for a model that is not calibrated.
        floor: least variance, the same as in `conservative_scale`.

    Raises `ScorecraftError` for a beta outside (0, 1), a negative scale or floor, or unequal shapes.

    Source: arXiv 2402.08733.
    """
    _check_share("beta", beta)
    if not (0 <= scale < math.inf and 0 <= floor < math.inf):
        raise ScorecraftError(f"interval: expected a scale and a floor of at least 0, got {scale} and {floor}")
    p, v = _estimates(y_prob, variance)
    half = np.sqrt(scale * np.maximum(v, floor) / beta)
    return Bounds(np.maximum(p - half, 0.0), np.minimum(p + half, 1.0))


@implements("second-order-calibration")
def conservative_scale(
    y_prob: Any,
    variance: Any,
    first: Any,
    second: Any,
    alpha: float = 0.05,
    *,
    floor: float = 0.01,
    bound: Bound = "empirical-bernstein",
) -> float:
    """Return the factor on V with which `interval` holds for any model, calibrated or not.

    ``r_i = (1[first_i] - p_i) (1[second_i] - p_i) / max(V_i, floor)`` has the mean ``E[(p - p_hat)^2 / max(V, floor)]``
    as the two answers are independent; returned is the upper 1 - alpha confidence bound of that mean, at least 0. With
    ``R = 1.25 / floor`` the range of r and s its deviation: ``mean + sqrt(2 s^2 ln(2 / alpha) / n) +
    7 R ln(2 / alpha) / (3 (n - 1))``, or Hoeffding's ``mean + R sqrt(ln(1 / alpha) / (2 n))``.

    Args:
        y_prob: probability of one event, such as "the answer is y", for each held-out question.
        variance: V of each.
        first: whether the event happened in the first answer.
        second: whether in the second, independent one.
        alpha: how often, over held-out sets, the factor may be too small, in (0, 1).
        floor: least variance; a larger one needs fewer pairs and gives wider intervals where the model is sure.
        bound: "empirical-bernstein" or "hoeffding". The paper states the guarantee for some upper bound.

    Raises `ScorecraftError` for an alpha outside (0, 1), a floor of 0 or less, fewer than 2 pairs or unequal lengths.

    Source: arXiv 2402.08733; Empirical Bernstein Bounds and Sample Variance Penalization, 2009, arXiv 0907.3740, th. 4.
    """
    _check_share("alpha", alpha)
    if not 0 < floor < math.inf:
        raise ScorecraftError(f"conservative_scale: expected a floor above 0, such as 0.01, got {floor}")
    p = as_probabilities(y_prob)
    v = as_floats(variance, "variance", len(p))
    one, two = as_binary(first, "first", len(p)), as_binary(second, "second", len(p))
    if len(p) < 2:
        raise ScorecraftError("conservative_scale: expected at least 2 held-out pairs, got 1")
    ratios = (one - p) * (two - p) / np.maximum(v, floor)
    spread, n = 1.25 / floor, len(p)
    if bound == "hoeffding":
        return max(0.0, float(ratios.mean()) + spread * math.sqrt(math.log(1 / alpha) / (2 * n)))
    if bound != "empirical-bernstein":
        raise ScorecraftError(f"conservative_scale: no bound '{bound}'; known: empirical-bernstein, hoeffding")
    doubt = math.log(2 / alpha)
    slack = math.sqrt(2 * float(ratios.var(ddof=1)) * doubt / n) + 7 * spread * doubt / (3 * (n - 1))
    return max(0.0, float(ratios.mean()) + slack)


@implements("second-order-calibration")
def ece2(y_prob: Any, variance: Any, true_prob: Any, *, n_bins: int = 10, beta: float = 0.05) -> SecondOrderError:
    """Return the second-order calibration error where true probabilities are known, as in a simulation.

    ``|E[(p_hat - p)^2 - V]|``, over all and in bins of V.

    Args:
        y_prob: probabilities, ``[row]`` or ``[row, answer]``.
        variance: V of each.
        true_prob: the true probability of each.
        n_bins: number of bins, cut at quantiles of V; equal variances share a bin.
        beta: of the `interval` whose violations are counted.

    Warns where more than a tenth of the variances are negative. Raises `ScorecraftError` for unequal shapes, values
    outside [0, 1], fewer than 1 bin or a beta outside (0, 1).

    Source: arXiv 2402.08733.
    """
    p, v = _estimates(y_prob, variance)
    truth = _within(true_prob, "true_prob")
    if truth.shape != p.shape:
        raise ScorecraftError(f"ece2: true_prob has the shape {truth.shape}, y_prob {p.shape}; expected one shape")
    ends = interval(p, v, beta)
    outside = float(((truth < ends.low) | (truth > ends.high)).mean())
    return _error("ece2", p, v, (p - truth) ** 2, truth, n_bins, outside)


@implements("second-order-calibration")
def ece2_pairs(y_prob: Any, variance: Any, first: Any, second: Any, *, n_bins: int = 10) -> SecondOrderError:
    """Return the second-order calibration error from pairs of answers alone, without bias inside a bin.

    As `ece2` with ``(1[first = y] - p_hat) (1[second = y] - p_hat)`` for the squared error, whose mean it has.

    Args:
        y_prob: probabilities of an event ``[row]``, or of all answers ``[row, answer]``.
        variance: V of each.
        first: whether the event happened in the first answer; with ``[row, answer]``, which answer it was, from 0.
        second: the same for the second answer, independent of the first.
        n_bins: as in `ece2`.

    Warns and raises as `ece2` does.

    Source: arXiv 2402.08733.
    """
    p, v = _estimates(y_prob, variance)
    if p.ndim == 1:
        one, two = (
            np.asarray(as_binary(values, name, len(p)), dtype=np.float64)
            for values, name in ((first, "first"), (second, "second"))
        )
    else:
        one, two = (
            np.eye(p.shape[1])[as_classes(values, p.shape[1], name, len(p))]
            for values, name in ((first, "first"), (second, "second"))
        )
    return _error("ece2_pairs", p, v, (one - p) * (two - p), (one + two) / 2, n_bins, None)


def _error(
    name: str,
    p: NDArray[np.float64],
    v: NDArray[np.float64],
    squared: NDArray[np.float64],
    outcome: NDArray[np.float64],
    n_bins: int,
    violation_rate: float | None,
) -> SecondOrderError:
    if n_bins < 1:
        raise ScorecraftError(f"{name}: expected at least 1 bin, got {n_bins}")
    p, v, squared, outcome = p.ravel(), v.ravel(), squared.ravel(), outcome.ravel()
    cuts = np.quantile(v, np.arange(1, n_bins) / n_bins)
    binned = np.bincount(np.searchsorted(cuts, v, side="right"), squared - v)
    tenths = np.bincount(np.floor(np.round(p * 10, 12)).clip(0, 9).astype(np.int64), outcome - p)
    negative = float((v < -ROUNDING).mean())
    _warn_of_negatives(name, negative, 4)
    return SecondOrderError(
        error=abs(float((squared - v).mean())),
        binned_error=float(np.abs(binned).sum() / len(v)),
        mean_variance=float(v.mean()),
        mean_squared_error=float(squared.mean()),
        first_order_error=float(np.abs(tenths).sum() / len(p)),
        fraction_negative=negative,
        violation_rate=violation_rate,
    )


def _joint(log_joint: Any) -> Float64[np.ndarray, "row answer answer"]:
    found = as_array(log_joint, "log_joint").astype(np.float64)
    if found.ndim != 3 or found.shape[1] != found.shape[2] or 0 in found.shape:
        raise ScorecraftError(f"log_joint: expected log-probabilities [row, answer, answer], got shape {found.shape}")
    if (found > SUM_TOLERANCE).any():
        raise ScorecraftError("log_joint: expected log-probabilities, which are at most 0; take the log-softmax")
    joint = np.exp(found)
    total = joint.sum((1, 2))
    off = ~(np.abs(total - 1) <= SUM_TOLERANCE)
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise ScorecraftError(
            f"log_joint: the probabilities of row {row} sum to {total[row]:g}; expected 1 (log-softmax over all pairs)"
        )
    return joint / total[:, None, None]


def _log_probabilities(values: Any, name: str) -> Float64[np.ndarray, " row"]:
    found = as_array(values, name).astype(np.float64)
    if found.ndim != 1 or not len(found):
        raise ScorecraftError(f"{name}: expected one log-probability an answer, got shape {found.shape}")
    wrong = ~(found <= SUM_TOLERANCE)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ScorecraftError(f"{name}: row {row} is {found[row]}; expected a log-probability, at most 0")
    return np.minimum(found, 0.0)


def _within(values: Any, name: str) -> NDArray[np.float64]:
    found = as_array(values, name).astype(np.float64)
    if found.size == 0:
        raise ScorecraftError(f"{name}: no rows; expected one or more")
    if not ((found >= -SUM_TOLERANCE) & (found <= 1 + SUM_TOLERANCE)).all():
        raise ScorecraftError(f"{name}: expected probabilities in [0, 1]")
    return found.clip(0.0, 1.0)


def _estimates(y_prob: Any, variance: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, v = _within(y_prob, "y_prob"), as_array(variance, "variance").astype(np.float64)
    if p.shape != v.shape or not 1 <= p.ndim <= 2:
        raise ScorecraftError(f"expected y_prob and variance of one shape, got {p.shape} and {v.shape}")
    if not np.isfinite(v).all():
        raise ScorecraftError("variance: expected finite numbers")
    return p, v


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ScorecraftError(f"{name}: expected a number between 0 and 1, such as 0.05, got {value}")


def _warn_of_negatives(name: str, negative: float, stacklevel: int) -> None:
    if negative > MOST_NEGATIVE:
        warnings.warn(
            f"{name}: {negative:.0%} of the variances are negative; the model is trained too little on pairs, or what "
            "it does not know is smaller than its training noise",
            ScorecraftWarning,
            stacklevel=stacklevel,
        )
