"""Expected win scores of small fields, by going through every pairing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scorecraft.arena.win_tensor import check_wins, sitting_out
from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError

MOST_MODELS, MOST_ROUNDS = 8, 6
# Half points of every model, and who is still in.
_State: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
_Gains: TypeAlias = dict[tuple[tuple[int, int], ...], Fraction]


@implements("swiss-ranking")
def csd_exact(
    W: Any,  # noqa: N803 - the tensor of the paper
    T: int | Sequence[int] = 0,  # noqa: N803 - as the paper has it
    bye: float = 0.0,
) -> list[Fraction]:
    """Return each model's expected win score, exactly: the probability of every state of the tournament is kept.

    Args:
        W: ``[benchmark, model, model]`` of 0, 1/2 and 1; at most 8 models and 6 benchmarks.
        T: how many leave after each round, one number for all or one a round.
        bye: points of who finds no opponent: 0, 0.5 or 1.

    Raises `ScorecraftError` for a larger field, and as `scorecraft.arena.swiss_ranking.csd` does.

    Source: arXiv 2512.21010, section 3.
    """
    wins = check_wins(W, sums=False)
    rounds, models, _ = wins.shape
    if models > MOST_MODELS or rounds > MOST_ROUNDS:
        raise ScorecraftError(
            f"{models} models and {rounds} benchmarks are too many to go through every pairing; expected at most "
            f"{MOST_MODELS} and {MOST_ROUNDS}: csd estimates it by runs"
        )
    leaving, alone = eliminations(T, rounds), half_points_of_bye(bye)
    halves = np.nan_to_num(2 * wins).astype(np.int64)
    absent = sitting_out(wins)
    states: dict[_State, Fraction] = {((0,) * models, tuple(range(models))): Fraction(1)}
    for k in range(rounds):
        known: dict[tuple[int, ...], _Gains] = {}
        after: dict[_State, Fraction] = defaultdict(Fraction)
        for (points, active), chance in states.items():
            for scored, share in _round(points, active, halves[k], absent[k], alone, known):
                for left, part in _left(scored, active, leaving[k]):
                    after[scored, left] += chance * share * part
        states = after
    return [sum((chance * points[m] for (points, _), chance in states.items()), Fraction(0)) / 2 for m in range(models)]


def eliminations(T: int | Sequence[int], rounds: int) -> NDArray[np.int64]:  # noqa: N803 - as the paper has it
    """Return how many leave after each round; raises `ScorecraftError` for a negative number or another length."""
    try:
        given = np.atleast_1d(np.asarray(T))
        leaving = np.broadcast_to(given, (rounds,)) if len(given) == 1 and np.ndim(T) == 0 else given
    except (TypeError, ValueError) as error:
        raise ScorecraftError(f"T is {T!r}; expected a whole number, or one a benchmark") from error
    if leaving.shape != (rounds,) or not np.equal(leaving, np.floor(leaving.astype(float))).all():
        raise ScorecraftError(f"T is {T!r}; expected a whole number, or {rounds} of them, one a benchmark")
    if (leaving < 0).any():
        raise ScorecraftError(f"T is {T!r}; expected numbers that are not negative")
    return leaving.astype(np.int64)


def half_points_of_bye(bye: float) -> int:
    """Return the half points of who finds no opponent; raises `ScorecraftError` unless these are whole."""
    if bye not in {0, 0.5, 1}:
        raise ScorecraftError(f"bye is {bye}; expected 0, 0.5 or 1 point")
    return int(2 * bye)


def _round(
    points: tuple[int, ...],
    active: tuple[int, ...],
    halves: NDArray[np.int64],
    absent: NDArray[np.bool_],
    bye: int,
    known: dict[tuple[int, ...], _Gains],
) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Yield the points after a round, with their probability: groups are paired independently."""
    groups: dict[int, list[int]] = defaultdict(list)
    sure = [(m, bye) for m in active if absent[m]]
    for m in active:
        if not absent[m]:
            groups[points[m]].append(m)
    outcomes: list[tuple[list[tuple[int, int]], Fraction]] = [(sure, Fraction(1))]
    for members in groups.values():
        key = tuple(members)
        if key not in known:
            known[key] = _gains(key, halves, bye)
        outcomes = [
            ([*before, *gained], chance * share) for before, chance in outcomes for gained, share in known[key].items()
        ]
    for gained, chance in outcomes:
        scored = list(points)
        for m, gain in gained:
            scored[m] += gain
        yield tuple(scored), chance


def _gains(members: tuple[int, ...], halves: NDArray[np.int64], bye: int) -> _Gains:
    matchings = list(_matchings(members))
    found: _Gains = defaultdict(Fraction)
    for pairs in matchings:
        gained = dict.fromkeys(members, bye)
        for i, j in pairs:
            gained[i], gained[j] = int(halves[i, j]), int(halves[j, i])
        found[tuple(gained.items())] += Fraction(1, len(matchings))
    return found


def _matchings(members: tuple[int, ...]) -> Iterator[list[tuple[int, int]]]:
    """Yield every way to pair all members, or all but one where their number is odd; all are equally likely."""
    if len(members) < 2:
        yield []
        return
    if len(members) % 2:
        for out in members:
            yield from _matchings(tuple(m for m in members if m != out))
        return
    first = members[0]
    for other in members[1:]:
        rest = tuple(m for m in members[1:] if m != other)
        for pairs in _matchings(rest):
            yield [(first, other), *pairs]


def _left(points: tuple[int, ...], active: tuple[int, ...], leaving: int) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    worst = min(points[m] for m in active)
    lowest = [m for m in active if points[m] == worst]
    number = min(int(leaving), len(lowest), len(active) - 1)
    ways = list(combinations(lowest, number))
    for gone in ways:
        yield tuple(m for m in active if m not in gone), Fraction(1, len(ways))
