"""The interface of every reward part."""

from __future__ import annotations

from abc import abstractmethod

from scorecraft.context import Context
from scorecraft.parts import Part
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores


class Reward(Part):
    """A reward part: rollouts in, `Scores` out. ``weight`` is its factor in the total; 0 logs it only."""

    weight: float = 1.0

    @abstractmethod
    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return this reward's value for each rollout."""
