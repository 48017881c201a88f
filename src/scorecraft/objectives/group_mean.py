"""The group mean as baseline: Dr. GRPO's advantage, without division by a standard deviation."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.objectives.advantages import (
    BaselineScale,
    Singleton,
    group_moments,
    rollout_advantages,
    with_singletons,
)


def group_mean(
    reward: Float32[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"],
    *,
    singleton: Singleton = "zero",
) -> BaselineScale:
    """Return the mean reward of the group as baseline, and scale 1.

    Args:
        reward: total reward.
        group: the prompt that a rollout answers.
        valid: which rollouts have a reward; the others stay out of the mean.
        singleton: "zero" or "raw" for a group of one valid rollout.

    Source: Liu et al., 2025, Understanding R1-Zero-Like Training (Dr. GRPO), arXiv 2503.20783.
    """
    mean, _, count = group_moments(reward, group, valid, ddof=1)
    return with_singletons(mean, torch.ones_like(mean), count, singleton)


def group_mean_advantages(
    reward: Float32[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"],
    *,
    singleton: Singleton = "zero",
) -> Float32[Tensor, " rollout"]:
    """Return ``A[i] = r[i] - mean(r of i's group)``, 0 in invalid rows.

    Args: as `group_mean`.

    Source: Liu et al., 2025, Understanding R1-Zero-Like Training (Dr. GRPO), arXiv 2503.20783.
    """
    return rollout_advantages(reward, *group_mean(reward, group, valid, singleton=singleton), valid)
