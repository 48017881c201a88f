"""Why a saved rollout has no advantage, and how far the rewards of a group lie apart: read off the saved rollouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scorecraft.report import tables

if TYPE_CHECKING:
    import pyarrow

# Rewards that differ by less are called equal, as in training.
SAME_REWARD = 1e-6


def reasons_of(table: pyarrow.Table) -> list[str | None]:
    """Return for each rollout of one step the reason why every advantage is 0; None where one is not.

    masked: no token was sampled by the policy. filtered: every reward has a value and the total was taken away, which
    the sampling's filter does. abstained: no valid total. same-reward: all valid rewards of the group are equal.
    truncated: none of these, and the length limit cut the completion. zero: none of these. Clipping happens inside
    the loss and is known per step only. Without saved advantages nothing can be said, and all are None.
    """
    if "advantage" not in table.column_names:
        return [None] * table.num_rows
    still = ~tables.any_token(table, "advantage")
    reward = tables.numbers(table, "reward")
    parts = [tables.numbers(table, name) for name in table.column_names if name.startswith("reward/")]
    scored = ~np.isnan(np.array(parts)).any(0) if parts else np.zeros(table.num_rows, bool)
    lowest, highest, _ = _groups(table, reward)
    out: list[str | None] = [None] * table.num_rows
    for name, rows in (
        ("masked", ~tables.any_token(table, "mask")),
        ("filtered", np.isnan(reward) & scored),
        ("abstained", np.isnan(reward)),
        ("same-reward", highest - lowest <= SAME_REWARD),
        ("truncated", np.array(table.column("truncated").to_pylist(), bool)),
        ("zero", np.ones(table.num_rows, bool)),
    ):
        for row in np.flatnonzero(still & rows):
            out[row] = name
        still = still & ~rows
    return out


def reward_spread(table: pyarrow.Table) -> float | None:
    """Return the mean over groups of ``sqrt(sum (r - mean)^2 / (n - 1))``; None without a group of two rewards."""
    spreads = _groups(table, tables.numbers(table, "reward"))[2]
    known = spreads[~np.isnan(spreads)]
    return float(known.mean()) if len(known) else None


def _groups(table: pyarrow.Table, reward: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the lowest and the highest reward of each rollout's group, and the deviation of every group."""
    groups = np.unique(np.array(table.column("group").to_pylist()), return_inverse=True)[1]
    known = ~np.isnan(reward)
    size = int(groups.max()) + 1 if len(groups) else 0
    # A group without any reward keeps these, and counts as one without a difference.
    lowest, highest = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(lowest, groups[known], reward[known])
    np.maximum.at(highest, groups[known], reward[known])
    count = np.bincount(groups[known], minlength=size)
    mean = np.bincount(groups[known], reward[known], size) / np.maximum(count, 1)
    squares = np.bincount(groups[known], (reward[known] - mean[groups[known]]) ** 2, size)
    deviation = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
    return lowest[groups], highest[groups], deviation
