"""How token losses become one number: the weight of every token, computed once over the whole optimizer batch."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.errors import ScorecraftError

AggregationMode = Literal["token", "sequence", "constant"]


def aggregation_weights(
    mask: Bool[Tensor, "rollout token"],
    keep: Bool[Tensor, " rollout"],
    mode: AggregationMode = "token",
    constant: float | None = None,
) -> Float32[Tensor, "rollout token"]:
    """Return weights with ``sum(weights * loss)`` = the aggregated loss.

    With m = the mask in kept rows, N = the number of rows where m is not empty and L = their lengths:
    "token" ``m / sum(m)`` (DAPO), "sequence" ``m / (L N)`` (GRPO), "constant" ``m / (constant N)`` (Dr. GRPO).
    Rows without a token to count get weight 0 and do not count in N; an empty batch gives zeros.

    Args:
        mask: True on the tokens that count, over the whole optimizer batch.
        keep: which rollouts the loss keeps.
        mode: what the loss is averaged over.
        constant: the fixed length (tokens) of mode "constant".

    Raises `ScorecraftError` for an unknown mode, or a ``constant`` that is missing, not positive or not used.

    Source: Shao et al., 2024, arXiv 2402.03300, eq. 3; Yu et al., 2025 (DAPO), arXiv 2503.14476, eq. 8;
    Liu et al., 2025 (Dr. GRPO), arXiv 2503.20783.
    """
    if mode not in ("token", "sequence", "constant"):
        raise ScorecraftError(f"aggregation: unknown mode '{mode}'; expected 'token', 'sequence' or 'constant'")
    if (mode == "constant") != (constant is not None):
        raise ScorecraftError(
            f"aggregation: a constant length belongs to mode 'constant'; got {constant} with '{mode}'"
        )
    if constant is not None and not constant > 0:
        raise ScorecraftError(f"aggregation: expected a positive constant length, got {constant}")
    counted = (mask & keep[:, None]).float()
    lengths = counted.sum(1, keepdim=True)
    rows = (lengths > 0).sum().clamp(min=1)
    if mode == "token":
        return counted / lengths.sum().clamp(min=1)
    if constant is not None:
        return counted / (constant * rows)
    return counted / (lengths.clamp(min=1) * rows)
