"""The weighted sum, which is the default."""

from __future__ import annotations

from collections.abc import Mapping

from scorecraft.context import Context
from scorecraft.parts import register
from scorecraft.rewards.combination import Combination
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.weighted_sum import weighted_sum
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable, Scores


@register("combination", "weighted-sum")
class WeightedSum(Combination):
    """The sum of all rewards times their weights; one that abstains is left out of it."""

    def __call__(self, parts: Mapping[str, tuple[Reward, Scores]], rollouts: Rollouts, context: Context) -> RewardTable:
        """Return the weighted sum."""
        del rollouts, context
        return weighted_sum(parts)
