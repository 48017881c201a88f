"""Allocation online with uncertain success: each arrival is given to one of those that have not succeeded yet.

Offline vertices u (prompts, reviewers, servers) are known; arrivals v come with chances ``p_uv``. Given v, an offline
vertex succeeds with that chance and is then used up; a failure costs only v.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError

Tie = Literal["random", "first"]
# Of the vanishing regime: chances that are no longer small.
LARGE_CHANCE = 0.1
TIE_TOLERANCE = 1e-12


class MatchingStateError(ScorecraftError, RuntimeError):
    """An outcome was reported of something that was not assigned, or twice."""


class OnlineMatcher(ABC):
    """Assigns arrivals one by one; sees chances and past outcomes only.

    Args:
        tie: which of equals is taken: one at random, or the first.
        seed: of all that is random.
    """

    def __init__(self, tie: Tie = "random", seed: int = 0) -> None:
        if tie not in ("random", "first"):
            raise ScorecraftError(f"tie: expected 'random' or 'first', got '{tie}'")
        self.tie, self.random = tie, np.random.default_rng(seed)
        self.reset(0)

    def reset(self, n: int, weights: Any = None) -> None:
        """Forget all, and begin with n offline vertices.

        Args:
            n: how many.
            weights: worth of a success of each, ``[u]``, at least 0; 1 where not given.

        Raises `ScorecraftError` for weights that are negative, not finite or of another number.
        """
        self.weights = check_weights(weights, n)
        self.free = np.ones(n, dtype=np.bool_)
        self.load = np.zeros(n)
        self._waiting: int | None = None

    def assign(self, p: Float64[np.ndarray, " u"], eligible: Bool[np.ndarray, " u"] | None = None) -> int:
        """Return which offline vertex an arrival is given to; -1 where there is none, and the arrival is lost.

        Args:
            p: chance of success with each.
            eligible: which may be given it; those with a chance above 0 where not given.

        Raises `ScorecraftError` for numbers that are no chances.
        """
        chance = np.asarray(p, dtype=np.float64)
        if chance.shape != self.free.shape or not ((chance >= 0) & (chance <= 1)).all():
            raise ScorecraftError(f"p: expected {len(self.free)} chances in [0, 1], got shape {chance.shape}")
        able = self.free & ((chance > 0) if eligible is None else np.asarray(eligible, dtype=np.bool_))
        if not able.any():
            self._waiting = None
            return -1
        value = np.where(able, self.priority(chance), -np.inf)
        best = np.flatnonzero(value >= value.max() - TIE_TOLERANCE)
        chosen = int(best[0] if self.tie == "first" else self.random.choice(best))
        self.load[chosen] += chance[chosen]
        self._waiting = chosen
        return chosen

    def report(self, u: int, success: bool) -> None:
        """Say what came of the last assignment; one that succeeded is assigned nothing more.

        Raises `MatchingStateError` for a vertex that was not assigned, or whose outcome was reported already.
        """
        if u != self._waiting:
            raise MatchingStateError(f"offline vertex {u} awaits no outcome; report the last assignment once")
        self._waiting = None
        if success:
            self.free[u] = False

    @abstractmethod
    def priority(self, p: Float64[np.ndarray, " u"]) -> Float64[np.ndarray, " u"]:
        """Return what is to be largest of the vertex that is chosen."""


@implements("online-matching")
class StochasticBalance(OnlineMatcher):
    """Gives an arrival to ``argmax_u w_u p_uv (1 - g(l_u))``, with the load ``l_u`` the sum of the chances that u was
    given.

    For equal chances and weights that is the least load. Its ratio is .611 of the best adaptive offline policy for
    small chances, .613 for equal ones.

    Args:
        g: an increasing function of the load with values in [0, 1]; ``1 - e^-l`` where not given.
        tie: as of `OnlineMatcher`.
        seed: as of `OnlineMatcher`.

    Source: Online Matching with Stochastic Rewards, 2023, arXiv 2309.10289; the default g is this project's.
    """

    def __init__(
        self, g: Callable[[Float64[np.ndarray, " u"]], Float64[np.ndarray, " u"]] | None = None, tie: Tie = "random",
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(tie, seed)
        self.g = g or (lambda load: -np.expm1(-load))

    def priority(self, p: Float64[np.ndarray, " u"]) -> Float64[np.ndarray, " u"]:
        """Return ``w p (1 - g(l))``."""
        return self.weights * p * (1 - self.g(self.load))


@implements("online-matching")
class Ranking(OnlineMatcher):
    """Gives an arrival to ``argmax_u w_u p_uv (1 - e^(y_u - 1))``, with ``y_u`` drawn once, uniformly.

    Source: Karp, Vazirani and Vazirani, 1990; arXiv 2309.10289.
    """

    def reset(self, n: int, weights: Any = None) -> None:
        """Forget all, and draw the ranks of n offline vertices."""
        super().reset(n, weights)
        self.rank = self.random.random(n)

    def priority(self, p: Float64[np.ndarray, " u"]) -> Float64[np.ndarray, " u"]:
        """Return ``w p (1 - e^(y - 1))``."""
        return self.weights * p * -np.expm1(self.rank - 1)


@implements("online-matching")
class Greedy(OnlineMatcher):
    """Gives an arrival to ``argmax_u w_u p_uv``; at least half of the best.

    Source: Mehta and Panigrahi, 2012, Online Matching with Stochastic Rewards.
    """

    def priority(self, p: Float64[np.ndarray, " u"]) -> Float64[np.ndarray, " u"]:
        """Return ``w p``."""
        return self.weights * p


@implements("online-matching")
class RandomMatch(OnlineMatcher):
    """Gives an arrival to any of those that may have it."""

    def priority(self, p: Float64[np.ndarray, " u"]) -> Float64[np.ndarray, " u"]:
        """Return equal numbers, of which one is taken at random."""
        return np.zeros(len(p))


class RunStats(NamedTuple):
    """Mean worth of the successes over runs, and the standard error of that mean."""

    mean: float
    sem: float


@implements("online-matching")
def simulate(
    P: Float64[np.ndarray, "u v"],  # noqa: N803 - the matrix of the paper
    matcher: OnlineMatcher,
    n_runs: int = 100,
    seed: int = 0,
    *,
    weights: Any = None,
    vanishing: bool = False,
) -> RunStats:
    """Return what a matcher earns on an instance.

    Args:
        P: chance of each offline vertex with each arrival, in the order of arrival; 0 where they do not meet.
        matcher: which is reset before each run.
        n_runs: runs, at least 1.
        seed: of the outcomes.
        weights: worth of each offline vertex's success.
        vanishing: whether outcomes are those of chances that vanish: each offline vertex succeeds once its load reaches
            a
            threshold drawn from the exponential distribution.

    Raises `ScorecraftError` for numbers that are no chances, bad weights or fewer than 1 run. Warns of chances above
    0.1 with ``vanishing``.

    Source: arXiv 2309.10289 for both regimes.
    """
    chances = check_chances(P, vanishing=vanishing)
    worth = check_weights(weights, len(chances))
    if n_runs < 1:
        raise ScorecraftError(f"n_runs: expected at least 1, got {n_runs}")
    random = np.random.default_rng(seed)
    earned = np.empty(n_runs)
    for run in range(n_runs):
        matcher.reset(len(chances), worth)
        thresholds = random.exponential(size=len(chances))
        for p in chances.T:
            u = matcher.assign(p)
            if u >= 0:
                luck = matcher.load[u] >= thresholds[u] if vanishing else random.random() < p[u]
                matcher.report(u, bool(luck))
        earned[run] = worth[~matcher.free].sum()
    return RunStats(float(earned.mean()), float(earned.std(ddof=1) / np.sqrt(n_runs)) if n_runs > 1 else float("inf"))


@implements("online-matching")
def exact_value(P: Float64[np.ndarray, "u v"], matcher: OnlineMatcher, weights: Any = None) -> float:  # noqa: N803
    """Return what a matcher without random choices earns in expectation, over all outcomes.

    Args:
        P: as of `simulate`, of at most 16 arrivals.
        matcher: with ``tie="first"``.
        weights: worth of each offline vertex's success.

    Raises `ScorecraftError` for more arrivals, a matcher that chooses at random, and bad input.
    """
    chances = check_chances(P)
    worth = check_weights(weights, len(chances))
    if chances.shape[1] > 16:
        raise ScorecraftError(f"exact_value: expected at most 16 arrivals, got {chances.shape[1]}; simulate instead")
    if matcher.tie != "first" or isinstance(matcher, Ranking | RandomMatch):
        raise ScorecraftError("exact_value: the matcher must not choose at random; give tie='first'")

    def value(luck: list[bool]) -> float:
        matcher.reset(len(chances), worth)
        outcomes, chance = iter(luck), 1.0
        for p in chances.T:
            u = matcher.assign(p)
            if u < 0:
                continue
            won = next(outcomes, None)
            if won is None:  # a new attempt: both ways
                return value([*luck, True]) + value([*luck, False])
            chance *= p[u] if won else 1 - p[u]
            matcher.report(u, won)
        return chance * float(worth[~matcher.free].sum())

    return value([])


def check_chances(P: Any, *, vanishing: bool = False) -> Float64[np.ndarray, "u v"]:  # noqa: N803
    """Return a matrix of chances; raises `ScorecraftError` for anything else.

    Args:
        P: ``[u, v]``.
        vanishing: whether to warn of chances above 0.1.
    """
    import warnings

    from scorecraft.errors import ScorecraftWarning

    found = np.asarray(P, dtype=np.float64)
    if found.ndim != 2 or not found.size:
        raise ScorecraftError(f"P: expected chances [offline, arrival], got shape {found.shape}")
    bad = ~((found >= 0) & (found <= 1))
    if bad.any():
        u, v = np.argwhere(bad)[0].tolist()
        raise ScorecraftError(f"P: offline vertex {u} and arrival {v} have {found[u, v]}; expected a chance in [0, 1]")
    if vanishing and found.max() > LARGE_CHANCE:
        warnings.warn(
            f"vanishing: chances reach {found.max():.3g}; outcomes by thresholds are for small ones", ScorecraftWarning,
            stacklevel=3,
        )  # fmt: skip
    return found


def check_weights(weights: Any, n: int) -> Float64[np.ndarray, " u"]:
    """Return a weight for each offline vertex; raises `ScorecraftError` for one that is none.

    Args:
        weights: ``[u]``, or None for 1.
        n: how many there must be.
    """
    if weights is None:
        return np.ones(n)
    found = np.asarray(weights, dtype=np.float64)
    if found.shape != (n,) or not (np.isfinite(found) & (found >= 0)).all():
        raise ScorecraftError(f"weights: expected {n} finite numbers from 0")
    return found
