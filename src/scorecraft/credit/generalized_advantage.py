"""Generalised advantage estimation: between one step of a value function and the whole return."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.credit.discounting import discounted_sums_to_go
from scorecraft.errors import ScorecraftError
from scorecraft.sampled import next_sampled_values


class AdvantagesAndReturns(NamedTuple):
    """The advantage of every token, and what its value should have been."""

    advantages: Float32[Tensor, "rollout token"]
    returns: Float32[Tensor, "rollout token"]


def generalized_advantages(
    token_rewards: Float32[Tensor, "rollout token"],
    values: Float32[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
    *,
    gamma: float = 1.0,
    lam: float = 0.95,
) -> AdvantagesAndReturns:
    """Return ``A_t = sum_l (gamma lam)^l d_(t+l)``, ``d_t = r_t + gamma V(s_(t+1)) - V(s_t)``, and ``A_t + V(s_t)``.

    The value after the last sampled token is 0; tokens off the mask take no time and earn 0.

    Args:
        token_rewards: reward of every token; what stands off the mask is not read.
        values: V of the state before every token.
        mask: True where the policy sampled the token.
        gamma: discount per token, in [0, 1].
        lam: 0 trusts the value function, 1 the rewards alone.

    Raises `ScorecraftError` for a gamma or a lam outside [0, 1], or a value that is not finite.

    Source: High-Dimensional Continuous Control Using Generalized Advantage Estimation, 2016, arXiv 1506.02438, eq. 16.
    """
    for name, given in (("gamma", gamma), ("lam", lam)):
        if not 0 <= given <= 1:
            raise ScorecraftError(f"generalized_advantages: expected a {name} in [0, 1], got {given}")
    surprise = token_rewards.add(next_sampled_values(values, mask), alpha=gamma).sub_(values).masked_fill_(~mask, 0.0)
    if not bool(torch.isfinite(surprise.sum())):
        _name_the_first_that_is_not_finite(token_rewards, values, mask)
    advantages = discounted_sums_to_go(surprise, mask, gamma * lam)
    return AdvantagesAndReturns(advantages, (advantages + values).masked_fill_(~mask, 0.0))


def _name_the_first_that_is_not_finite(rewards: Tensor, values: Tensor, mask: Tensor) -> None:
    for name, table in (("reward", rewards), ("value", values)):
        bad = mask & ~torch.isfinite(table)
        if bool(bad.any()):
            row, token = bad.nonzero()[0].tolist()
            raise ScorecraftError(f"generalized_advantages: the {name} of token {token} of rollout {row} is not finite")


def rewards_at_the_end(
    reward: Float32[Tensor, " rollout"], mask: Bool[Tensor, "rollout token"]
) -> Float32[Tensor, "rollout token"]:
    """Return token rewards that are the rollout's reward on its last sampled token, and 0 elsewhere.

    Args:
        reward: of each rollout; of one without a sampled token it is lost.
        mask: True where the policy sampled the token.
    """
    last = mask & (mask.flip(1).cumsum(1).flip(1) == 1)
    return torch.where(last, reward[:, None], torch.zeros_like(reward[:, None]))
