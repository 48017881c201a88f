"""How many samples until one is good enough, where the chance of a good one differs from case to case, or is not known.

One number of samples for cases of unequal difficulty is not what the average chance says: the easy ones are solved many
times over and the hard ones not at all. By Jensen's inequality ``E (1 - pi)^n >= (1 - E pi)^n``.
"""

from __future__ import annotations

import heapq
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError

# Jeffreys' prior of a pass rate: half a success and half a failure.
PRIOR = (0.5, 0.5)
MOST_SAMPLES = 1_000_000


@implements("lottery-tips")
def success_prob_mixture(pi: Any, n: int) -> float:
    """Return the probability that one of n draws succeeds where all share one case: ``1 - mean_t (1 - pi(t))^n``.

    Args:
        pi: probability that one draw succeeds, in each case, ``[case]``; cases are equally likely.
        n: number of draws, at least 0.

    Raises `ScorecraftError` for numbers that are no probabilities and n below 0.

    Source: Beating the average, 2023; that tips drawn from a forecast share one result is derived here.
    """
    rates = _rates(pi)
    if n < 0:
        raise ScorecraftError(f"n: expected a number of draws from 0, got {n}")
    return float(_success(rates, n).mean())


@implements("lottery-tips")
def tips_needed_mixture(alpha: float, pi: Any, *, allow_inf: bool = False) -> int | float:
    """Return the smallest n with ``success_prob_mixture(pi, n) >= alpha``.

    Args:
        alpha: safety level, below 1 unless every case succeeds for certain.
        pi: probability that one draw succeeds, in each case, ``[case]``.
        allow_inf: whether to return infinity where no number is enough.

    Raises `ScorecraftError` for numbers that are no probabilities, alpha above 1, and where no number of draws is
    enough, because too many cases never succeed, unless ``allow_inf``.

    Source: Beating the average, 2023; derived here.
    """
    rates = _rates(pi)
    if not alpha <= 1:
        raise ScorecraftError(f"alpha: expected a safety level up to 1, such as 0.95, got {alpha}")
    if alpha <= 0:
        return 0
    reach = float((rates > 0).mean())
    if alpha > reach or (alpha == reach and ((rates > 0) & (rates < 1)).any()):
        if allow_inf:
            return math.inf
        raise ScorecraftError(
            f"no number of draws reaches {alpha:g}: {1 - reach:.3g} of the cases never succeed; expected a level below "
            f"{reach:.6g}"
        )
    return _smallest(lambda n: float(_success(rates, n).mean()) >= alpha)


class SampleBudget(NamedTuple):
    """Samples of each prompt.

    samples: of each, ``[prompt]``, -1 where no number is enough. success: probability that one of them is right.
    total: of all. reached: the mean of ``success``.
    """

    samples: Int64[np.ndarray, " prompt"]
    success: Float64[np.ndarray, " prompt"]
    total: int
    reached: float


class PassCurve:
    """Probability that one of k new samples of each prompt is right, from how many of n were.

    With counts, the pass rate is unknown and has the posterior ``Beta(c + a, n - c + b)``; the expectation over it is
    ``1 - prod_{j<k} (n - c + b + j) / (n + a + b + j)``. With rates alone, it is ``1 - (1 - rate)^k``.
    """

    def __init__(self, rate: Any, trials: Any = None, prior: tuple[float, float] = PRIOR) -> None:
        """Keep the rates.

        Args:
            rate: share of right samples of each prompt, ``[prompt]``.
            trials: how many samples it rests on, ``[prompt]``; where not given, the rates are taken for certain.
            prior: of the pass rate, a and b of a beta distribution.

        Raises `ScorecraftError` for numbers that are no probabilities, trials below 1 or of another number, and a prior
        that is not positive.
        """
        self.rate = _rates(rate)
        self.trials = None
        if min(prior) <= 0:
            raise ScorecraftError(f"prior: expected two numbers above 0, got {prior}")
        self.prior = prior
        if trials is not None:
            self.trials = np.broadcast_to(np.asarray(trials, dtype=np.float64), self.rate.shape)
            if not (np.isfinite(self.trials) & (self.trials >= 1)).all():
                raise ScorecraftError("trials: expected 1 sample or more of each prompt")

    def success(self, k: Any) -> Float64[np.ndarray, " prompt"]:
        """Return the probability for each prompt.

        Args:
            k: number of samples, one for all or one for each.
        """
        taken = np.broadcast_to(np.asarray(k, dtype=np.float64), self.rate.shape)
        if self.trials is None:
            return _success(self.rate, taken)
        from scipy.special import betaln

        good, bad = self.posterior
        # At no sample the difference is a rounding error of two large numbers.
        return np.where(taken > 0, -np.expm1(betaln(good, bad + taken) - betaln(good, bad)), 0.0)

    @property
    def posterior(self) -> tuple[Float64[np.ndarray, " prompt"], Float64[np.ndarray, " prompt"]]:
        """Both parameters of the posterior of each pass rate."""
        trials = np.zeros_like(self.rate) if self.trials is None else self.trials
        return self.rate * trials + self.prior[0], (1 - self.rate) * trials + self.prior[1]


def samples_for_each(curve: PassCurve, target: float, most: int = MOST_SAMPLES) -> SampleBudget:
    """Return the fewest samples with which every prompt by itself is solved with the target probability.

    Args:
        curve: of the prompts.
        target: probability wanted of each prompt, in (0, 1).
        most: samples of a prompt beyond which it counts as out of reach: -1 samples.

    Raises `ScorecraftError` for a target outside (0, 1).

    Source: Beating the average, 2023, applied to prompts.
    """
    _check_target(target)
    low, high = np.zeros(len(curve.rate), dtype=np.int64), np.full(len(curve.rate), most, dtype=np.int64)
    reachable = curve.success(high) >= target
    while (low < high).any():
        middle = (low + high) // 2
        enough = curve.success(middle) >= target
        low, high = np.where(enough, low, np.minimum(middle + 1, high)), np.where(enough, middle, high)
    taken = np.where(reachable, low, 0)
    success = curve.success(taken)
    return SampleBudget(np.where(reachable, low, -1), success, int(taken.sum()), float(success.mean()))


def samples_for_all_alike(curve: PassCurve, target: float, most: int = MOST_SAMPLES) -> SampleBudget:
    """Return the one number of samples with which the prompts are solved with the target probability on average.

    Args:
        curve: of the prompts.
        target: mean probability wanted, in (0, 1).
        most: samples of a prompt, at most.

    Raises `ScorecraftError` where ``most`` samples are not enough, and for a target outside (0, 1).

    Source: Beating the average, 2023, applied to prompts; as `tips_needed_mixture`.
    """
    _check_target(target)
    _check_reach(curve, target, most)
    taken = np.full(len(curve.rate), _smallest(lambda k: float(curve.success(k).mean()) >= target), dtype=np.int64)
    success = curve.success(taken)
    return SampleBudget(taken, success, int(taken.sum()), float(success.mean()))


def samples_for_the_mean(curve: PassCurve, target: float, most: int = MOST_SAMPLES) -> SampleBudget:
    """Return the fewest samples in all with which the prompts are solved with the target probability on average.

    The gain of one more sample falls from sample to sample, so giving each to the prompt that gains most is optimal.
    The smallest gain worth taking is found by bisection, then the last samples are given one by one.

    Args:
        curve: of the prompts.
        target: mean probability wanted, in (0, 1).
        most: samples of a prompt, at most.

    Raises `ScorecraftError` where ``most`` samples of each are not enough, and for a target outside (0, 1).

    Source: Fox, 1966, Discrete Optimization via Marginal Analysis.
    """
    _check_target(target)
    _check_reach(curve, target, most)
    too_dear, taken = 1.0, np.zeros(len(curve.rate), dtype=np.int64)
    cheap = 1.0
    while float(curve.success(_worth(curve, cheap, most)).mean()) < target:
        too_dear, cheap = cheap, cheap / 2
    for _ in range(60):
        price = math.sqrt(too_dear * cheap)
        fits = _worth(curve, price, most)
        if float(curve.success(fits).mean()) < target:
            too_dear, taken = price, fits
        else:
            cheap = price
    taken = _one_by_one(curve, taken, target, most)
    success = curve.success(taken)
    return SampleBudget(taken, success, int(taken.sum()), float(success.mean()))


def _worth(curve: PassCurve, price: float, most: int) -> Int64[np.ndarray, " prompt"]:
    """Return how many samples of each prompt gain the price or more, each."""
    low, high = np.zeros(len(curve.rate), dtype=np.int64), np.full(len(curve.rate), most, dtype=np.int64)
    while (low < high).any():
        middle = (low + high + 1) // 2
        worth = curve.success(middle) - curve.success(middle - 1) >= price
        low, high = np.where(worth, middle, low), np.where(worth, high, middle - 1)
    return low


def _one_by_one(
    curve: PassCurve, taken: Int64[np.ndarray, " prompt"], target: float, most: int
) -> Int64[np.ndarray, " prompt"]:
    taken = taken.copy()
    now = curve.success(taken)
    missing = target * len(taken) - math.fsum(now)
    gains = curve.success(np.minimum(taken + 1, most)) - now
    queue = [(-gain, place) for place, gain in enumerate(gains.tolist())]
    heapq.heapify(queue)
    while missing > 1e-12 * len(taken):
        gain, place = heapq.heappop(queue)
        taken[place] += 1
        missing += gain
        one = PassCurve(curve.rate[[place]], None if curve.trials is None else curve.trials[[place]], curve.prior)
        again = float(one.success(min(taken[place] + 1, most))[0] - one.success(taken[place])[0])
        heapq.heappush(queue, (-again, place))
    return taken


def _check_reach(curve: PassCurve, target: float, most: int) -> None:
    reach = float(curve.success(most).mean())
    if reach < target:
        raise ScorecraftError(
            f"a mean of {target:g} is out of reach: with {most:,} samples of each prompt it is {reach:.4g}; lower the "
            "target, or leave out prompts that are never solved"
        )


def _success(rates: Float64[np.ndarray, " case"], n: Any) -> Float64[np.ndarray, " case"]:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = -np.expm1(n * np.log1p(-rates))
    return np.where(np.asarray(n) == 0, 0.0, np.where(rates == 1, 1.0, found))


def _smallest(enough: Any) -> int:
    """Return the smallest whole number for which a condition holds that stays true once it is."""
    high = 1
    while not enough(high):
        high *= 2
        if high > 2**62:
            raise ScorecraftError("no number of draws below 2^62 is enough; lower the safety level")
    low = high // 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _rates(values: Any) -> Float64[np.ndarray, " case"]:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not found.size:
        raise ScorecraftError(f"expected one probability for each case, [case], got shape {found.shape}")
    if not ((found >= 0) & (found <= 1)).all():
        row = int(np.flatnonzero(~((found >= 0) & (found <= 1)))[0])
        raise ScorecraftError(f"case {row}: expected a probability in [0, 1], got {found[row]}")
    return found


def _check_target(target: float) -> None:
    if not 0 < target < 1:
        raise ScorecraftError(f"target: expected a probability between 0 and 1, such as 0.95, got {target}")
