"""The interface of every reward part."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

from pydantic import field_serializer

from scorecraft.context import Context
from scorecraft.parts import Part
from scorecraft.rewards.transform import Transform
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Note, Trait, Traits


class Reward(Part):
    """A reward part: rollouts in, `Scores` out.

    weight: its factor in the total; 0 logs it only. transforms: what its values go through before that, in order.
    """

    weight: float = 1.0
    transforms: tuple[Transform, ...] = ()

    @field_serializer("transforms")
    def _by_name(self, transforms: tuple[Transform, ...]) -> list[dict[str, Any]]:
        return [{part.name: part.model_dump(mode="json")} for part in transforms]

    def traits(self) -> Traits:
        """Return that a weight other than 1 says how much this reward counts."""
        if abs(self.weight) in (0.0, 1.0):
            return Traits()
        return Traits(relies_on=(Note(Trait.MAGNITUDE, f"its weight {self.weight:g} says how much it counts"),))

    def score(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the value of each rollout after all transforms; the one before them is kept as measurement "raw"."""
        scores = self(rollouts, context)
        if not self.transforms:
            return scores
        raw = scores.values
        for transform in self.transforms:
            scores = transform(scores, rollouts, context)
        return replace(scores, metrics={**scores.metrics, "raw": raw})

    @abstractmethod
    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return this reward's own value for each rollout."""
