"""Which of its own turns the policy is in: each text from outside, a tool's answer or a user's, starts a new one."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int64
from torch import Tensor


def policy_turns(
    mask: Bool[Tensor, "rollout token"], turns: Int64[Tensor, "rollout token"]
) -> Int64[Tensor, "rollout token"]:
    """Return for every sampled token how often the policy was interrupted before it: 0, 1, ...; -1 off the mask.

    ``turns`` counts exchanges with the user, in which tools answer in place; here their answers count as well. A forced
    beginning is no interruption.

    Args:
        mask: True where the policy sampled the token.
        turns: index of the turn of the conversation, -1 on padding.
    """
    begins = mask.clone()
    begins[:, 1:] &= ~mask[:, :-1] | (turns[:, 1:] != turns[:, :-1])
    # Small numbers are quicker to add up.
    index = begins.cumsum(1, dtype=torch.int32).sub_(1).masked_fill_(~mask, -1)
    return index.long()
