"""Rewards for being short that a length reward is compared with, and the score that weighs length against accuracy."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.adaptive_length import adaptive_length


@implements("self-aligned-reward")
def o1_pruner_penalty(
    lengths: Int64[Tensor, " rollout"], group: Int64[Tensor, " rollout"]
) -> Float32[Tensor, " rollout"]:
    """Return ``-clip((L - mean_L) / L, -1, 1)`` with the mean length of the rollouts of the same prompt.

    Positive for a completion shorter than its prompt's mean, right or wrong. A completion of no length gets 1, and 0
    where the whole group has none.

    Args:
        lengths: tokens, at least 0.
        group: the prompt that a rollout answers.

    Raises `ScorecraftError` for a negative length.

    Source: Luo et al., 2025, O1-Pruner, arXiv 2501.12570, as a reward within the group in Self-Aligned Reward, 2025,
    arXiv 2509.05489.
    """
    if len(lengths) and int(lengths.min()) < 0:
        raise ScorecraftError(f"o1_pruner_penalty: expected lengths of at least 0, got {int(lengths.min())}")
    _, index = torch.unique(group, return_inverse=True)
    zeros = torch.zeros(len(lengths), dtype=torch.float64)
    count = zeros.index_add(0, index, torch.ones_like(zeros))
    mean = (zeros.index_add(0, index, lengths.double()) / count.clamp(min=1))[index]
    excess = torch.where(mean > 0, 1 - mean / lengths.double(), zeros)
    return -excess.clamp(-1, 1).float()


@implements("self-aligned-reward")
def efficient_reasoner_penalty(
    lengths: Int64[Tensor, " rollout"], correct: Bool[Tensor, " rollout"], group: Int64[Tensor, " rollout"]
) -> Float32[Tensor, " rollout"]:
    """Return ``-2 (sigmoid((L - mean) / std) - 1/2)`` for correct rollouts, and 0 for the others.

    `adaptive_length` of strength 2, moved so that a correct rollout of mean length gets 0: mean and (population)
    standard deviation are those of the correct rollouts of the same prompt, and a single one gets 0.

    Args:
        lengths: tokens.
        correct: whether the answer is right.
        group: the prompt that a rollout answers.

    Source: Arora and Zanette, 2025, Training Language Models to Reason Efficiently, arXiv 2502.04463, in the form of
    Self-Aligned Reward, 2025, arXiv 2509.05489.
    """
    return correct.float() + adaptive_length(lengths, correct, group, strength=2.0)


@implements("self-aligned-reward")
def aes(len_ref: float, len_new: float, acc_ref: float, acc_new: float, gamma: float = 5.0) -> float:
    """Return the accuracy-efficiency score ``(len_ref - len_new) / len_ref + gamma (acc_new - acc_ref) / acc_ref``.

    Positive for a model that is shorter or more accurate than the one it is compared with.

    Args:
        len_ref: mean length of the reference model (tokens), above 0.
        len_new: mean length of the model.
        acc_ref: accuracy of the reference model, above 0.
        acc_new: accuracy of the model.
        gamma: what a relative gain in accuracy counts beside one in length.

    Raises `ScorecraftError` for a reference of 0 or a number that is not finite.

    Source: Luo et al., 2025, O1-Pruner, arXiv 2501.12570; Self-Aligned Reward, 2025, arXiv 2509.05489.
    """
    if not all(map(math.isfinite, (len_ref, len_new, acc_ref, acc_new, gamma))):
        raise ScorecraftError("aes: expected finite lengths and accuracies")
    if len_ref <= 0 or acc_ref <= 0:
        raise ScorecraftError(
            f"aes: expected a reference of a length and an accuracy above 0, got {len_ref:g} and {acc_ref:g}; take "
            "another reference model"
        )
    return (len_ref - len_new) / len_ref + gamma * (acc_new - acc_ref) / acc_ref
