"""Judges that see the truth and add a bias: to length, to position, or to a magic token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float32, Int64
from torch import Tensor


def length_bias(length: Int64[Tensor, " rollout"], strength: float, scale: int) -> Float32[Tensor, " rollout"]:
    """Return ``strength * min(1, length / scale)``: long completions look better.

    Args:
        length: sampled tokens.
        strength: the bias at ``scale`` tokens and beyond.
        scale: length (tokens) of the full bias.
    """
    return strength * (length.float() / scale).clamp(max=1.0)


def position_bias(group: Int64[Tensor, " rollout"], strength: float) -> Float32[Tensor, " rollout"]:
    """Return a bias that falls linearly from ``strength`` for the first of a group to 0 for its last.

    The policy cannot earn it; it is noise in the reward. A rollout alone in its group has no bias.

    Args:
        group: the prompt that a rollout answers; rollouts are shown in their order in the batch.
        strength: the bias of the first.
    """
    same = group[:, None] == group[None, :]
    before = same.tril(-1).sum(1).float()
    size = same.sum(1).float()
    share = 1 - before / (size - 1).clamp(min=1)
    return strength * torch.where(size > 1, share, torch.zeros_like(share))


def magic_token_bias(texts: Sequence[str], token: str, strength: float) -> Float32[Tensor, " rollout"]:
    """Return ``strength`` where the completion contains the magic text, else 0.

    Args:
        texts: the completions.
        token: the magic text.
        strength: what it is worth.
    """
    return torch.tensor([strength * (token in text) for text in texts], dtype=torch.float32)


def pairwise_preference(
    first: Float32[Tensor, " pair"],
    second: Float32[Tensor, " pair"],
    *,
    position_bias: float = 0.0,
    temperature: float = 1.0,
) -> Float32[Tensor, " pair"]:
    """Return the probability that a pairwise judge prefers the one shown first.

    ``sigmoid((first - second + position_bias) / temperature)``; the judge is honest where the bias is 0.

    Args:
        first: true quality of the one shown first.
        second: true quality of the one shown second.
        position_bias: head start of the first place, in units of quality.
        temperature: how much quality a change of mind takes; above 0.

    Source: Bradley and Terry, 1952, with an order effect as in Davidson and Beaver, 1977.
    """
    return ((first - second + position_bias) / temperature).sigmoid()
