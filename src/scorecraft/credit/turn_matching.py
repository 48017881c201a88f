"""Matching of tool calls with a golden trace, in which each golden call can be claimed once."""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.credit.sinkhorn import transport_plans
from scorecraft.errors import ScorecraftError, ScorecraftWarning

Solver = Literal["hungarian", "greedy"]
Rescale = Literal["none", "P"]


class HardMatch(NamedTuple):
    """Reward of every call, and which golden call it claimed; -1 for none."""

    rewards: Float64[Tensor, " call"]
    assignment: Int64[Tensor, " call"]


class SoftMatch(NamedTuple):
    """Reward of every call, and how much of it is transported to every golden call."""

    rewards: Float64[Tensor, " call"]
    plan: Float64[Tensor, "call gold"]


class HardMatches(NamedTuple):
    """`HardMatch` of many traces, padded with 0 and -1."""

    rewards: Float64[Tensor, "trace call"]
    assignment: Int64[Tensor, "trace call"]


class SoftMatches(NamedTuple):
    """`SoftMatch` of many traces, padded with 0."""

    rewards: Float64[Tensor, "trace call"]
    plan: Float64[Tensor, "trace call gold"]


def match_hard(
    similarity: Float64[Tensor, "call gold"], solver: Solver = "hungarian", unmatched: float = 0.0
) -> HardMatch:
    """Return `match_hard_batch` of one trace."""
    found = match_hard_batch(*_alone(similarity), solver=solver, unmatched=unmatched)
    return HardMatch(found.rewards[0], found.assignment[0])


def match_soft(
    similarity: Float64[Tensor, "call gold"],
    reg: float = 0.1,
    max_iter: int = 1000,
    tol: float = 1e-9,
    rescale: Rescale = "none",
) -> SoftMatch:
    """Return `match_soft_batch` of one trace."""
    found = match_soft_batch(*_alone(similarity), reg=reg, max_iter=max_iter, tol=tol, rescale=rescale)
    return SoftMatch(found.rewards[0], found.plan[0])


@implements("turn-matching")
def match_hard_batch(
    similarity: Float64[Tensor, "trace call gold"],
    calls: Int64[Tensor, " trace"],
    golds: Int64[Tensor, " trace"],
    *,
    solver: Solver = "hungarian",
    unmatched: float = 0.0,
) -> HardMatches:
    """Return ``r_i = S[i, j]`` for call i matched with golden call j, ``unmatched`` for the others.

    At most one golden call per call and one call per golden call; only pairs with S > 0 count. Of equal calls the first
    ones are matched.

    Args:
        similarity: S, padded, see `scorecraft.credit.tool_similarity.similarity_matrices`.
        calls: how many calls every trace makes.
        golds: how many golden calls it has; without any all calls are unmatched.
        solver: "hungarian" maximises the total, as the paper has it; "greedy" takes the best pair that is left, in the
            order of the table where pairs are equal, as the published code does under that name, and can fall short.
        unmatched: reward of a call without a golden one; 0 stops paying for redundant calls, below 0 punishes them.

    Raises `ScorecraftError` for similarities that are not finite, or an unknown solver; warns of traces with calls and
    no golden ones.

    Source: MatchTIR, 2026, arXiv 2601.10712.
    """
    if solver not in ("hungarian", "greedy"):
        raise ScorecraftError(f"hard matching: unknown solver '{solver}'; expected 'hungarian' or 'greedy'")
    _check(similarity, calls, golds)
    table = _gains(similarity, calls, golds)
    assignment = _greedy(table) if solver == "greedy" else _hungarian(table, calls.numpy(), golds.numpy())
    matched = assignment >= 0
    there = np.arange(table.shape[1]) < calls.numpy()[:, None]
    rewards = np.where(there, float(unmatched), 0.0)
    if table.size:
        taken = np.take_along_axis(table, np.maximum(assignment, 0)[:, :, None], 2)[:, :, 0]
        rewards = np.where(matched, taken, rewards)
    return HardMatches(torch.from_numpy(rewards), torch.from_numpy(assignment))


@implements("turn-matching")
def match_soft_batch(
    similarity: Float64[Tensor, "trace call gold"],
    calls: Int64[Tensor, " trace"],
    golds: Int64[Tensor, " trace"],
    *,
    reg: float = 0.1,
    max_iter: int = 1000,
    tol: float = 1e-9,
    rescale: Rescale = "none",
) -> SoftMatches:
    """Return ``r_i = sum_j Z[i, j] S[i, j]``, Z the regularised transport of P even calls to G even golden ones.

    A call's mass is 1/P, so ``r_i <= 1/P`` and a perfect trace sums to 1, where hard matching gives P. Equal calls
    share alike; a call like no golden one has mass too, times a similarity of 0.

    Args:
        similarity: S, padded.
        calls: P, how many calls every trace makes.
        golds: G, how many golden calls it has; without any rewards are 0.
        reg: weight of the entropy, above 0.
        max_iter: most iterations.
        tol: largest error of a column sum.
        rescale: "P" multiplies by P, which brings rewards to the scale of hard matching; "none" as published.

    Raises `ScorecraftError` for similarities that are not finite, a ``reg`` that is not above 0, or an unknown
    ``rescale``; warns of traces with calls and no golden ones, and where the iteration does not end.

    Source: MatchTIR, 2026, arXiv 2601.10712.
    """
    if rescale not in ("none", "P"):
        raise ScorecraftError(f"soft matching: unknown rescale '{rescale}'; expected 'none' or 'P'")
    _check(similarity, calls, golds)
    plans = transport_plans(similarity, calls, golds, reg=reg, max_iter=max_iter, tol=tol)
    rewards = (plans * similarity).sum(2)
    return SoftMatches(rewards * calls[:, None] if rescale == "P" else rewards, plans)


def _alone(similarity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    calls, golds = similarity.shape
    return similarity[None], torch.tensor([calls]), torch.tensor([golds])


def _check(similarity: Tensor, calls: Tensor, golds: Tensor) -> None:
    if not bool(torch.isfinite(similarity).all()):
        trace = int((~torch.isfinite(similarity)).flatten(1).any(1).nonzero()[0, 0])
        raise ScorecraftError(f"matching: trace {trace} has a similarity that is not finite")
    without = int(((calls > 0) & (golds == 0)).sum())
    if without:
        warnings.warn(
            f"matching: {without} of {len(calls)} traces have calls, but no golden calls to match them with",
            ScorecraftWarning,
            stacklevel=4,
        )


def _gains(similarity: Tensor, calls: Tensor, golds: Tensor) -> NDArray[np.float64]:
    """Return the similarities that count: above 0, and not in the padding."""
    rows = torch.arange(similarity.shape[1]) < calls[:, None]
    columns = torch.arange(similarity.shape[2]) < golds[:, None]
    return (similarity.clamp(min=0) * (rows[:, :, None] & columns[:, None, :])).numpy()


def _greedy(table: NDArray[np.float64]) -> NDArray[np.int64]:
    traces, calls, golds = table.shape
    assignment = np.full((traces, calls), -1, dtype=np.int64)
    left = table.copy()
    for _ in range(min(calls, golds)):
        best = left.reshape(traces, -1).argmax(1)
        call, gold = np.divmod(best, golds)
        some = np.flatnonzero(left[np.arange(traces), call, gold] > 0)
        if not len(some):
            break
        assignment[some, call[some]] = gold[some]
        left[some, call[some], :] = 0
        left[some, :, gold[some]] = 0
    return assignment


def _hungarian(table: NDArray[np.float64], calls: NDArray[np.int64], golds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return assignments of the largest total.

    Where each call's best golden call is another one, or each golden call's best call, that is the assignment: no other
    can have more. Only the other traces are solved.
    """
    assignment = np.full(table.shape[:2], -1, dtype=np.int64)
    if not table.size:
        return assignment
    by_row, row_done = _certified(table)
    by_column, column_done = _certified(table.transpose(0, 2, 1))
    trace, gold = np.nonzero((by_column >= 0) & column_done[:, None])
    assignment[trace, by_column[trace, gold]] = gold
    assignment[row_done] = by_row[row_done]
    rest = np.flatnonzero(~(row_done | column_done))
    if len(rest):
        from scipy.optimize import linear_sum_assignment

        for trace in rest:
            gain = table[trace, : calls[trace], : golds[trace]]
            rows, columns = linear_sum_assignment(gain, maximize=True)
            some = gain[rows, columns] > 0
            assignment[trace, rows[some]] = columns[some]
        assignment[rest] = _first_of_equals(table[rest], assignment[rest])
    return assignment


def _certified(table: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return every row's best column, -1 where it has none above 0, and for which tables those columns differ."""
    best = table.argmax(2)
    best = np.where(np.take_along_axis(table, best[:, :, None], 2)[:, :, 0] > 0, best, -1)
    taken = np.zeros((len(table), table.shape[2] + 1), dtype=np.int64)
    np.add.at(taken, (np.arange(len(table))[:, None], best), 1)
    return best, taken[:, :-1].max(1) <= 1


def _first_of_equals(table: NDArray[np.float64], assignment: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hand what equal rows got to the first of them; the total stays."""
    out = assignment.copy()
    # Equal rows have equal sums, which spares comparing all rows in full.
    sums = table.sum(2)
    later = np.tri(table.shape[1], k=-1, dtype=bool).T
    trace, free, matched = np.nonzero(
        (sums[:, :, None] == sums[:, None, :]) & later & (assignment < 0)[:, :, None] & (assignment >= 0)[:, None, :]
    )
    same = (table[trace, free] == table[trace, matched]).all(1)
    for one, row in {(int(a), int(b)): None for a, b in zip(trace[same], free[same], strict=True)}:
        equals = np.flatnonzero((table[one] == table[one, row]).all(1))
        got = out[one, equals]
        out[one, equals] = np.concatenate((got[got >= 0], got[got < 0]))
    return out
