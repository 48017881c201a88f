"""Tiered rewards ("sweet spot"): a score of proximity that climbs zone by zone, added to success."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning

TierValues = Literal["linear", "amplified"] | Sequence[float]
Gate = Literal["correct", "valid"] | None


@implements("sweet-spot")
def tier_edges(zones: int = 4, edges: Sequence[float] | None = None) -> tuple[float, ...]:
    """Return the scores at which zones 1, 2, ... begin: ``k / zones``, or the given ones.

    Args:
        zones: number of zones K, at least 2; not read where ``edges`` are given.
        edges: where zones begin, increasing, within (0, 1); one fewer than there are zones.

    Raises `ScorecraftError` for fewer than two zones, or edges that do not increase within (0, 1).
    """
    if edges is None:
        if zones < 2:
            raise ScorecraftError(f"tiers: expected at least 2 zones, got {zones}; one zone tells nothing apart")
        return tuple(k / zones for k in range(1, zones))
    found = tuple(float(edge) for edge in edges)
    if not found or not all(low < high for low, high in pairwise((0.0, *found, 1.0))):
        raise ScorecraftError(f"tiers: expected edges that increase between 0 and 1, got {list(found)}")
    return found


@implements("sweet-spot")
def tier_values(zones: int, values: TierValues = "linear") -> tuple[float, ...]:
    """Return what each of K zones is worth.

    "linear": ``v_k = k / (K-1)``. "amplified": ``v_k = (2^k - 1) / (2^(K-1) - 1)``, steps that double. Both run from
    0 to 1; the paper's values are not known.

    Args:
        zones: number of zones K, at least 2.
        values: the rule, or the values themselves, which must not fall, within [0, 1].

    Raises `ScorecraftError` for values that are not one a zone, that fall or that leave [0, 1], or an unknown rule.
    """
    if zones < 2:
        raise ScorecraftError(f"tiers: expected at least 2 zones, got {zones}; one zone tells nothing apart")
    if isinstance(values, str):
        if values not in ("linear", "amplified"):
            raise ScorecraftError(f"tiers: unknown values '{values}'; expected 'linear', 'amplified' or numbers")
        if values == "linear":
            return tuple(k / (zones - 1) for k in range(zones))
        return tuple((2**k - 1) / (2 ** (zones - 1) - 1) for k in range(zones))
    found = tuple(float(value) for value in values)
    if len(found) != zones:
        raise ScorecraftError(f"tiers: {zones} zones need {zones} values, got {len(found)}")
    if not all(low <= high for low, high in pairwise((0.0, *found, 1.0))):
        raise ScorecraftError(f"tiers: expected values in [0, 1] that never fall, got {list(found)}")
    return found


@implements("sweet-spot")
def tier(
    score: Float[Tensor, "*shape"],
    *,
    zones: int = 4,
    edges: Sequence[float] | None = None,
    values: TierValues = "linear",
) -> Float32[Tensor, "*shape"]:
    """Return the value ``v_k`` of the zone k that each score is in, with ``k = min(floor(K S), K - 1)`` unless edges
    are given; a score on an edge is in the upper zone.

    Args:
        score: proximity S to the best region, in [0, 1].
        zones: number of zones K; 4 is reported as the best balance of signal and noise.
        edges: see `tier_edges`.
        values: see `tier_values`.

    Raises `ScorecraftError` for a score outside [0, 1], and as `tier_edges` and `tier_values`.

    Source: SSL: Sweet Spot Learning, 2026, arXiv 2601.22491.
    """
    begins = tier_edges(zones, edges)
    worth = tier_values(len(begins) + 1, values)
    if not bool(((score >= 0) & (score <= 1)).all()):
        bad = score.flatten()[~((score >= 0) & (score <= 1)).flatten()]
        raise ScorecraftError(f"tiers: expected scores in [0, 1], got {float(bad[0]):g}")
    # Edges in the scores' own precision, so that a score of 0.7 is on the edge 0.7.
    zone = torch.bucketize(score, torch.tensor(begins, dtype=score.dtype, device=score.device), right=True)
    return torch.tensor(worth, dtype=torch.float32, device=score.device)[zone]


@implements("sweet-spot")
def order_safe(alpha: float, *, highest_failure: float = 1.0, lowest_success: float = 0.0) -> bool:
    """Return whether every success earns more than every failure: ``alpha S_fail < 1 + alpha S_success``.

    Args:
        alpha: weight of the tiered score.
        highest_failure: the highest tier that a failure can reach.
        lowest_success: the lowest tier that a success can have.
    """
    return alpha * highest_failure < 1 + alpha * lowest_success


@implements("sweet-spot")
def ssl_reward(
    correct: Bool[Tensor, " rollout"],
    score: Float[Tensor, " rollout"],
    *,
    alpha: float = 0.5,
    zones: int = 4,
    gate: Gate = None,
    edges: Sequence[float] | None = None,
    values: TierValues = "linear",
    valid: Bool[Tensor, " rollout"] | None = None,
    enforce_order: bool = False,
) -> Float32[Tensor, " rollout"]:
    """Return ``R = C + alpha tier(S)``.

    Args:
        correct: verified success C.
        score: proximity S in [0, 1]; not read where ``valid`` is False.
        alpha: weight of the tiered score, at least 0; the paper's is not known.
        zones: see `tier`.
        gate: None pays every rollout its tier; "correct" only the successes, which tells successes apart and failures
            not; "valid" only where ``valid``, which must then be given.
        edges: see `tier`.
        values: see `tier`.
        valid: False where an answer could not be read, which is no success and has no proximity; None for all True.
        enforce_order: whether a failure that could earn as much as a success is an error rather than a warning.

    Raises `ScorecraftError` for a negative alpha, an unknown gate, and as `tier`. Warns where a failure could earn as
    much as a success (see `order_safe`).

    Source: SSL: Sweet Spot Learning, 2026, arXiv 2601.22491.
    """
    if gate not in (None, "correct", "valid"):
        raise ScorecraftError(f"ssl_reward: unknown gate '{gate}'; expected None, 'correct' or 'valid'")
    if not 0 <= alpha < math.inf:
        raise ScorecraftError(f"ssl_reward: expected an alpha of at least 0, got {alpha}")
    if gate == "valid" and valid is None:
        raise ScorecraftError("ssl_reward: gate 'valid' needs valid, which says which answers could be read")
    worth = tier_values(len(tier_edges(zones, edges)) + 1, values)
    safe = gate == "correct" or order_safe(alpha, highest_failure=worth[-1], lowest_success=worth[0])
    if not safe:
        text = (
            f"ssl_reward: at alpha {alpha:g} a failure can earn as much as a success; take an alpha below "
            f"{1 / (worth[-1] - worth[0]):g}, or gate 'correct'"
        )
        if enforce_order:
            raise ScorecraftError(text)
        warnings.warn(text, ScorecraftWarning, stacklevel=2)
    if valid is None:
        valid = torch.ones_like(correct)
    paid = valid & correct if gate == "correct" else valid
    tiers = tier(torch.where(valid, score, torch.zeros_like(score)), zones=zones, edges=edges, values=values)
    return (correct & valid).float() + alpha * torch.where(paid, tiers, torch.zeros_like(tiers))
