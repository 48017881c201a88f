"""The interface of every combination: all rewards of a recipe in, one total for each rollout out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from scorecraft.context import Context
from scorecraft.parts import Part
from scorecraft.rewards.reward import Reward
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable, Scores


class Combination(Part):
    """A combination part: how the rewards of a recipe become one number a rollout."""

    @abstractmethod
    def __call__(self, parts: Mapping[str, tuple[Reward, Scores]], rollouts: Rollouts, context: Context) -> RewardTable:
        """Return the total of each rollout, and each reward's own scores."""
