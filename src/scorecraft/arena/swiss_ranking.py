"""Ranking by a simulated Swiss tournament over benchmarks: expected win scores, failure sensitivity, order audit."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from scorecraft.arena.swiss_exact import eliminations, half_points_of_bye
from scorecraft.arena.win_tensor import check_wins, sitting_out
from scorecraft.catalog.implements import implements
from scorecraft.compiling import compiling_told
from scorecraft.errors import ScorecraftError, ScorecraftWarning, nearest

Rematch: TypeAlias = Literal["allow", "avoid"]
Order: TypeAlias = Literal["given", "random"]
RUNS, FEW_RUNS = 100_000, 100
RUNS_OF_A_THREAD = 5000
Z95 = 1.959963984540054


class CSDResult(NamedTuple):
    """Expected win scores and what they rest on.

    mean, sem: of the win score, in points. rank: 1 for the highest; equals by their index. elim_round_hist: runs in
    which a model left after round k, the last column where it never left. S_hist: runs in which it ended with 0, 1/2,
    1, ... points.
    """

    mean: Float64[np.ndarray, " model"]
    sem: Float64[np.ndarray, " model"]
    rank: Int64[np.ndarray, " model"]
    elim_round_hist: Int64[np.ndarray, "model round+1"]
    S_hist: Int64[np.ndarray, "model halfpoint"]

    @property
    def survival(self) -> Float64[np.ndarray, "model round"]:
        """Probability that a model is still in after each round."""
        runs = self.elim_round_hist.sum(1, keepdims=True)
        return 1 - self.elim_round_hist[:, :-1].cumsum(1) / runs

    @property
    def tied(self) -> Bool[np.ndarray, " model"]:
        """Whether a model's 95 % interval overlaps that of the one ranked next above or below it."""
        order = np.argsort(self.rank)
        low, high = (self.mean - Z95 * self.sem)[order], (self.mean + Z95 * self.sem)[order]
        close = low[:-1] <= high[1:]
        found = np.zeros(len(order), dtype=bool)
        found[order[:-1]] |= close
        found[order[1:]] |= close
        return found


class SensResult(NamedTuple):
    """How much models suffer when failure is punished.

    grid: the numbers that leave after each round. curves: expected win scores, in points. slope: points lost for each
    one more that leaves, by least squares. relative: the same after the field's mean is taken away. label: "robust
    generalist", "aggressive specialist" or "other".
    """

    grid: tuple[int, ...]
    curves: Float64[np.ndarray, "grid model"]
    slope: Float64[np.ndarray, " model"]
    relative: Float64[np.ndarray, " model"]
    label: tuple[str, ...]


class OrderAudit(NamedTuple):
    """Rankings under random orders of the benchmarks.

    tau: Kendall's tau-b of the expected scores under each with those under the given order. between: its mean over all
    pairs of random orders. ranks: of each model under each.
    """

    tau: Float64[np.ndarray, " order"]
    between: float
    ranks: Int64[np.ndarray, "order model"]


@implements("swiss-ranking")
def csd(
    W: Any,  # noqa: N803 - the tensor of the paper
    T: int | Sequence[int] = 0,  # noqa: N803 - as the paper has it
    N: int = RUNS,  # noqa: N803 - as the paper has it
    seed: int = 0,
    bye: float = 0.0,
    rematch: Rematch = "allow",
    *,
    order: Order = "given",
    ties: Literal["one", "none"] = "one",
) -> CSDResult:
    """Return expected win scores of Competitive Swiss-System Dynamics: models with equal scores meet, round by round.

    Round k is benchmark k. Among models with the same score, a uniformly random perfect matching is drawn; ``S_i +=
    W[k, i, j]`` for a pair; who is left over in an odd group gets the bye. Then ``min(T_k, |lowest group|)`` random
    ones of the lowest group leave and keep their score. The last one never leaves. Reported is the mean of ``S`` over
    runs.

    Args:
        W: ``[benchmark, model, model]`` of 0, 1/2 and 1, from `scorecraft.arena.win_tensor.win_tensor`; benchmarks in
            order, from what is basic to what is advanced. A model whose row is NaN sits it out, with the bye.
        T: how many leave after each round, one number for all or one a round.
        N: runs; the standard error is at most ``K / (2 sqrt(N))`` points.
        seed: of all runs; the result does not depend on the number of threads.
        bye: points of who finds no opponent: 0, 0.5 or 1.
        rematch: "avoid" draws up to 20 matchings a round and takes that with the fewest repeated pairs.
        order: "random" draws the order of benchmarks in each run.
        ties: "none" where equal models get nothing, so that the entries of a pair need not add up to 1.

    Raises `ScorecraftError` for a tensor of another shape or that does not add up, a wrong T, N below 1; warns below
    100 runs.

    Source: arXiv 2512.21010, section 3; the bye's points, rematches, ties, the last one staying: this project's.
    """
    wins = check_wins(W, sums=ties == "one")
    rounds = len(wins)
    leaving, alone = eliminations(T, rounds), half_points_of_bye(bye)
    for name, value, allowed in (("rematch", rematch, get_args(Rematch)), ("order", order, get_args(Order))):
        if value not in allowed:
            raise ScorecraftError(f"no {name} '{value}': {nearest(value, allowed)}")
    if N < 1:
        raise ScorecraftError(f"N is {N}; expected at least 1 run")
    if N < FEW_RUNS:
        warnings.warn(f"ranks of {N} runs are noise; 1,000 and more say something", ScorecraftWarning, stacklevel=2)
    with compiling_told():
        ended, left = _tournaments(wins, leaving, N, seed, alone, rematch == "avoid", order == "random")
    points = np.arange(ended.shape[1]) / 2
    mean = ended @ points / N
    variance = ended @ points**2 / N - mean**2
    sem = np.sqrt(np.maximum(variance, 0) / max(N - 1, 1))
    return CSDResult(mean, sem, ranks_of(mean), left, ended)


def _tournaments(
    wins: NDArray[np.float64], leaving: NDArray[np.int64], runs: int, seed: int, bye: int, avoid: bool, shuffled: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from scorecraft.arena.swiss_kernel import tournaments

    halves, absent = np.nan_to_num(2 * wins).astype(np.int64), sitting_out(wins)

    def part(first: int, end: int) -> Any:
        return tournaments(halves, absent, leaving, first, end, np.uint64(seed % 2**64), bye, avoid, shuffled)

    threads = max(1, min(len(os.sched_getaffinity(0)), runs // RUNS_OF_A_THREAD))
    if threads == 1:
        return part(0, runs)
    edges = [runs * at // threads for at in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(part, edges[:-1], edges[1:]))
    return np.sum([ended for ended, _ in parts], 0), np.sum([left for _, left in parts], 0)


@implements("swiss-ranking")
def failure_sensitivity(
    W: Any,  # noqa: N803 - the tensor of the paper
    T_grid: Sequence[int] | None = None,  # noqa: N803 - as the paper has it
    N: int = RUNS,  # noqa: N803 - as the paper has it
    seed: int = 0,
    *,
    bye: float = 0.0,
    ties: Literal["one", "none"] = "one",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SensResult:
    """Return how expected win scores fall as ever more of the weakest leave after each round.

    ``Lambda_m`` is the least-squares slope of ``E_T[S_m]`` over T. With at least the field's median score at the lowest
    T, a model is a "robust generalist" if ``|Lambda_m|`` is at most its median, and an "aggressive specialist" if
    ``Lambda_m`` is negative and beyond it.

    Args:
        W: see `csd`.
        T_grid: how many leave after each round, at least two different numbers; 0 to about models / benchmarks, and at
            least 2, where not given.
        N: runs for each.
        seed: of the runs.
        bye: see `csd`.
        ties: see `csd`.
        progress: told how many of the numbers are done.

    Raises `ScorecraftError` for fewer than two numbers, and as `csd` does.

    Source: arXiv 2512.21010, section 3; the slope and the labels' limits are this project's.
    """
    rounds, models = np.shape(check_wins(W, sums=ties == "one"))[:2]
    grid = tuple(range(max(2, round(models / rounds)) + 1)) if T_grid is None else tuple(T_grid)
    if len(set(grid)) < 2:
        raise ScorecraftError(f"T_grid is {list(grid)}; expected at least two different numbers")
    curves = []
    for done, leaving in enumerate(grid):
        curves.append(csd(W, leaving, N, seed, bye, ties=ties).mean)
        progress(done + 1, len(grid))
    table = np.array(curves)
    away = np.array(grid) - np.mean(grid)
    slope = away @ table / (away**2).sum()
    relative = away @ (table - table.mean(1, keepdims=True)) / (away**2).sum()
    high, steep = table[int(np.argmin(grid))] >= np.median(table[int(np.argmin(grid))]), np.median(np.abs(slope))
    label = tuple(
        "robust generalist" if h and abs(s) <= steep else "aggressive specialist" if h and s < 0 else "other"
        for h, s in zip(high, slope, strict=True)
    )
    return SensResult(grid, table, slope, relative, label)


@implements("swiss-ranking")
def order_audit(
    W: Any,  # noqa: N803 - the tensor of the paper
    T: int | Sequence[int] = 0,  # noqa: N803 - as the paper has it
    N: int = 10_000,  # noqa: N803 - as the paper has it
    seed: int = 0,
    *,
    orders: int = 50,
    bye: float = 0.0,
    ties: Literal["one", "none"] = "one",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> OrderAudit:
    """Return how much the ranking hangs on the order in which the benchmarks come.

    Args:
        W: see `csd`.
        T: see `csd`; numbers that differ stay with the round, not with the benchmark.
        N: runs for each order.
        seed: of the orders and of the runs.
        orders: how many random orders, at least 2.
        bye: see `csd`.
        ties: see `csd`.
        progress: told how many orders are done.

    Raises `ScorecraftError` for fewer than two orders, and as `csd` does.

    Source: this project's; arXiv 2512.21010 takes the order as given.
    """
    if orders < 2:
        raise ScorecraftError(f"orders is {orders}; expected at least 2")
    wins = np.asarray(W, dtype=np.float64)
    given = csd(wins, T, N, seed, bye, ties=ties).mean
    random = np.random.default_rng(seed)
    means = []
    for done in range(orders):
        means.append(csd(wins[random.permutation(len(wins))], T, N, seed, bye, ties=ties).mean)
        progress(done + 1, orders)
    tau = np.array([rank_correlation(given, one) for one in means])
    pairs = [rank_correlation(means[a], means[b]) for a in range(orders) for b in range(a)]
    return OrderAudit(tau, float(np.mean(pairs)), np.array([ranks_of(one) for one in means]))


def ranks_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return ranks from 1 for the highest; equal values by their index.

    Args:
        values: one a model.
    """
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.argsort(-values, kind="stable")] = np.arange(1, len(values) + 1)
    return ranks


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Kendall's tau-b of two lists of values; NaN where one of them is constant.

    Args:
        first: one a model.
        second: one a model.
    """
    from scipy.stats import kendalltau

    found: Any = kendalltau(first, second)
    return float(found.statistic)
