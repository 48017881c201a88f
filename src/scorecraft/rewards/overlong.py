"""DAPO's soft punishment of completions that come near the length limit."""

from __future__ import annotations

from jaxtyping import Float32, Int64
from torch import Tensor


def overlong(length: Int64[Tensor, " rollout"], max_length: int, buffer: int) -> Float32[Tensor, " rollout"]:
    """Return 0 up to ``max_length - buffer``, falling linearly to -1 at ``max_length``, and -1 beyond.

    ``clip((max_length - buffer - length) / buffer, -1, 0)``

    Args:
        length: tokens of the completion before padding.
        max_length: L_max, the length (tokens) that costs 1.
        buffer: L_cache, the last tokens before it, over which the punishment grows; at least 1.

    Source: Yu et al., 2025, DAPO, arXiv 2503.14476, eq. 13.
    """
    return ((max_length - buffer - length).float() / buffer).clamp(-1.0, 0.0)
