"""Relative length: how long a completion is among the correct ones of its prompt, in their standard deviations."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float64, Int64, Real
from torch import Tensor


def relative_length(
    length: Real[Tensor, " rollout"],
    correct: Bool[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    std_floor: float = 0.0,
) -> Float64[Tensor, " rollout"]:
    """Return ``z[i] = (length[i] - mean) / max(std, std_floor)``, 0 where that would divide by 0 and in wrong rollouts.

    Mean and (population) standard deviation are those of the correct rollouts of the same group.

    Args:
        length: tokens.
        correct: whether the answer is right; a wrong one is in no mean.
        group: the prompt that a rollout answers.
        std_floor: least standard deviation (tokens).

    Source: Arora and Zanette, 2025, Training Language Models to Reason Efficiently, arXiv 2502.04463.
    """
    _, index = torch.unique(group, return_inverse=True)
    zeros = torch.zeros(len(length), dtype=torch.float64, device=length.device)
    counted = correct.double()
    count = zeros.index_add(0, index, counted).clamp(min=1)[index]
    known = torch.where(correct, length.double(), zeros)
    mean = zeros.index_add(0, index, known)[index] / count
    centred = (known - mean) * counted
    spread = (zeros.index_add(0, index, centred**2)[index] / count).sqrt()
    # Equal lengths that are no whole numbers may differ from their mean by rounding.
    spread = torch.where(spread > 1e-9 * mean, spread, zeros).clamp(min=std_floor)
    return torch.where(spread > 0, centred / spread, zeros)
