"""Lexicographic order: the first reward decides, the next ones only among those that it calls equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from scorecraft.errors import ScorecraftError

# Relative rounding of values that were float32, by which a tolerance is widened.
ROUNDING = 1e-6


def lexicographic_rank(
    values: Float32[Tensor, "criterion rollout"],
    group: Int64[Tensor, " rollout"],
    tolerances: Sequence[float] | None = None,
) -> Float32[Tensor, " rollout"]:
    """Return the rank of each rollout in its group by the tuple of its values, scaled to [0, 1]; higher is better.

    ``(rank - 1) / (n - 1)`` with the mean rank for ties, among the n rollouts of the group that have all values; 1/2
    where there is nothing to compare. NaN where a value is missing.

    Values of a criterion count as equal when they are within its tolerance of the best one that they are level with:
    from the highest value down, each value that is no more than the tolerance below the first of its level joins that
    level, and the next one opens a new level (a tolerance above 0 is widened by float32's rounding). Levels are made
    anew among those that all earlier criteria call equal.

    Args:
        values: one row for each criterion, the most important first; NaN where there is none.
        group: the prompt that a rollout answers.
        tolerances: for each criterion, in its own units; 0 without.

    Raises `ScorecraftError` for no criterion, or tolerances that are negative, not finite or of another number.
    """
    criteria, rows = values.shape
    if not criteria:
        raise ScorecraftError("lexicographic_rank: expected at least one criterion, got none")
    allowed = list(tolerances) if tolerances is not None else [0.0] * criteria
    if len(allowed) != criteria or not all(0 <= tolerance < float("inf") for tolerance in allowed):
        raise ScorecraftError(f"lexicographic_rank: expected {criteria} tolerances of at least 0, got {allowed}")
    table = values.detach().cpu().double().numpy()
    known = np.flatnonzero(~np.isnan(table).any(0))
    prompts = np.unique(group.cpu().numpy()[known], return_inverse=True)[1]
    level = prompts
    for column, tolerance in zip(table, allowed, strict=True):
        level = _split(level, column[known], tolerance)
    ranks = torch.full((rows,), float("nan"), dtype=torch.float32)
    ranks[torch.from_numpy(known)] = torch.from_numpy(_scaled_ranks(prompts, level)).float()
    return ranks.to(values.device)


def _split(level: np.ndarray, values: np.ndarray, tolerance: float) -> np.ndarray:
    """Return finer levels, numbered upwards from the best, in the order of the old ones."""
    order = np.lexsort((-values, level))
    split = np.empty_like(level)
    number, first, old = -1, 0.0, None
    for row in order.tolist():
        reach = tolerance + ROUNDING * abs(first) if tolerance else 0.0
        if level[row] != old or first - values[row] > reach:
            number, first, old = number + 1, values[row], level[row]
        split[row] = number
    return split


def _scaled_ranks(prompts: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return mean ranks scaled to [0, 1]; levels are numbered from the best, prompt after prompt."""
    sizes = np.bincount(level)
    before = np.cumsum(sizes) - sizes  # rollouts on better levels, those of earlier prompts too
    counts = np.bincount(prompts)
    starts = np.cumsum(counts) - counts
    better = before[level] - starts[prompts]
    worse = counts[prompts] - better - sizes[level]
    beaten = worse + (sizes[level] - 1) / 2
    others = counts[prompts] - 1
    return np.where(others > 0, beaten / np.maximum(others, 1), 0.5)
