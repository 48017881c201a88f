"""Notices, from the numbers, that an advantage takes away everything that a reward's transforms did."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from jaxtyping import Float32
from torch import Tensor

from scorecraft.errors import ScorecraftWarning
from scorecraft.scores import RewardTable

# Above what an estimator's epsilon makes of a change of scale, below any real difference.
RELATIVE = 1e-3


def warn_of_lost_transforms(
    estimator: str,
    rewards: RewardTable,
    advantages_of: Callable[[Float32[Tensor, " rollout"]], Float32[Tensor, " rollout"]],
) -> None:
    """Warn where the advantages are the same for a reward's values as before all of its transforms.

    So it is for a noise correction with one pair of rates in each group under division by the group's standard
    deviation, or for any monotone transform of a 0/1 reward. Only a reward that alone makes the total is looked at.

    Args:
        estimator: its name in the recipe.
        rewards: the batch's rewards; the values before the transforms are in the metric "raw".
        advantages_of: the advantages of totals.
    """
    for name, scores in rewards.parts.items():
        raw = scores.metrics.get("raw")
        if raw is None or not torch.equal(scores.values[rewards.valid], rewards.total[rewards.valid]):
            continue
        before = torch.where(rewards.valid, raw, torch.zeros_like(raw))
        if torch.equal(before, rewards.total):
            continue
        own, without = advantages_of(rewards.total), advantages_of(before)
        size = float(own.abs().max()) if len(own) else 0.0
        if size > 0 and torch.allclose(own, without, rtol=RELATIVE, atol=RELATIVE * size):
            warnings.warn(
                f"advantage '{estimator}' cancels the transforms of reward '{name}': the advantages are those of its "
                "values without them; take another advantage, or leave the transforms out",
                ScorecraftWarning,
                stacklevel=2,
            )
