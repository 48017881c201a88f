"""What every advantage estimator is: a baseline and a scale for each rollout, applied to token returns."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

# What becomes of a group in which a single rollout is valid: no advantage, or its reward as it is.
Singleton = Literal["zero", "raw"]


class BaselineScale(NamedTuple):
    """A baseline to subtract and a scale to divide by; an infinite scale says that there is no advantage."""

    baseline: Float32[Tensor, " rollout"]
    scale: Float32[Tensor, " rollout"]


def token_advantages(
    returns: Float32[Tensor, "rollout token"],
    baseline: Float32[Tensor, " rollout"],
    scale: Float32[Tensor, " rollout"],
    mask: Bool[Tensor, "rollout token"],
    valid: Bool[Tensor, " rollout"],
) -> Float32[Tensor, "rollout token"]:
    """Return ``A[i,t] = (returns[i,t] - baseline[i]) / scale[i]`` on the mask, 0 off it and in invalid rows.

    Args:
        returns: token returns from the credit part.
        baseline: what an estimator subtracts.
        scale: what it divides by; infinite for no advantage.
        mask: True where the policy sampled the token.
        valid: True where the rollout has a reward.
    """
    values = (returns - baseline[:, None]).div_(scale[:, None])
    return values.masked_fill_(~(mask & valid[:, None]), 0.0)


def rollout_advantages(
    reward: Float32[Tensor, " rollout"],
    baseline: Float32[Tensor, " rollout"],
    scale: Float32[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"],
) -> Float32[Tensor, " rollout"]:
    """Return ``A[i] = (reward[i] - baseline[i]) / scale[i]``, 0 in invalid rows.

    Args:
        reward: total reward.
        baseline: what an estimator subtracts.
        scale: what it divides by; infinite for no advantage.
        valid: True where the rollout has a reward.
    """
    values = (reward - baseline) / scale
    return torch.where(valid, values, torch.zeros_like(values))


def no_baseline(valid: Bool[Tensor, " rollout"]) -> BaselineScale:
    """Return baseline 0 and scale 1: plain REINFORCE, ``A[i,t] = returns[i,t]``.

    Args:
        valid: True where the rollout has a reward.

    Source: Williams, 1992, Simple Statistical Gradient-Following Algorithms.
    """
    zeros = torch.zeros(len(valid), dtype=torch.float32, device=valid.device)
    return BaselineScale(zeros, torch.ones_like(zeros))


def group_sum(
    values: Float64[Tensor, " rollout"], group: Int64[Tensor, " rollout"], valid: Bool[Tensor, " rollout"]
) -> Float64[Tensor, " rollout"]:
    """Return for each rollout the sum of ``values`` over the valid rollouts of its group.

    Args:
        values: summed in double precision, so that the mean of equal single-precision numbers is exact.
        group: the prompt that a rollout answers.
        valid: which rollouts count.
    """
    _, index = torch.unique(group, return_inverse=True)
    zeros = torch.zeros(len(values), dtype=torch.float64, device=values.device)
    kept = torch.where(valid, values, torch.zeros_like(values))
    return zeros.index_add(0, index, kept)[index]


def group_moments(
    reward: Float32[Tensor, " rollout"], group: Int64[Tensor, " rollout"], valid: Bool[Tensor, " rollout"], ddof: int
) -> tuple[Float64[Tensor, " rollout"], Float64[Tensor, " rollout"], Float64[Tensor, " rollout"]]:
    """Return each rollout's group mean, group standard deviation and number of valid rollouts in its group.

    Args:
        reward: total reward.
        group: the prompt that a rollout answers.
        valid: which rollouts count; a group without any has mean 0.
        ddof: 1 divides the squares by n-1, 0 by n.

    The standard deviation is 0 in groups of ``ddof`` valid rollouts or fewer.
    """
    values = reward.double()
    count = group_sum(torch.ones_like(values), group, valid)
    mean = group_sum(values, group, valid) / count.clamp(min=1)
    squares = group_sum((values - mean) ** 2, group, valid)
    return mean, (squares / (count - ddof).clamp(min=1)).sqrt(), count


def with_singletons(
    baseline: Float64[Tensor, " rollout"],
    scale: Float64[Tensor, " rollout"],
    count: Float64[Tensor, " rollout"],
    singleton: Singleton,
    raw_scale: float = 1.0,
) -> BaselineScale:
    """Settle the groups of one valid rollout, and groups without spread, which get no advantage.

    Args:
        baseline: of each rollout.
        scale: of each rollout; 0 becomes infinite, so that no token credit is divided by nothing.
        count: number of valid rollouts in the group.
        singleton: "zero" gives such a group no advantage, "raw" its reward with baseline 0.
        raw_scale: the scale of a "raw" group.
    """
    infinite = torch.full_like(scale, float("inf"))
    scale = torch.where(scale > 0, scale, infinite)
    alone = count <= 1
    if singleton == "zero":
        scale = torch.where(alone, infinite, scale)
    else:
        baseline = torch.where(alone, torch.zeros_like(baseline), baseline)
        scale = torch.where(alone, torch.full_like(scale, raw_scale), scale)
    return BaselineScale(baseline.float(), scale.float())
