"""Brevity: a linear penalty beyond a target length, with a cap."""

from __future__ import annotations

from jaxtyping import Float32, Int64
from torch import Tensor


def brevity(length: Int64[Tensor, " rollout"], target: int, cap: float = 1.0) -> Float32[Tensor, " rollout"]:
    """Return ``-min(cap, max(0, length - target) / target)``: 0 up to the target, -1 at twice the target.

    Args:
        length: sampled tokens.
        target: length (tokens) that costs nothing, at least 1.
        cap: largest penalty.
    """
    return -((length - target).clamp(min=0).float() / target).clamp(max=cap)
