"""Adaptive length: among the correct completions of a prompt, the longer ones earn less."""

from __future__ import annotations

from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.rewards.relative_length import relative_length


def adaptive_length(
    length: Int64[Tensor, " rollout"],
    correct: Bool[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    strength: float = 0.1,
) -> Float32[Tensor, " rollout"]:
    """Return ``-strength * sigmoid((length - mean) / std)`` for correct rollouts, and 0 for the others.

    Mean and (population) standard deviation are those of the correct rollouts of the same prompt, so the measure
    of "long" adapts to the problem; where these do not differ, the sigmoid is 1/2. Added to a 0/1 reward of
    correctness it gives the paper's ``1[correct] (1 - strength * sigmoid(...))``.

    Args:
        length: sampled tokens.
        correct: whether the answer is right.
        group: the prompt that a rollout answers.
        strength: the paper's alpha, in [0, 1), so that a correct rollout always beats a wrong one.

    Source: Arora and Zanette, 2025, Training Language Models to Reason Efficiently, arXiv 2502.04463.
    """
    penalty = strength * relative_length(length, correct, group).sigmoid()
    return -(penalty * correct).float()
