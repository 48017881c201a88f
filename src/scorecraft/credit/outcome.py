"""Outcome credit: every sampled token earns the reward of its rollout."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32
from torch import Tensor


def outcome_returns(
    reward: Float32[Tensor, " rollout"], mask: Bool[Tensor, "rollout token"], discount: float = 1.0
) -> Float32[Tensor, "rollout token"]:
    """Return ``G[i,t] = discount^n * reward[i]`` on the mask, n = sampled tokens after t, and 0 off it.

    The reward is earned at the last sampled token; forced and tool tokens take no time.

    Args:
        reward: total reward.
        mask: True where the policy sampled the token.
        discount: per sampled token, in (0, 1]; 1 gives every token the reward.

    Source: Williams, 1992, Simple Statistical Gradient-Following Algorithms.
    """
    if discount == 1:
        return torch.where(mask, reward[:, None], torch.zeros_like(reward[:, None]))
    later = mask.flip(1).cumsum(1).flip(1) - 1
    returns = reward[:, None] * discount ** later.clamp(min=0).float()
    return torch.where(mask, returns, torch.zeros_like(returns))
