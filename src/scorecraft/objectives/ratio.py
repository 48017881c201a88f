"""Importance ratios between the policy being trained and the one that sampled, by token or by sequence."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.errors import ScorecraftError
from scorecraft.objectives.kl import LARGEST_LOG_RATIO, kl_penalty

RatioLevel = Literal["token", "sequence", "sequence-token"]


def log_ratio(
    logprobs: Float32[Tensor, "rollout token"],
    old_logprobs: Float32[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
) -> Float32[Tensor, "rollout token"]:
    """Return ``logprobs - old_logprobs`` on the mask, cut at +-20, and 0 off it (nats).

    Args:
        logprobs: under the policy being trained.
        old_logprobs: under the policy that sampled.
        mask: True on the tokens that count; what stands elsewhere is not read.
    """
    difference = torch.where(mask, logprobs - old_logprobs, torch.zeros_like(logprobs))
    return difference.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)


def importance_ratio(
    logprobs: Float32[Tensor, "rollout token"],
    old_logprobs: Float32[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
    level: RatioLevel = "token",
) -> Float32[Tensor, "rollout token"]:
    """Return the importance ratio of every token, 1 off the mask at level "token".

    - "token": ``w[i,t] = exp(l[i,t])`` with l the log-ratio.
    - "sequence" (GSPO): ``s[i] = exp(mean over the mask of l[i])``, the same number on every token of a row.
    - "sequence-token" (GSPO-token): ``sg(s[i]) * exp(l[i,t] - sg(l[i,t]))``, the value of "sequence" with the
      gradient of each token's own log-probability (sg = stop gradient).

    Args:
        logprobs: under the policy being trained (carries the gradient).
        old_logprobs: under the policy that sampled.
        mask: True on the tokens that count.
        level: see above.

    Raises `ScorecraftError` for an unknown level.

    Source: Zheng et al., 2025, Group Sequence Policy Optimization, arXiv 2507.18071, eq. 7 and 14.
    """
    logs = log_ratio(logprobs, old_logprobs, mask)
    if level == "token":
        return logs.exp()
    mean = logs.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    if level == "sequence":
        return mean.exp().expand_as(logs)
    if level == "sequence-token":
        return (mean.detach() + logs - logs.detach()).exp()
    raise ScorecraftError(f"unknown ratio level '{level}'; expected 'token', 'sequence' or 'sequence-token'")


def sampling_metrics(
    logprobs: Float32[Tensor, "rollout token"],
    old_logprobs: Float32[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
) -> dict[str, Float32[Tensor, "rollout token"]]:
    """Return how far training has moved from the policy that sampled: ratio and approx_kl per token, 0 off the mask.

    Args:
        logprobs: under the policy being trained.
        old_logprobs: under the policy that sampled.
        mask: True on the tokens that count.
    """
    logs = log_ratio(logprobs.detach(), old_logprobs, mask)
    return {"ratio": logs.exp() * mask, "approx_kl": kl_penalty(torch.zeros_like(logs), logs, "k3")}
