"""How well tool calls solve the sub-goals of a task, and how sparingly."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError


class SolveMetrics(NamedTuple):
    """Solved sub-goals per call, per sub-goal, and the harmonic mean of both."""

    precision: Float32[Tensor, " trace"]
    rate: Float32[Tensor, " trace"]
    f1: Float32[Tensor, " trace"]


@implements("turn-matching")
def solve_metrics(
    solved: Int64[Tensor, " trace"], goals: Int64[Tensor, " trace"], calls: Int64[Tensor, " trace"]
) -> SolveMetrics:
    """Return precision ``m / c`` (1 without a call), rate ``m / u`` and ``F1 = 2 m / (c + u)``.

    Args:
        solved: m, sub-goals solved.
        goals: u, sub-goals of the task, at least 1.
        calls: c, calls made.

    Raises `ScorecraftError`, naming the trace, for a task without a sub-goal, negative counts, or more solved than
    there are.

    Source: FTRL's Solve-P, Solve-R and Solve-F1, as used by MatchTIR, 2026, arXiv 2601.10712.
    """
    bad = (goals < 1) | (solved < 0) | (calls < 0) | (solved > goals)
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0])
        raise ScorecraftError(
            f"solve_metrics: trace {row} has {int(solved[row])} of {int(goals[row])} sub-goals solved by "
            f"{int(calls[row])} calls; expected counts of at least 0, a sub-goal, and no more solved than there are"
        )
    m, u, c = solved.float(), goals.float(), calls.float()
    precision = torch.where(calls > 0, m / c.clamp(min=1), torch.ones_like(m))
    return SolveMetrics(precision, m / u, 2 * m / (c + u))
