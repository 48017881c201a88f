"""What tips would have won: rounds of results, prize classes by strikes, fees, and a ledger with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int64

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError
from scorecraft.stats.intervals import Interval, bootstrap_interval


class Round(NamedTuple):
    """One round: decimal odds ``[match, outcome]``, and which outcomes came true, ``[match]``, from 0."""

    name: str
    odds: Float64[np.ndarray, "match outcome"]
    results: Int64[np.ndarray, " match"]


class Ledger(NamedTuple):
    """What came of the tips.

    winners: number of tips with each rewarded number of strikes, ``[round, class]``, classes as in ``classes``. tips:
    bought in each round. profit: of each round, in the unit of fee and quotas. mean: profit a round, with its bootstrap
    interval over rounds; None for a single round. drawdown: the largest fall of the summed profit from a height before
    it. break_even: by what all quotas would have to be multiplied for a profit of 0; infinite where nothing was won.
    """

    classes: tuple[int, ...]
    winners: Int64[np.ndarray, "round class"]
    tips: Int64[np.ndarray, " round"]
    profit: Float64[np.ndarray, " round"]
    mean: Interval | None
    drawdown: float
    break_even: float


@implements("lottery-tips")
def backtest(
    tips_fn: Callable[[Round], Int[np.ndarray, "tip match"]],
    rounds: Sequence[Round],
    quotas: Mapping[int, float | Sequence[float]],
    fee: float,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Ledger:
    """Return what tips won in past rounds: ``sum_s N_s Q_s - n f`` with N_s of n tips having s strikes.

    Args:
        tips_fn: returns the tips of a round, ``[tip, match]``; it is given the round without its results.
        rounds: in order of time.
        quotas: what a tip with exactly so many strikes is paid, the same in all rounds or one number for each. In a
            parimutuel they depend on how many won, also by your own tips, which is not taken into account.
        fee: of a tip.
        confidence: coverage of the interval, in (0, 1).
        seed: of its bootstrap.

    Raises `ScorecraftError` for no rounds, no quotas, tips of another shape, quotas or a fee that are not finite or
    below 0, and quotas that are not one for each round.

    Source: Beating the average, 2023.
    """
    if not rounds:
        raise ScorecraftError("backtest: expected one round or more")
    classes, paid = _quotas(quotas, len(rounds))
    if not (math.isfinite(fee) and fee >= 0):
        raise ScorecraftError(f"fee: expected a number from 0, got {fee}")
    winners = np.zeros((len(rounds), len(classes)), dtype=np.int64)
    bought = np.zeros(len(rounds), dtype=np.int64)
    for place, one in enumerate(rounds):
        tips = np.asarray(tips_fn(one._replace(results=np.full_like(one.results, -1))))
        if tips.ndim != 2 or tips.shape[1] != len(one.results):
            raise ScorecraftError(
                f"round '{one.name}': expected tips [tip, {len(one.results)} matches], got shape {tips.shape}"
            )
        strikes = (tips == one.results).sum(1)
        winners[place] = [(strikes == wanted).sum() for wanted in classes]
        bought[place] = len(tips)
    won = (winners * paid).sum(1)
    profit = won - bought * fee
    heights = np.concatenate(([0.0], profit.cumsum()))
    cost = float(bought.sum()) * fee
    return Ledger(
        classes,
        winners,
        bought,
        profit,
        bootstrap_interval(profit, confidence=confidence, seed=seed) if len(profit) > 1 else None,
        float((np.maximum.accumulate(heights) - heights).max()),
        cost / float(won.sum()) if won.any() else math.inf,
    )


def _quotas(
    quotas: Mapping[int, float | Sequence[float]], rounds: int
) -> tuple[tuple[int, ...], Float64[np.ndarray, "round class"]]:
    if not quotas:
        raise ScorecraftError("quotas: expected what a number of strikes is paid, such as {13: 50000, 12: 900}")
    classes = tuple(sorted(quotas, reverse=True))
    columns: list[Any] = []
    for wanted in classes:
        paid = np.asarray(quotas[wanted], dtype=np.float64)
        if paid.shape not in ((), (rounds,)):
            raise ScorecraftError(
                f"quotas of {wanted} strikes: expected one number, or one for each of {rounds} rounds"
            )
        if not (np.isfinite(paid) & (paid >= 0)).all():
            raise ScorecraftError(f"quotas of {wanted} strikes: expected finite numbers from 0")
        columns.append(np.broadcast_to(paid, (rounds,)))
    return classes, np.stack(columns, axis=1)
