"""The entropy bonus of an objective."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32
from torch import Tensor


def entropy_bonus(
    entropies: Float32[Tensor, "rollout token"], mask: Bool[Tensor, "rollout token"], coefficient: float
) -> Float32[Tensor, "rollout token"]:
    """Return ``-coefficient * entropy``, the loss that keeps the policy from narrowing, 0 off the mask.

    Args:
        entropies: of the policy's next-token distributions (nats; carries the gradient).
        mask: True on the tokens that count.
        coefficient: size of the bonus per nat; negative values punish entropy.

    Source: Williams and Peng, 1991, Function Optimization Using Connectionist Reinforcement Learning Algorithms.
    """
    return torch.where(mask, -coefficient * entropies, torch.zeros_like(entropies))
