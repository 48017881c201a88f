"""Finds the rewards that a credit part reads, by the names that the recipe gives them."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable


class ProcessRewards(NamedTuple):
    """Rewards of steps, and which steps there are."""

    steps: Float32[Tensor, "rollout step"]
    step_mask: Bool[Tensor, "rollout step"]


def process_rewards(rewards: RewardTable, name: str | None, credit: str) -> ProcessRewards:
    """Return the step rewards of the reward that has them.

    Args:
        rewards: all of the recipe.
        name: of the reward; None for the only one that has step rewards.
        credit: name of the credit part that asks, for the message.

    Raises `ScorecraftError` where the named reward has no step rewards, or where none is named and not exactly one
    has them.
    """
    having = {
        key: ProcessRewards(scores.steps, scores.step_mask)
        for key, scores in rewards.parts.items()
        if scores.steps is not None and scores.step_mask is not None
    }
    if name is not None:
        if name not in having:
            raise ScorecraftError(
                f"credit '{credit}', process: no reward '{name}' with step rewards; {nearest(name, having)}"
            )
        return having[name]
    if len(having) != 1:
        raise ScorecraftError(
            f"credit '{credit}' needs one reward with step rewards, got {', '.join(having) or 'none'}; "
            "name it under 'process'"
        )
    return next(iter(having.values()))


def outcome_values(rewards: RewardTable, name: str, credit: str) -> Float32[Tensor, " rollout"]:
    """Return the values of a reward, 0 where it has none.

    Args:
        rewards: all of the recipe.
        name: of the reward.
        credit: name of the credit part that asks, for the message.

    Raises `ScorecraftError` for a reward that the recipe does not have.
    """
    if name not in rewards.parts:
        raise ScorecraftError(f"credit '{credit}', outcome: no reward '{name}'; {nearest(name, rewards.parts)}")
    return rewards.parts[name].values.nan_to_num()


def with_outcome(
    returns: Float32[Tensor, "rollout token"],
    rollouts: Rollouts,
    rewards: RewardTable,
    name: str | None,
    weight: float,
    credit: str,
) -> Float32[Tensor, "rollout token"]:
    """Return token returns with ``weight`` times an outcome at every sampled token, 0 where the reward is not valid.

    Args:
        returns: of every sampled token, without the outcome.
        rollouts: whose they are.
        rewards: all of the recipe.
        name: of the reward that is the outcome; None for none.
        weight: of the outcome.
        credit: name of the credit part that asks, for the message.
    """
    if name is not None:
        returns = returns + (outcome_values(rewards, name, credit) * weight)[:, None] * rollouts.mask
    return returns * rewards.valid[:, None]
