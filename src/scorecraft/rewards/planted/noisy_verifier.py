"""A verifier that errs at chosen rates, independently for each rollout."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor


def noisy_verdicts(
    correct: Bool[Tensor, " rollout"],
    uniform: Float64[Tensor, " rollout"],
    false_positive: float,
    false_negative: float,
) -> Float32[Tensor, " rollout"]:
    """Return 0/1 verdicts with ``P(1 | wrong) = false_positive`` and ``P(0 | correct) = false_negative``.

    Args:
        correct: the truth.
        uniform: one random number in [0, 1) for each rollout; it flips the verdict where it is below the rate.
        false_positive: rate at which a wrong answer passes.
        false_negative: rate at which a correct answer is refused.

    Source: the class-conditional noise of arXiv 2510.00915 (Reinforcement Learning with Verifiable yet Noisy
    Rewards under Imperfect Verifiers, 2025).
    """
    rate = torch.where(correct, torch.full_like(uniform, false_negative), torch.full_like(uniform, false_positive))
    return (correct ^ (uniform < rate)).float()
