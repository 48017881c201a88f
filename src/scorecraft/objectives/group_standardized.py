"""GRPO's advantage: the reward standardised within the group of its prompt."""

from __future__ import annotations

from typing import Literal

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

Deviation = Literal["group", "batch", "none"]


def group_standardized(
    reward: Float32[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"],
    *,
    epsilon: float = 1e-4,
    ddof: int = 1,
    singleton: Singleton = "zero",
    deviation: Deviation = "group",
) -> BaselineScale:
    """Return the group mean as baseline, and the standard deviation plus ``epsilon`` as scale.

    Where the rewards do not differ at all, the scale is infinite: no token gets an advantage, whatever the credit.

    Args:
        reward: total reward.
        group: the prompt that a rollout answers.
        valid: which rollouts have a reward; the others stay out of mean and deviation.
        epsilon: added to the standard deviation.
        ddof: 1 for the sample standard deviation, 0 for the population's.
        singleton: "zero" or "raw" for a group of one valid rollout.
        deviation: over the "group", over the whole "batch" of rewards, or "none" for scale 1.

    Source: Shao et al., 2024, DeepSeekMath (GRPO), arXiv 2402.03300, section 4.1.2.
    """
    mean, spread, count = group_moments(reward, group, valid, ddof)
    if deviation == "none":
        return with_singletons(mean, torch.ones_like(mean), count, singleton)
    if deviation == "batch":
        _, spread, _ = group_moments(reward, torch.zeros_like(group), valid, ddof)
    scale = torch.where(spread > 0, spread + epsilon, torch.zeros_like(spread))
    return with_singletons(mean, scale, count, singleton, raw_scale=1.0 + epsilon)


def group_standardized_advantages(
    reward: Float32[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"],
    *,
    epsilon: float = 1e-4,
    ddof: int = 1,
    singleton: Singleton = "zero",
    deviation: Deviation = "group",
) -> Float32[Tensor, " rollout"]:
    """Return ``A[i] = (r[i] - mean(r of i's group)) / (std(r of i's group) + epsilon)``, 0 in invalid rows.

    Args: as `group_standardized`.

    Source: Shao et al., 2024, DeepSeekMath (GRPO), arXiv 2402.03300, section 4.1.2.
    """
    pair = group_standardized(
        reward, group, valid, epsilon=epsilon, ddof=ddof, singleton=singleton, deviation=deviation
    )
    return rollout_advantages(reward, *pair, valid)
