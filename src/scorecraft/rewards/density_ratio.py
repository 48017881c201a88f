"""Density ratio of a strong over a weak language model, as a reward that nobody trained.

What both models share cancels: fluency, frequent words, a taste for short answers.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError

Normalize = Literal["mean", "sum", "char"]
POSITIVE = 1e-4  # what rounding may put a log-probability above 0


@implements("density-ratio-reward")
def density_ratio(
    strong: Float32[Tensor, "response strong_token"],
    strong_mask: Bool[Tensor, "response strong_token"],
    weak: Float32[Tensor, "response weak_token"],
    weak_mask: Bool[Tensor, "response weak_token"],
    *,
    normalize: Normalize = "mean",
    characters: Int64[Tensor, " response"] | None = None,
) -> Float32[Tensor, " response"]:
    """Return ``R = (sum log pi_strong(y|x) - sum log pi_weak(y|x)) / n`` for every response y.

    With n the tokens of the strong model's tokenizer ("mean"), 1 ("sum"), or the characters ("char"), at least 1. The
    two tokenizers may differ: only the sums are compared.

    Args:
        strong: log-probabilities of the response's tokens under the strong model; not read where its mask is False.
        strong_mask: the tokens that count.
        weak: the same under the weak model, in its own tokens.
        weak_mask: the tokens that count.
        normalize: what the difference is divided by.
        characters: length of each response; needed for "char".

    A response that is impossible for the strong model has minus infinity, one impossible for the weak alone plus
    infinity. Raises `ScorecraftError` for a NaN, a log-probability above 0, different numbers of responses, or "char"
    without characters.

    Source: CDR: Customizable Density Ratios of Strong-over-weak LLMs for Preference Annotation, 2024, arXiv 2411.02481.
    """
    if not len(strong) == len(weak) == len(strong_mask) == len(weak_mask):
        raise ScorecraftError(f"density_ratio: {len(strong)} responses by the strong model, {len(weak)} by the weak")
    if normalize not in ("mean", "sum", "char"):
        raise ScorecraftError(f"density_ratio: unknown normalization '{normalize}'; expected mean, sum or char")
    above, below = _sums("strong", strong, strong_mask), _sums("weak", weak, weak_mask)
    total = torch.where(above == -math.inf, above, above - below)
    if normalize == "sum":
        return total.float()
    if normalize == "mean":
        return (total / strong_mask.sum(1).clamp(min=1)).float()
    if characters is None or len(characters) != len(strong):
        raise ScorecraftError("density_ratio: normalize 'char' needs the number of characters of every response")
    return (total / characters.clamp(min=1)).float()


@implements("density-ratio-reward")
def implied_preference(
    first: Float32[Tensor, " pair"], second: Float32[Tensor, " pair"], beta: float = 1.0
) -> Float32[Tensor, " pair"]:
    """Return ``P(first over second) = sigmoid(beta (R_first - R_second))``.

    Where the strong model was trained by DPO from the weak one, ``beta R`` with normalize "sum" is its implicit reward.

    Args:
        first: rewards of the first response of each pair.
        second: rewards of the second.
        beta: at least 0.

    Two rewards that are infinite alike are a tie. Raises `ScorecraftError` for a negative beta.

    Source: Rafailov et al., 2023, Direct Preference Optimization, arXiv 2305.18290, eq. 6.
    """
    if not beta >= 0:
        raise ScorecraftError(f"implied_preference: expected a beta of at least 0, got {beta:g}")
    difference = torch.where(first == second, torch.zeros_like(first), first - second)
    return torch.sigmoid(beta * difference)


def _sums(name: str, logprobs: Tensor, mask: Tensor) -> Float64[Tensor, " response"]:
    bad = mask & (logprobs.isnan() | (logprobs > POSITIVE))
    if bool(bad.any()):
        row, token = bad.nonzero()[0].tolist()
        raise ScorecraftError(
            f"density_ratio: the {name} model's log-probability of token {token} of response {row} is "
            f"{float(logprobs[row, token]):g}; expected a number of at most 0"
        )
    return logprobs.double().masked_fill(~mask, 0.0).sum(1)
