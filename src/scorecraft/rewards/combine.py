"""All rewards of a recipe in one table: the weighted total, and which rollouts have one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome
from scorecraft.rewards.reward import Reward
from scorecraft.scores import RewardTable, Scores


def combine(parts: Mapping[str, tuple[Reward, Scores]]) -> RewardTable:
    """Return the weighted sum ``total[i] = sum_k weight_k value_k[i]`` over the rewards that did not abstain.

    A rollout is valid when at least one weighted reward scored it and none failed; any outcome other than scored
    or abstained is a failure. A reward of weight 0 is kept for the log and decides nothing.

    Args:
        parts: each reward and its scores, by the reward's name in the recipe.

    Raises `ScorecraftError` for no rewards, unequal lengths or a weight that is not finite.
    """
    if not parts:
        raise ScorecraftError("combine: no rewards; a recipe needs at least one under 'reward'")
    lengths = {name: len(scores.outcomes) for name, (_, scores) in parts.items()}
    rollouts = next(iter(lengths.values()))
    if len(set(lengths.values())) > 1:
        raise ScorecraftError(f"combine: the rewards scored different numbers of rollouts: {lengths}")
    device = next(iter(parts.values()))[1].values.device
    total = torch.zeros(rollouts, dtype=torch.float32, device=device)
    scored = torch.zeros(rollouts, dtype=torch.bool, device=device)
    failed = torch.zeros_like(scored)
    for name, (reward, scores) in parts.items():
        if not math.isfinite(reward.weight):
            raise ScorecraftError(f"reward '{name}': expected a finite weight, got {reward.weight}")
        if reward.weight == 0:
            continue
        has_value = torch.tensor([outcome is Outcome.SCORED for outcome in scores.outcomes], device=device)
        abstained = torch.tensor([outcome is Outcome.ABSTAINED for outcome in scores.outcomes], device=device)
        total = total + torch.where(has_value, reward.weight * scores.values, torch.zeros_like(total))
        scored = scored | has_value
        failed = failed | ~(has_value | abstained)
    valid = scored & ~failed
    table = {name: scores for name, (_, scores) in parts.items()}
    return RewardTable(torch.where(valid, total, torch.zeros_like(total)), valid, table)
