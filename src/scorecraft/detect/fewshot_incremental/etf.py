"""Prototypes that are there before any class is: the vertices of a simplex, all equally far from each other."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float32
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError


@implements("fewshot-incremental")
def simplex_etf(
    num_classes: int, dim: int, generator: torch.Generator | None = None
) -> Float32[Tensor, "vertex feature"]:
    """Return a random simplex equiangular tight frame: unit rows with a cosine of ``-1 / (K - 1)`` to each other.

    ``E = sqrt(K / (K - 1)) U (I - 1 1^T / K)``, with U of K orthonormal columns; the rows returned are its columns.

    Args:
        num_classes: number of vertices K, at least 2.
        dim: number of features, at least K.
        generator: of the rotation U.

    Raises `ScorecraftError` for fewer than 2 vertices, or more vertices than features.

    Source: Neural Collapse Inspired Feature-Classifier Alignment for Few-Shot Class Incremental Learning, 2023,
    arXiv 2302.03004, equation 1.
    """
    if num_classes < 2:
        raise ScorecraftError(f"simplex_etf: expected at least 2 vertices, got {num_classes}")
    if dim < num_classes:
        raise ScorecraftError(
            f"simplex_etf: {num_classes} vertices need at least as many features, got {dim}; "
            "take a wider feature, or fewer etf_classes"
        )
    basis = torch.linalg.qr(torch.randn(dim, num_classes, generator=generator, dtype=torch.float64)).Q
    centred = basis - basis.mean(1, keepdim=True)
    return (math.sqrt(num_classes / (num_classes - 1)) * centred).T.float().contiguous()
