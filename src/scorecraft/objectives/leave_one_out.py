"""RLOO's advantage: the mean reward of the other rollouts of the group as baseline."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.objectives.advantages import (
    BaselineScale,
    Singleton,
    group_sum,
    rollout_advantages,
    with_singletons,
)


def leave_one_out(
    reward: Float32[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"],
    *,
    singleton: Singleton = "zero",
) -> BaselineScale:
    """Return the mean reward of the group's other valid rollouts as baseline, and scale 1.

    Args:
        reward: total reward.
        group: the prompt that a rollout answers.
        valid: which rollouts have a reward; the others are nobody's baseline.
        singleton: "zero" or "raw" for a rollout without valid company.

    Source: Kool et al., 2019, Buy 4 REINFORCE Samples, Get a Baseline for Free; Ahmadian et al., 2024, Back to
    Basics, arXiv 2402.14740.
    """
    values = reward.double()
    count = group_sum(torch.ones_like(values), group, valid)
    others = group_sum(values, group, valid) - values
    baseline = others / (count - 1).clamp(min=1)
    return with_singletons(baseline, torch.ones_like(baseline), count, singleton)


def leave_one_out_advantages(
    reward: Float32[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"],
    *,
    singleton: Singleton = "zero",
) -> Float32[Tensor, " rollout"]:
    """Return ``A[i] = r[i] - mean(r of the others of i's group)``, 0 in invalid rows.

    Args: as `leave_one_out`.

    Source: Ahmadian et al., 2024, Back to Basics, arXiv 2402.14740.
    """
    return rollout_advantages(reward, *leave_one_out(reward, group, valid, singleton=singleton), valid)
