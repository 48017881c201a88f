"""The gate: one reward decides whether the others count at all."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.problem import Outcome
from scorecraft.rewards.weighted_sum import Parts, scored_rows, table_of, weighted_sum
from scorecraft.scores import RewardTable


def gated_sum(parts: Parts, gate: str, threshold: float = 1.0, floor: float = 0.0) -> RewardTable:
    """Return the weighted sum of the other rewards where the gate is open, and the floor where it is shut.

    ``total[i] = sum over k != gate of weight_k value_k[i]  if value_gate[i] >= threshold, else floor``

    The gate's own value and weight are in no sum; where it abstained it is not known to be open or shut, and the
    rollout has no total. Behind an open gate at least one other reward must have a value. A reward that failed leaves
    no total on either side, as in `weighted_sum`.

    Args:
        parts: each reward and its scores, by the reward's name in the recipe.
        gate: name of the reward that decides.
        threshold: the least value (after its transforms, before its weight) that opens it.
        floor: the total behind a shut gate.

    Raises `ScorecraftError` for a gate that is no reward here, and where no other reward has a weight.
    """
    if gate not in parts:
        raise ScorecraftError(f"gate: '{gate}' is no reward of this recipe; {nearest(gate, parts)}")
    others = {name: part for name, part in parts.items() if name != gate}
    if not any(reward.weight for reward, _ in others.values()):
        raise ScorecraftError(
            f"gate: behind '{gate}' there is no reward with a weight; add one, such as brevity, or take weighted-sum"
        )
    scored_rows(parts)  # the checks of all rewards together: equal lengths, finite weights
    behind = weighted_sum(others)
    scores = parts[gate][1]
    known = torch.tensor([outcome is Outcome.SCORED for outcome in scores.outcomes], dtype=torch.bool)
    failed = _failed(others)
    known, failed = known.to(scores.values.device), failed.to(scores.values.device)
    opened = known & (scores.values >= threshold)
    total = torch.where(opened, behind.total, torch.full_like(behind.total, floor))
    return table_of(parts, total, known & torch.where(opened, behind.valid, ~failed))


def _failed(parts: Parts) -> Bool[Tensor, " rollout"]:
    """Return where a reward with a weight neither has a value nor abstained."""
    fine = (Outcome.SCORED, Outcome.ABSTAINED)
    rows = zip(*(scores.outcomes for reward, scores in parts.values() if reward.weight), strict=True)
    return torch.tensor([any(outcome not in fine for outcome in row) for row in rows], dtype=torch.bool)
