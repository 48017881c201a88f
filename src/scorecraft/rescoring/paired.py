"""Two rewards on the same completions: what changes, with intervals over groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from scorecraft.objectives.group_standardized import group_standardized_advantages
from scorecraft.scores import RewardTable

EPSILON = 1e-6
RESAMPLES = 2000


def paired(group: Int64[Tensor, " rollout"], own: RewardTable, other: RewardTable) -> dict[str, Any]:
    """Return what a comparison is made of, for one part: sums by group, flipped pairs, changed advantages.

    Args:
        group: the prompt of each rollout.
        own: one reward's table.
        other: the other's.
    """
    both = own.valid & other.valid
    rows, count = group[both], int(group.max()) + 1 if len(group) else 0
    difference = (own.total - other.total)[both].double()
    sizes = torch.bincount(rows, minlength=count)
    sums = torch.zeros(count, dtype=torch.float64).index_add_(0, rows, difference)
    some = sizes > 0
    pairs, flips, flipped_groups = _flips(group, both, own.total, other.total)
    mine = group_standardized_advantages(own.total, group, both)
    theirs = group_standardized_advantages(other.total, group, both)
    changed = (mine - theirs).abs()[both]
    return {
        "rows": int(both.sum()),
        "group_rows": sizes[some].tolist(),
        "group_differences": sums[some].tolist(),
        "pairs": pairs,
        "flips": flips,
        "flipped_groups": flipped_groups,
        "advantage_change": float(changed.double().sum()),
        "sign_changes": int(((mine * theirs) < 0)[both].sum()),
        "signal_gained": int(((mine != 0) & (theirs == 0))[both].sum()),
        "signal_lost": int(((mine == 0) & (theirs != 0))[both].sum()),
        "contributions": {"reward": _contributions(own, both), "against": _contributions(other, both)},
    }


def _flips(group: Tensor, both: Tensor, own: Tensor, other: Tensor) -> tuple[int, int, int]:
    """Count pairs within a group that either reward tells apart, and those that the two order the other way round."""
    index = both.nonzero()[:, 0]
    index = index[torch.argsort(group[index], stable=True)]
    _, which, sizes = torch.unique(group[index], return_inverse=True, return_counts=True)
    pairs = flips = flipped = 0
    for size in torch.unique(sizes[sizes > 1]).tolist():
        # All groups of one size at once.
        rows = index[(sizes == size)[which]].view(-1, size)
        da, db = (values[rows][:, :, None] - values[rows][:, None] for values in (own, other))
        upper = torch.ones(size, size, dtype=torch.bool).triu(1)
        apart = ((da.abs() > EPSILON) | (db.abs() > EPSILON)) & upper
        opposite = (da * db < 0) & (da.abs() > EPSILON) & (db.abs() > EPSILON) & upper
        pairs, flips = pairs + int(apart.sum()), flips + int(opposite.sum())
        flipped += int(opposite.flatten(1).any(1).sum())
    return pairs, flips, flipped


def _contributions(table: RewardTable, both: Tensor) -> dict[str, list[float]]:
    """Return for each reward the number of its values and their sum, before weights."""
    found = {}
    for name, scores in table.parts.items():
        values = scores.values[both & ~scores.values.isnan()].double()
        found[name] = [float(len(values)), float(values.sum())]
    return found


def comparison(parts: Sequence[Mapping[str, Any]], weights: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return the comparison over all parts.

    The mean difference has a 95 % percentile bootstrap interval over groups, which are drawn whole, since the rows of a
    group are not independent.

    Args:
        parts: what `paired` returned, part by part.
        weights: of each reward, under "reward" and "against".
    """
    sizes = np.concatenate([np.array(one["group_rows"], float) for one in parts])
    sums = np.concatenate([np.array(one["group_differences"], float) for one in parts])
    total = {name: sum(one[name] for one in parts) for name in (
        "rows", "pairs", "flips", "flipped_groups", "sign_changes", "signal_gained", "signal_lost", "advantage_change",
    )}  # fmt: skip
    rows = max(total["rows"], 1)
    contributions = {
        side: {
            name: weight * sum(one["contributions"][side].get(name, [0, 0])[1] for one in parts) / rows
            for name, weight in own.items()
        }
        for side, own in weights.items()
    }
    return {
        "rows": total["rows"],
        "groups": len(sizes),
        "difference": _interval(sizes, sums),
        "pairs": total["pairs"],
        "flips": total["flips"],
        "flipped_groups": total["flipped_groups"],
        "mean_advantage_change": total["advantage_change"] / rows,
        "sign_changes": total["sign_changes"],
        "signal_gained": total["signal_gained"],
        "signal_lost": total["signal_lost"],
        "contributions": contributions,
    }


def _interval(sizes: np.ndarray, sums: np.ndarray) -> dict[str, float | None]:
    if not len(sizes):
        return {"estimate": None, "low": None, "high": None}
    estimate = float(sums.sum() / sizes.sum())
    if len(sizes) == 1:
        return {"estimate": estimate, "low": None, "high": None}
    random = np.random.default_rng(0)
    means = np.empty(RESAMPLES)
    for place in range(RESAMPLES):
        # Poisson-weighted groups: the bootstrap for many groups, without drawing indices.
        counts = (
            random.poisson(1.0, len(sizes))
            if len(sizes) > 1000
            else np.bincount(random.integers(len(sizes), size=len(sizes)), minlength=len(sizes))
        )
        means[place] = counts @ sums / max(counts @ sizes, 1e-9)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"estimate": estimate, "low": float(low), "high": float(high)}
