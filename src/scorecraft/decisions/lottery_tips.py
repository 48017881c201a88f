"""Tips on matches: how many reach how many strikes, hit rates of outcomes, and tips drawn from a forecast."""

from __future__ import annotations

from math import comb
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int, Int8

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError
from scorecraft.stats.intervals import Interval, wilson_interval

RANKS = ("favourite", "middle", "outsider")
# All tips of so many matches are ordered at once; with more of them, tips are drawn until there are enough.
ORDERED_MATCHES = 13
TOTAL_TOLERANCE = 1e-6


class HitRates(NamedTuple):
    """How often each rank, or each outcome, came true.

    names: of ranks by odds or of outcomes. rates: with their Wilson intervals. matches: how many they rest on.
    """

    names: tuple[str, ...]
    rates: tuple[Interval, ...]
    matches: int


@implements("lottery-tips")
def strike_counts(n_matches: int = 13, n_out: int = 3) -> dict[int, int]:
    """Return how many tips have exactly s strikes, whatever the result: ``C(J, s) (n_out - 1)^(J - s)``.

    Args:
        n_matches: J, number of matches, at least 1.
        n_out: outcomes of a match, at least 2.

    Raises `ScorecraftError` for numbers out of range.

    Source: Beating the average, 2023.
    """
    _check_matches(n_matches, n_out)
    return {s: comb(n_matches, s) * (n_out - 1) ** (n_matches - s) for s in range(n_matches + 1)}


@implements("lottery-tips")
def strike_counts_stratified(n: int, k: int, n_out: int = 3) -> dict[int, int]:
    """Return how many tips with exactly k favourites have exactly s strikes, where k favourites won.

    ``sum_j C(k,j) C(n-k,k-j) (o-1)^(k-j) C(n-2k+j,s-j) (o-2)^(n-2k+2j-s)`` over the number j of matches where tip and
    result both have the favourite, with o outcomes: on ``k - j`` matches the tip has it and the result has not, on as
    many the reverse, and on the ``n - 2k + j`` others both have one of the other outcomes, alike or not.

    Args:
        n: number of matches.
        k: favourites in tip and result, 0 to n.
        n_out: outcomes of a match, at least 2.

    Raises `ScorecraftError` for numbers out of range.

    Source: Beating the average, 2023; the formula is derived here.
    """
    _check_matches(n, n_out)
    if not 0 <= k <= n:
        raise ScorecraftError(f"k: expected 0 to {n} favourites, got {k}")
    others = n_out - 1
    counts = dict.fromkeys(range(n + 1), 0)
    for both in range(max(0, 2 * k - n), k + 1):
        neither = n - 2 * k + both
        # The tip's other outcomes: free where the result has the favourite, alike or not where both have none.
        places = comb(k, both) * comb(n - k, k - both) * others ** (k - both)
        for alike in range(neither + 1):
            counts[both + alike] += places * comb(neither, alike) * (others - 1) ** (neither - alike)
    return {s: count for s, count in counts.items() if count}


def implied_probabilities(odds: Any) -> Float64[np.ndarray, "match outcome"]:
    """Return ``q_i = (1/o_i) / sum_j 1/o_j`` of decimal odds: the bookmaker's margin is taken off in proportion.

    Args:
        odds: decimal odds, above 1, ``[match, outcome]``.

    Raises `ScorecraftError` for odds that are not finite or not above 1, with the match.

    Source: Beating the average, 2023.
    """
    found = np.asarray(odds, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] < 2 or not len(found):
        raise ScorecraftError(f"odds: expected an array [match, outcome] with 2 outcomes or more, got {found.shape}")
    bad = ~(np.isfinite(found) & (found > 1)).all(1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ScorecraftError(f"odds: match {row} has {found[row].tolist()}; expected decimal odds above 1")
    inverse = 1 / found
    return inverse / inverse.sum(1, keepdims=True)


@implements("lottery-tips")
def hit_rates(odds: Any, results: Any, by: Literal["rank", "raw"] = "rank", *, confidence: float = 0.95) -> HitRates:
    """Return how often the favourite, the middle one and the outsider came true, or each outcome by itself.

    Outcomes are ranked by their odds, lowest first; among equal odds the first named counts as the more likely.

    Args:
        odds: decimal odds of past matches, ``[match, outcome]``.
        results: which outcome came true, ``[match]``, from 0.
        by: "rank" or "raw".
        confidence: coverage of each interval, in (0, 1).

    Raises `ScorecraftError` for bad odds, results that are no outcome, and unequal lengths.

    Source: Beating the average, 2023.
    """
    implied = implied_probabilities(odds)
    count, outcomes = implied.shape
    happened = np.asarray(results)
    if happened.shape != (count,):
        raise ScorecraftError(f"results: expected one outcome for each of {count} matches, got shape {happened.shape}")
    if happened.dtype.kind not in "iu" or ((happened < 0) | (happened >= outcomes)).any():
        raise ScorecraftError(f"results: expected whole numbers from 0 to {outcomes - 1}")
    if by == "rank":
        place = np.argsort(np.argsort(-implied, axis=1, kind="stable"), axis=1, kind="stable")
        happened = place[np.arange(count), happened]
    elif by != "raw":
        raise ScorecraftError(f"by: expected 'rank' or 'raw', got '{by}'")
    names = RANKS if by == "rank" and outcomes == len(RANKS) else tuple(str(place) for place in range(outcomes))
    hits = np.bincount(happened, minlength=outcomes)
    return HitRates(names, tuple(wilson_interval(int(hit), count, confidence) for hit in hits), count)


@implements("lottery-tips")
def poisson_binomial(p: Any) -> Float64[np.ndarray, " strikes"]:
    """Return the probability of each number of successes of independent trials, ``[0, ..., J]``.

    One trial after the other: ``f_j(s) = (1 - p_j) f_{j-1}(s) + p_j f_{j-1}(s - 1)``.

    Args:
        p: probability of each trial, ``[trial]``, in [0, 1].

    Raises `ScorecraftError` for numbers that are no probabilities.

    Source: Beating the average, 2023, the strikes of a tip.
    """
    found = _probabilities(p, "p", 1)
    law = np.ones(1)
    for share in found:
        law = np.append(law * (1 - share), 0) + np.append(0, law * share)
    return law


@implements("lottery-tips")
def strike_probability(
    tip_prob: Float[np.ndarray, "match outcome"], results: Int[np.ndarray, "result match"], strikes: int
) -> Float64[np.ndarray, " result"]:
    """Return, for each result t, the probability pi(t) that one tip drawn from a forecast has enough strikes.

    The tip hits match j with probability ``q_j(t_j)``; their number is Poisson-binomial.

    Args:
        tip_prob: the forecast that tips are drawn from, ``[match, outcome]``.
        results: outcomes, from 0, ``[result, match]``.
        strikes: how many are wanted.

    Raises `ScorecraftError` for a forecast that is none.

    Source: Beating the average, 2023; that tips drawn from a forecast share one result is derived here.
    """
    forecast = _probabilities(tip_prob, "tip_prob", 2)
    hit = forecast[np.arange(len(forecast)), results]
    law = np.zeros((len(results), len(forecast) + 1))
    law[:, 0] = 1
    for share in hit.T[:, :, None]:
        law[:, 1:] = law[:, 1:] * (1 - share) + law[:, :-1] * share
        law[:, :1] *= 1 - share
    return law[:, max(strikes, 0) :].sum(1)


@implements("lottery-tips")
def draw_tips(
    q: Any, n: int, *, distinct: bool = True, seed: int | np.random.Generator = 0
) -> Int8[np.ndarray, "tip match"]:
    """Return n tips drawn from a forecast, each match by itself; with ``distinct`` no tip twice.

    Distinct tips are drawn one after the other among those not drawn yet, with probabilities in proportion.

    Args:
        q: probability of each outcome, ``[match, outcome]``, each row summing to 1.
        n: number of tips.
        distinct: whether a tip may occur once only.
        seed: or a generator.

    Raises `ScorecraftError` for a forecast that is none, and more distinct tips than have a probability above 0.

    Source: Beating the average, 2023.
    """
    forecast = _probabilities(q, "q", 2)
    matches, outcomes = forecast.shape
    random = np.random.default_rng(seed)
    if n < 0:
        raise ScorecraftError(f"n: expected a number of tips from 0, got {n}")
    if not distinct:
        bounds = forecast.cumsum(1)
        drawn = (random.random((n, matches, 1)) * bounds[:, -1:] >= bounds).sum(2)
        return drawn.clip(max=outcomes - 1).astype(np.int8)
    possible = int(np.prod((forecast > 0).sum(1), dtype=object))
    if n > possible:
        raise ScorecraftError(f"n: {n:,} distinct tips wanted, only {possible:,} have a probability above 0")
    if outcomes**matches <= 3**ORDERED_MATCHES:
        return _ordered(forecast, n, random)
    return _until_distinct(forecast, n, random)


def _ordered(
    forecast: Float64[np.ndarray, "match outcome"], n: int, random: np.random.Generator
) -> Int8[np.ndarray, "tip match"]:
    """Draw in one go: those with the n largest of ``ln q + Gumbel`` are draws without replacement, in that order."""
    matches, outcomes = forecast.shape
    with np.errstate(divide="ignore"):
        each = np.log(forecast)
    total = np.zeros(1)
    for row in each:
        total = (total[:, None] + row).ravel()
    keys = total + random.gumbel(size=len(total))
    chosen = np.argpartition(-keys, n - 1)[:n] if n else np.zeros(0, dtype=np.int64)
    chosen = chosen[np.argsort(-keys[chosen])]
    return np.stack(np.unravel_index(chosen, (outcomes,) * matches), axis=1).astype(np.int8)


def _until_distinct(
    forecast: Float64[np.ndarray, "match outcome"], n: int, random: np.random.Generator
) -> Int8[np.ndarray, "tip match"]:
    found: dict[bytes, None] = {}
    while len(found) < n:
        before = len(found)
        for tip in draw_tips(forecast, max(n - before, 64), distinct=False, seed=random):
            found.setdefault(tip.tobytes())
        if len(found) == before and max(forecast.max(1)) > 1 - 1e-9:
            raise ScorecraftError(
                f"n: {n:,} distinct tips cannot be drawn in reasonable time from so sure a forecast; found {before:,}"
            )
    return np.frombuffer(b"".join(list(found)[:n]), dtype=np.int8).reshape(n, len(forecast))


def _probabilities(values: Any, name: str, axes: int) -> Float64[np.ndarray, ...]:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != axes or not found.size:
        shape = "[trial]" if axes == 1 else "[match, outcome]"
        raise ScorecraftError(f"{name}: expected probabilities {shape}, got shape {found.shape}")
    if not ((found >= 0) & (found <= 1)).all():
        raise ScorecraftError(f"{name}: expected numbers in [0, 1], got {found.min():g} to {found.max():g}")
    if axes == 2 and (np.abs(found.sum(1) - 1) > TOTAL_TOLERANCE).any():
        row = int(np.flatnonzero(np.abs(found.sum(1) - 1) > TOTAL_TOLERANCE)[0])
        raise ScorecraftError(f"{name}: match {row} sums to {found[row].sum():g}, expected 1")
    return found


def _check_matches(matches: int, outcomes: int) -> None:
    if matches < 1 or outcomes < 2:
        raise ScorecraftError(f"expected 1 match or more with 2 outcomes or more, got {matches} and {outcomes}")
