"""Credit per turn: a reward for one turn reaches the tokens of that turn, and of earlier ones only where asked."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.credit.discounting import discounted_sums_to_go
from scorecraft.errors import ScorecraftError

Reach = Literal["own", "to-go"]


def turn_returns(
    turn_rewards: Float32[Tensor, "rollout turn"],
    turns: Int64[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
    *,
    reach: Reach = "to-go",
    gamma: float = 1.0,
) -> Float32[Tensor, "rollout token"]:
    """Return at every sampled token the reward of its turn ("own"), or ``sum_{k>=t} gamma^(k-t) r_k`` over turns.

    Args:
        turn_rewards: reward of every turn, 0 for none.
        turns: index of the turn that a token is in, -1 on padding.
        mask: True where the policy sampled the token.
        reach: "own" keeps a reward to its turn, so that a bonus for turn 2 says nothing of turn 1.
        gamma: discount per turn of "to-go", in [0, 1].

    Raises `ScorecraftError` for a token in a turn that has no column, an unknown reach, or a gamma outside [0, 1].
    """
    if reach not in ("own", "to-go"):
        raise ScorecraftError(f"turn_returns: unknown reach '{reach}'; expected own or to-go")
    if not 0 <= gamma <= 1:
        raise ScorecraftError(f"turn_returns: expected a gamma in [0, 1], got {gamma}")
    count = turn_rewards.shape[1]
    beyond = mask & ((turns >= count) | (turns < 0))
    if bool(beyond.any()):
        row, token = beyond.nonzero()[0].tolist()
        raise ScorecraftError(
            f"turn_returns: token {token} of rollout {row} is in turn {int(turns[row, token])}, and there are rewards "
            f"of {count} turns"
        )
    if count == 0:
        return torch.zeros(mask.shape, dtype=torch.float32, device=mask.device)
    rewards = turn_rewards.detach()
    if reach == "to-go":
        rewards = discounted_sums_to_go(rewards, torch.ones_like(rewards, dtype=torch.bool), gamma)
    values = rewards.gather(1, turns.clamp(min=0, max=count - 1))
    return torch.where(mask, values, torch.zeros_like(values))
