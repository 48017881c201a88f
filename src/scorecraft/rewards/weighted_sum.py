"""All rewards of a recipe in one table: which rollouts have a total, and the weighted sum as that total."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome
from scorecraft.rewards.reward import Reward
from scorecraft.scores import RewardTable, Scores

Parts = Mapping[str, tuple[Reward, Scores]]
"""Each reward and its scores, by the reward's name in the recipe."""


def scored_rows(parts: Parts) -> tuple[dict[str, Bool[Tensor, " rollout"]], Bool[Tensor, " rollout"]]:
    """Return where each weighted reward has a value, and which rollouts are valid.

    A rollout is valid when at least one weighted reward scored it and none failed; any outcome other than scored
    or abstained is a failure. A reward of weight 0 is kept for the log and decides nothing.

    Args:
        parts: each reward and its scores, by the reward's name in the recipe.

    Raises `ScorecraftError` for no rewards, unequal lengths or a weight that is not finite.
    """
    if not parts:
        raise ScorecraftError("no rewards to combine; a recipe needs at least one under 'reward'")
    lengths = {name: len(scores.outcomes) for name, (_, scores) in parts.items()}
    if len(set(lengths.values())) > 1:
        raise ScorecraftError(f"the rewards to combine scored different numbers of rollouts: {lengths}")
    device = next(iter(parts.values()))[1].values.device
    scored: dict[str, Bool[Tensor, " rollout"]] = {}
    failed = torch.zeros(next(iter(lengths.values())), dtype=torch.bool, device=device)
    for name, (reward, scores) in parts.items():
        if not math.isfinite(reward.weight):
            raise ScorecraftError(f"reward '{name}': expected a finite weight, got {reward.weight}")
        if reward.weight == 0:
            continue
        scored[name] = _where(scores, Outcome.SCORED, device)
        failed = failed | ~(scored[name] | _where(scores, Outcome.ABSTAINED, device))
    some = torch.stack(list(scored.values())).any(0) if scored else torch.zeros_like(failed)
    return scored, some & ~failed


def _where(scores: Scores, outcome: Outcome, device: torch.device) -> Tensor:
    return torch.tensor([found is outcome for found in scores.outcomes], dtype=torch.bool, device=device)


def table_of(parts: Parts, total: Float32[Tensor, " rollout"], valid: Bool[Tensor, " rollout"]) -> RewardTable:
    """Return a table with this total, 0 where it is not valid.

    Args:
        parts: each reward and its scores.
        total: of each rollout.
        valid: which rollouts have one.
    """
    own = {name: scores for name, (_, scores) in parts.items()}
    return RewardTable(torch.where(valid, total, torch.zeros_like(total)), valid, own)


def weighted_sum(parts: Parts) -> RewardTable:
    """Return the weighted sum ``total[i] = sum_k weight_k value_k[i]`` over the rewards that did not abstain.

    Args:
        parts: each reward and its scores, by the reward's name in the recipe.

    Raises as `scored_rows`.
    """
    scored, valid = scored_rows(parts)
    total = torch.zeros(len(valid), dtype=torch.float32, device=valid.device)
    for name, rows in scored.items():
        reward, scores = parts[name]
        total = total + torch.where(rows, reward.weight * scores.values, torch.zeros_like(total))
    return table_of(parts, total, valid)
