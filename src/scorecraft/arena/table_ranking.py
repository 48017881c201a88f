"""One table of scores ranked in all ways beside each other, and how far each ranking can be relied on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from scorecraft.arena.aggregate_rankings import borda, bradley_terry, elo, mean_score, mean_z_score, win_rate
from scorecraft.arena.score_table import ScoreTable
from scorecraft.arena.swiss_ranking import (
    CSDResult,
    Order,
    OrderAudit,
    SensResult,
    csd,
    failure_sensitivity,
    order_audit,
    rank_correlation,
    ranks_of,
)
from scorecraft.arena.win_tensor import Missing, Ties, win_tensor
from scorecraft.errors import ScorecraftError

METHODS = ("swiss", "mean", "z-score", "borda", "win-rate", "bradley-terry", "elo")
TITLES = dict(zip(METHODS, ("Swiss", "Mean", "Mean z-score", "Borda", "Win rate", "Bradley-Terry", "Elo"), strict=True))
RESAMPLE_RUNS = 2000
Resampled: TypeAlias = Literal["items", "benchmarks", "nothing"]
Progress: TypeAlias = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RankingSettings:
    """How a table is ranked.

    eliminate: models that leave after each round. runs: of the tournament. bye: points of who finds no opponent. ties,
    margin, missing: see `scorecraft.arena.win_tensor.win_tensor`. order: "random" draws it in each run. resamples: of
    items or benchmarks, 0 for none. confidence: of the intervals. orders: random ones in the audit.
    """

    eliminate: int = 0
    runs: int = 100_000
    bye: float = 0.0
    ties: Ties = "half"
    margin: float = 0.0
    missing: Missing = "error"
    order: Order = "given"
    resamples: int = 500
    confidence: float = 0.95
    orders: int = 50
    seed: int = 0


@dataclass(frozen=True)
class MethodRanking:
    """One way to rank: values, ranks, how often each rank came out when resampled, and intervals of both."""

    method: str
    value: Float64[np.ndarray, " model"]
    rank: Int64[np.ndarray, " model"]
    shares: Float64[np.ndarray, "model rank"]
    low: Int64[np.ndarray, " model"]
    high: Int64[np.ndarray, " model"]
    value_low: Float64[np.ndarray, " model"]
    value_high: Float64[np.ndarray, " model"]


@dataclass(frozen=True)
class TableRanking:
    """A table of scores, ranked.

    resampled: what was drawn anew for the intervals. tau: Kendall's tau-b between the values of all methods. orders:
    the audit of the benchmarks' order; None for a single benchmark.
    """

    table: ScoreTable
    settings: RankingSettings
    swiss: CSDResult
    methods: tuple[MethodRanking, ...]
    resampled: Resampled
    tau: Float64[np.ndarray, "method method"]
    sensitivity: SensResult
    orders: OrderAudit | None

    def of(self, method: str) -> MethodRanking:
        """Return one method's ranking.

        Args:
            method: its name.
        """
        return next(one for one in self.methods if one.method == method)


def rank_table(
    table: ScoreTable, settings: RankingSettings | None = None, progress: Progress = lambda name, done, total: None
) -> TableRanking:
    """Return the rankings of a table: Swiss rounds beside the usual ways, with intervals and audits.

    Intervals come from items drawn anew where the table has them, and from benchmarks drawn anew where it has not, in
    the order in which they stood: what then is uncertain is which benchmarks were chosen.

    Args:
        table: the scores.
        settings: how to rank.
        progress: told what is being done, how much of it is done, and of how much.

    Raises `ScorecraftError` for missing scores that are not allowed, settings out of range, a model without a score.
    """
    settings = settings or RankingSettings()
    _check(table, settings)
    values, swiss = _values(table.scores, settings, settings.runs)
    resampled: Resampled = "items" if table.items is not None else "benchmarks"
    if settings.resamples == 0 or (resampled == "benchmarks" and len(table.benchmarks) < 2):
        resampled = "nothing"
    draws = _resampled(table, settings, resampled, progress)
    methods = tuple(_ranking(name, values[name], draws[name], settings.confidence) for name in METHODS)
    wins = _wins(table.scores, settings)
    single: Literal["one", "none"] = "none" if settings.ties == "none" else "one"
    sensitivity = failure_sensitivity(
        wins, None, max(settings.runs // 5, 1000), settings.seed, bye=settings.bye, ties=single,
        progress=lambda done, total: progress("sensitivity", done, total),
    )  # fmt: skip
    audit = None
    if len(table.benchmarks) > 1:
        audit = order_audit(
            wins, settings.eliminate, 5000, settings.seed, orders=settings.orders, bye=settings.bye, ties=single,
            progress=lambda done, total: progress("orders", done, total),
        )  # fmt: skip
    return TableRanking(table, settings, swiss, methods, resampled, _taus(values), sensitivity, audit)


def _check(table: ScoreTable, settings: RankingSettings) -> None:
    if settings.missing == "error" and table.missing:
        where = ", ".join(f"{model} on {benchmark}" for benchmark, model in table.missing[:3])
        more = f" and {len(table.missing) - 3} more" if len(table.missing) > 3 else ""
        raise ScorecraftError(
            f"{len(table.missing)} of {table.scores.size} scores are missing ({where}{more}): choose --missing loss "
            "(it loses to all that have one) or --missing skip (it sits that benchmark out)"
        )
    for m, name in enumerate(table.models):
        if np.isnan(table.scores[:, m]).all():
            raise ScorecraftError(f"model '{name}' has no score on any benchmark; leave it out")
    if not 0 < settings.confidence < 1:
        raise ScorecraftError(f"confidence is {settings.confidence}; expected a number between 0 and 1")
    if settings.resamples < 0:
        raise ScorecraftError(f"resamples is {settings.resamples}; expected 0 or more")


def _wins(scores: NDArray[np.float64], settings: RankingSettings) -> NDArray[np.float64]:
    missing: Missing = "skip" if settings.missing == "error" else settings.missing
    return win_tensor(scores, settings.ties, settings.margin, missing=missing, seed=settings.seed)


def _values(
    scores: NDArray[np.float64], settings: RankingSettings, runs: int
) -> tuple[dict[str, NDArray[np.float64]], CSDResult]:
    wins = _wins(scores, settings)
    swiss = csd(
        wins, settings.eliminate, runs, settings.seed, settings.bye, order=settings.order,
        ties="none" if settings.ties == "none" else "one",
    )  # fmt: skip
    values = (
        swiss.mean, mean_score(scores), mean_z_score(scores), borda(scores), win_rate(wins), bradley_terry(wins),
        elo(wins, seed=settings.seed),
    )  # fmt: skip
    return dict(zip(METHODS, values, strict=True)), swiss


def _resampled(
    table: ScoreTable, settings: RankingSettings, resampled: Resampled, progress: Progress
) -> dict[str, NDArray[np.float64]]:
    """Return each method's values under every resample, ``[resample, model]``; NaN where a model then had no score."""
    count = settings.resamples if resampled != "nothing" else 0
    found = {name: np.full((count, len(table.models)), np.nan) for name in METHODS}
    random = np.random.default_rng(settings.seed)
    for b in range(count):
        scores = _drawn(table, resampled, random)
        there = np.flatnonzero(~np.isnan(scores).all(0))
        if len(there) >= 2:
            try:
                values, _ = _values(scores[:, there], settings, min(RESAMPLE_RUNS, settings.runs))
            except ScorecraftError:
                # A model was alone on all benchmarks that were drawn: it has no place in this one.
                continue
            for name, one in values.items():
                found[name][b, there] = one
        progress("intervals", b + 1, count)
    return found


def _drawn(table: ScoreTable, resampled: Resampled, random: np.random.Generator) -> NDArray[np.float64]:
    if resampled == "benchmarks" or table.items is None:
        return table.scores[np.sort(random.integers(len(table.benchmarks), size=len(table.benchmarks)))]
    rows = []
    for items in table.items:
        times = np.bincount(random.integers(items.shape[1], size=items.shape[1]), minlength=items.shape[1])
        there = ~np.isnan(items)
        weight = there @ times
        rows.append(np.where(weight > 0, np.where(there, items, 0) @ times / np.maximum(weight, 1), np.nan))
    return np.array(rows)


def _ranking(method: str, value: NDArray[np.float64], draws: NDArray[np.float64], confidence: float) -> MethodRanking:
    models, tail = len(value), (1 - confidence) / 2
    shares = np.zeros((models, models))
    rank = ranks_of(value)
    whole = draws[~np.isnan(draws).any(1)]
    if not len(whole):
        shares[np.arange(models), rank - 1] = 1
        return MethodRanking(method, value, rank, shares, rank, rank, value, value)
    ranks = np.array([ranks_of(one) for one in whole])
    for m in range(models):
        shares[m] = np.bincount(ranks[:, m] - 1, minlength=models) / len(ranks)
    low, high = np.quantile(ranks, [tail, 1 - tail], axis=0, method="inverted_cdf")
    value_low, value_high = np.quantile(whole, [tail, 1 - tail], axis=0)
    return MethodRanking(method, value, rank, shares, low, high, value_low, value_high)


def _taus(values: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.array([[rank_correlation(a, b) for b in values.values()] for a in values.values()])
