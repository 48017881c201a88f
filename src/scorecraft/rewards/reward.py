"""The interface of every reward part."""

from __future__ import annotations

from abc import abstractmethod

from scorecraft.context import Context
from scorecraft.parts import Part
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Note, Trait, Traits


class Reward(Part):
    """A reward part: rollouts in, `Scores` out. ``weight`` is its factor in the total; 0 logs it only."""

    weight: float = 1.0

    def traits(self) -> Traits:
        """Return that a weight other than 1 says how much this reward counts."""
        if abs(self.weight) in (0.0, 1.0):
            return Traits()
        return Traits(relies_on=(Note(Trait.MAGNITUDE, f"its weight {self.weight:g} says how much it counts"),))

    @abstractmethod
    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return this reward's value for each rollout."""
