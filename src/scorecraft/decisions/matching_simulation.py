"""Many runs of an online matcher at once, compiled: the same rules as in `scorecraft.decisions.online_matching`."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float64
from numba import njit

from scorecraft.catalog.implements import implements
from scorecraft.compiling import compiling_told
from scorecraft.decisions.online_matching import RunStats, check_chances, check_weights
from scorecraft.errors import ScorecraftError, nearest

Rule = Literal["stochastic-balance", "ranking", "greedy", "random", "last"]
_BALANCE, _RANKING, _GREEDY, _LAST = 0, 1, 2, 4


@implements("online-matching")
def simulate_many(
    P: Float64[np.ndarray, "u v"],  # noqa: N803 - the matrix of the paper
    rule: Rule,
    n_runs: int = 1000,
    seed: int = 0,
    *,
    weights: Any = None,
    vanishing: bool = False,
) -> RunStats:
    """Return what a rule earns on an instance, as `simulate` with its matcher, in compiled code.

    The first call compiles, for some seconds, and the result is kept on the disk.

    Args:
        P: chance of each offline vertex with each arrival.
        rule: "stochastic-balance" with ``g = 1 - e^-l``, "ranking", "greedy", "random", or "last", which takes the
            offline vertex with the largest index; ties are broken at random.
        n_runs: runs, at least 1.
        seed: of the outcomes, ranks and ties.
        weights: worth of each offline vertex's success.
        vanishing: see `simulate`.

    Raises `ScorecraftError` as `simulate` does, and for another rule.

    Source: arXiv 2309.10289.
    """
    rules = get_args(Rule)
    if rule not in rules:
        raise ScorecraftError(f"no rule '{rule}': {nearest(rule, rules)}")
    chances = check_chances(P, vanishing=vanishing)
    worth = check_weights(weights, len(chances))
    if n_runs < 1:
        raise ScorecraftError(f"n_runs: expected at least 1, got {n_runs}")
    # Arrivals in rows, of their neighbours alone.
    where = [np.flatnonzero(p) for p in chances.T]
    starts = np.concatenate(([0], np.cumsum([len(one) for one in where])))
    neighbours = np.concatenate(where) if where else np.zeros(0, dtype=np.int64)
    chance = np.concatenate([p[one] for p, one in zip(chances.T, where, strict=True)])
    with compiling_told():
        earned = _runs(starts, neighbours, chance, worth, rules.index(rule), n_runs, seed, vanishing)
    return RunStats(float(earned.mean()), float(earned.std(ddof=1) / math.sqrt(n_runs)) if n_runs > 1 else math.inf)


@njit(cache=True)
def _priority(rule: int, gain: Any, load: Any, rank: Any, u: Any) -> Any:
    if rule == _BALANCE:
        return gain * math.exp(-load)
    if rule == _RANKING:
        return gain * (1 - rank)
    if rule == _LAST:
        return float(u)
    return gain if rule == _GREEDY else 0.0


@njit(cache=True)
def _runs(
    starts: Any, neighbours: Any, chance: Any, worth: Any, rule: int, n_runs: int, seed: int, vanishing: bool
) -> Any:
    np.random.seed(seed)
    n = len(worth)
    earned = np.zeros(n_runs)
    free, load = np.empty(n, dtype=np.bool_), np.empty(n)
    rank, threshold = np.empty(n), np.empty(n)
    for run in range(n_runs):
        for u in range(n):
            free[u], load[u] = True, 0.0
            rank[u] = math.exp(np.random.random() - 1)
            threshold[u] = -math.log(1 - np.random.random())
        for arrival in range(len(starts) - 1):
            best, chosen, place, equals = -1.0, -1, -1, 0
            for at in range(starts[arrival], starts[arrival + 1]):
                u = neighbours[at]
                if not free[u]:
                    continue
                value = _priority(rule, worth[u] * chance[at], load[u], rank[u], u)
                if value > best + 1e-12:
                    best, chosen, place, equals = value, u, at, 1
                elif value >= best - 1e-12:
                    # The i-th of equals takes the place of the others with a chance of 1 in i.
                    equals += 1
                    if np.random.random() * equals < 1:
                        chosen, place = u, at
            if chosen < 0:
                continue
            load[chosen] += chance[place]
            won = load[chosen] >= threshold[chosen] if vanishing else np.random.random() < chance[place]
            if won:
                free[chosen] = False
                earned[run] += worth[chosen]
    return earned
