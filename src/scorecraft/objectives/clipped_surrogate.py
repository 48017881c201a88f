"""The clipped surrogate loss of PPO, GRPO, DAPO (clip-higher) and, with a sequence ratio, GSPO."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.objectives.interfaces import TokenLoss
from scorecraft.objectives.ratio import RatioLevel, importance_ratio, sampling_metrics


def clipped_surrogate(
    logprobs: Float32[Tensor, "rollout token"],
    old_logprobs: Float32[Tensor, "rollout token"],
    advantages: Float32[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
    *,
    low: float = 0.2,
    high: float = 0.2,
    dual_clip: float | None = None,
    level: RatioLevel = "token",
) -> TokenLoss:
    """Return ``-min(w A, clip(w, 1-low, 1+high) A)`` at every token, 0 off the mask.

    With ``dual_clip`` c the loss of a token with negative advantage is at most ``-c A``.

    Args:
        logprobs: under the policy being trained (carries the gradient).
        old_logprobs: under the policy that sampled.
        advantages: token advantages.
        mask: True on the tokens that count.
        low: how far the ratio may fall below 1.
        high: how far it may rise above 1.
        dual_clip: the largest ratio that counts where the advantage is negative; None for no such bound.
        level: of the importance ratio w, see `importance_ratio`.

    The metrics are ratio, approx_kl (k3 estimate of KL(old || new)), clipped_low and clipped_high (1 where the
    clip took the gradient away) and, with ``dual_clip``, clipped_dual.

    Source: Schulman et al., 2017 (PPO), arXiv 1707.06347, eq. 7; Yu et al., 2025 (DAPO), arXiv 2503.14476;
    Ye et al., 2020 (dual clip), arXiv 1912.09729.
    """
    ratio = importance_ratio(logprobs, old_logprobs, mask, level)
    losses = torch.maximum(-ratio * advantages, -ratio.clamp(1 - low, 1 + high) * advantages)
    negative = advantages < 0
    metrics = sampling_metrics(logprobs, old_logprobs, mask) | {
        "ratio": ratio.detach() * mask,
        "clipped_low": ((ratio < 1 - low) & negative & mask).float(),
        "clipped_high": ((ratio > 1 + high) & (advantages > 0) & mask).float(),
    }
    if dual_clip is not None:
        losses = torch.where(negative, torch.minimum(losses, -dual_clip * advantages), losses)
        metrics["clipped_dual"] = ((ratio > dual_clip) & negative & mask).float()
    return TokenLoss(torch.where(mask, losses, torch.zeros_like(losses)), metrics)
