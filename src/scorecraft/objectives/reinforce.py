"""The REINFORCE loss: log-probability times advantage, without ratio or clip."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.objectives.interfaces import TokenLoss
from scorecraft.objectives.ratio import sampling_metrics


def reinforce(
    logprobs: Float32[Tensor, "rollout token"],
    old_logprobs: Float32[Tensor, "rollout token"],
    advantages: Float32[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
) -> TokenLoss:
    """Return ``-A log pi`` at every token, 0 off the mask.

    Args:
        logprobs: under the policy being trained (carries the gradient).
        old_logprobs: under the policy that sampled; only for the metrics ratio and approx_kl.
        advantages: token advantages.
        mask: True on the tokens that count.

    Source: Williams, 1992, Simple Statistical Gradient-Following Algorithms.
    """
    losses = torch.where(mask, -advantages * logprobs, torch.zeros_like(logprobs))
    return TokenLoss(losses, sampling_metrics(logprobs, old_logprobs, mask))
