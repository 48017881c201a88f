"""Many Swiss tournaments at once, compiled; each run has its own random numbers, so threads change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ATTEMPTS = 20


@njit(cache=True)
def _next(state: Any) -> Any:
    # SplitMix64: one addition, and a mixing that is a bijection.
    state[0] += _GOLDEN
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def _below(state: Any, limit: Any) -> Any:
    # The upper 32 bits times the limit: off from uniform by less than 1e-8 for any field of models.
    return np.int64(((_next(state) >> np.uint64(32)) * np.uint64(limit)) >> np.uint64(32))


@njit(cache=True)
def _shuffle(state: Any, values: Any, count: Any) -> None:
    for i in range(count - 1, 0, -1):
        j = _below(state, i + 1)
        values[i], values[j] = values[j], values[i]


@njit(cache=True)
def _pair(active: Any, count: Any, points: Any, absent: Any, waiting: Any, pairs: Any) -> Any:
    """Pair those of equal points as they come in the shuffled list; return how many pairs there are."""
    waiting[:] = -1
    found = 0
    for at in range(count):
        m = active[at]
        if absent[m]:
            continue
        other = waiting[points[m]]
        if other < 0:
            waiting[points[m]] = m
        else:
            pairs[found, 0], pairs[found, 1] = other, m
            waiting[points[m]] = -1
            found += 1
    return found


@njit(cache=True)
def _repeats(pairs: Any, found: Any, met: Any) -> Any:
    total = 0
    for p in range(found):
        total += met[pairs[p, 0], pairs[p, 1]]
    return total


@njit(cache=True)
def _eliminate(state: Any, active: Any, count: Any, points: Any, wanted: Any, lowest: Any, gone: Any, k: Any) -> Any:
    """Remove up to ``wanted`` random ones of the lowest group, never the last; return how many are left."""
    worst = points[active[0]]
    for at in range(1, count):
        worst = min(worst, points[active[at]])
    size = 0
    for at in range(count):
        if points[active[at]] == worst:
            lowest[size] = at
            size += 1
    leaving = min(wanted, size, count - 1)
    for i in range(leaving):
        j = i + _below(state, size - i)
        lowest[i], lowest[j] = lowest[j], lowest[i]
    for i in range(leaving):
        gone[active[lowest[i]]] = k
        active[lowest[i]] = -1
    kept = 0
    for at in range(count):
        if active[at] >= 0:
            active[kept] = active[at]
            kept += 1
    return kept


@njit(cache=True)
def _matched(
    state: Any, active: Any, count: Any, points: Any, absent: Any, waiting: Any, pairs: Any, spare: Any, met: Any
) -> Any:
    """Pair anew, up to 20 times, until no pair has met before; keep the matching with the fewest that have."""
    found = _pair(active, count, points, absent, waiting, pairs)
    fewest = _repeats(pairs, found, met)
    for _ in range(_ATTEMPTS - 1):
        if fewest == 0:
            break
        spare[:found] = pairs[:found]
        _shuffle(state, active, count)
        _pair(active, count, points, absent, waiting, pairs)
        again = _repeats(pairs, found, met)
        if again < fewest:
            fewest = again
        else:
            pairs[:found] = spare[:found]
    for p in range(found):
        met[pairs[p, 0], pairs[p, 1]] += 1
        met[pairs[p, 1], pairs[p, 0]] += 1
    return found


@njit(cache=True)
def _play(wins: Any, pairs: Any, found: Any, active: Any, count: Any, points: Any, playing: Any, bye: Any) -> None:
    """Add what a round brings: the bye for all that are in, but for those who play."""
    for at in range(count):
        playing[active[at]] = False
    for p in range(found):
        i, j = pairs[p, 0], pairs[p, 1]
        playing[i], playing[j] = True, True
        points[i] += wins[i, j]
        points[j] += wins[j, i]
    for at in range(count):
        if not playing[active[at]]:
            points[active[at]] += bye


@njit(cache=True, nogil=True)
def tournaments(
    half_points: Any, absent: Any, eliminated: Any, first: int, end: int, seed: Any, bye: int, avoid: bool,
    random_order: bool,
) -> Any:  # fmt: skip
    """Return in how many runs each model ended with so many half points, and left after each round.

    Args:
        half_points: ``[benchmark, model, model]``, 0, 1 or 2.
        absent: ``[benchmark, model]``, who sits out.
        eliminated: ``[benchmark]``, how many leave after each round.
        first: number of the first tournament.
        end: number after the last one.
        seed: of all of them; each number has random numbers of its own.
        bye: half points of who is left alone.
        avoid: draw again, up to 20 times, for as few repeated pairs as possible.
        random_order: draw the order of benchmarks in each run.
    """
    rounds, models, _ = half_points.shape
    ended = np.zeros((models, 2 * rounds + 1), dtype=np.int64)
    left = np.zeros((models, rounds + 1), dtype=np.int64)
    state = np.empty(1, dtype=np.uint64)
    points, active = np.empty(models, dtype=np.int64), np.empty(models, dtype=np.int64)
    gone, lowest = np.empty(models, dtype=np.int64), np.empty(models, dtype=np.int64)
    waiting, playing = np.empty(2 * rounds + 1, dtype=np.int64), np.empty(models, dtype=np.bool_)
    pairs, spare = np.empty((models, 2), dtype=np.int64), np.empty((models, 2), dtype=np.int64)
    met, order = np.zeros((models, models), dtype=np.int64), np.arange(rounds)
    for run in range(first, end):
        # The start of each run's numbers is mixed twice.
        state[0] = seed + np.uint64(run) * np.uint64(0xD1342543DE82EF95)
        state[0] = _next(state)
        count = models
        for m in range(models):
            points[m], active[m], gone[m] = 0, m, rounds
        met[:] = 0
        for k in range(rounds):
            order[k] = k
        if random_order:
            _shuffle(state, order, rounds)
        for k in range(rounds):
            b = order[k]
            _shuffle(state, active, count)
            if avoid:
                found = _matched(state, active, count, points, absent[b], waiting, pairs, spare, met)
            else:
                found = _pair(active, count, points, absent[b], waiting, pairs)
            _play(half_points[b], pairs, found, active, count, points, playing, bye)
            if eliminated[k] > 0 and count > 1:
                count = _eliminate(state, active, count, points, eliminated[k], lowest, gone, k)
        for m in range(models):
            ended[m, points[m]] += 1
            left[m, gone[m]] += 1
    return ended, left
