"""Learning from right answers only, from wrong answers only, or from both with a damped weight for the right ones."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning

SampleMode = Literal["psr", "nsr", "weighted"]
RewardRange = Literal["01", "pm1"]


@implements("negative-reinforcement")
def signed_sample_advantages(
    rewards: Float32[Tensor, " rollout"] | Bool[Tensor, " rollout"],
    mode: SampleMode,
    positive_weight: float = 0.1,
    *,
    reward_range: RewardRange = "01",
) -> tuple[Float32[Tensor, " rollout"], Bool[Tensor, " rollout"]]:
    """Return each rollout's advantage, and whether the loss keeps it.

    With R in {0, 1}: positive sample reinforcement "psr" has ``A = R`` and keeps right rows, negative sample
    reinforcement "nsr" ``A = R - 1`` and keeps wrong rows, "weighted" ``A = positive_weight R + (R - 1)`` and
    keeps all. The loss must be averaged over the tokens of kept rows: with a common divisor and on-policy data
    the three have the same expected gradient, ``E[grad log p R] = E[grad log p (R - 1)]``, up to the factors 1, 1
    and ``1 + positive_weight``. What sets them apart is each subset's own divisor, the noise of sampling and
    clipped updates, so neither row selection nor divisor may be simplified away.

    Args:
        rewards: 0 or 1 (or -1 and 1, see ``reward_range``) of each rollout.
        mode: which samples teach.
        positive_weight: weight of right answers in mode "weighted", at least 0; 0 is "nsr" over all rows' tokens.
        reward_range: "01", or "pm1" for rewards of -1 and 1.

    Raises `ScorecraftError` for a reward outside its range, which is named, an unknown mode or a negative weight.

    Source: The Surprising Effectiveness of Negative Reinforcement in LLM Reasoning, 2025, arXiv 2506.01347.
    """
    if mode not in ("psr", "nsr", "weighted"):
        raise ScorecraftError(f"signed samples: unknown mode '{mode}'; expected 'psr', 'nsr' or 'weighted'")
    if not positive_weight >= 0 or math.isinf(positive_weight):
        raise ScorecraftError(f"signed samples: expected a positive_weight of at least 0, got {positive_weight}")
    if positive_weight > 1 and mode == "weighted":
        warnings.warn(
            f"signed samples: positive_weight {positive_weight:g} is above 1, so right answers count more than wrong "
            "ones, against the method's purpose",
            ScorecraftWarning,
            stacklevel=2,
        )
    if reward_range not in ("01", "pm1"):
        raise ScorecraftError(f"signed samples: unknown reward_range '{reward_range}'; expected '01' or 'pm1'")
    right = _right(rewards.float(), reward_range)
    if mode == "psr":
        return right.float(), right
    if mode == "nsr":
        return right.float() - 1, ~right
    values = torch.where(right, positive_weight, -1.0)
    return values, torch.ones_like(right)


def _right(rewards: Tensor, reward_range: RewardRange) -> Tensor:
    low = 0.0 if reward_range == "01" else -1.0
    bad = (rewards != low) & (rewards != 1)
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0])
        hint = "; rewards of -1 and 1 need reward_range 'pm1'" if rewards[row] == -1 else ""
        raise ScorecraftError(
            f"signed samples: expected rewards of {low:g} or 1, got {float(rewards[row]):g} in rollout {row}{hint}"
        )
    return rewards == 1


def broadcast_to_tokens(
    advantages: Float32[Tensor, " rollout"], response_mask: Bool[Tensor, "rollout token"]
) -> Float32[Tensor, "rollout token"]:
    """Return ``A[i,t] = A[i]`` on the mask and 0 off it: every response token gets its sequence's advantage.

    Args:
        advantages: one per rollout.
        response_mask: True where the policy sampled the token.

    Raises `ScorecraftError` for a rollout without a sampled token, by its number.
    """
    empty = ~response_mask.any(1)
    if bool(empty.any()):
        raise ScorecraftError(
            f"rollout {int(empty.nonzero()[0, 0])} has no sampled token: leave it out before advantages are given"
        )
    return advantages[:, None] * response_mask.float()
