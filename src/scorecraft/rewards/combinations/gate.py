"""The gate: one reward decides whether the others count."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from scorecraft.context import Context
from scorecraft.parts import register
from scorecraft.rewards.combination import Combination
from scorecraft.rewards.gate import gated_sum
from scorecraft.rewards.reward import Reward
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable, Scores
from scorecraft.traits import Note, Trait, Traits


@register("combination", "gate")
class Gate(Combination):
    """The weighted sum of the other rewards where the reward ``gate`` is at least ``threshold``, else ``floor``.

    The gate's own weight does not count: it may be 0. Where it abstains the rollout has no total.
    """

    gate: str = Field(min_length=1)
    threshold: float = Field(1.0, allow_inf_nan=False)
    floor: float = Field(0.0, allow_inf_nan=False)

    def traits(self) -> Traits:
        """Return that behind a shut gate all are equal, whatever their other rewards."""
        text = (
            f"every completion whose '{self.gate}' is below {self.threshold:g} earns {self.floor:g}, "
            "however its other rewards differ"
        )
        removed = tuple(Note(trait, text) for trait in (Trait.MAGNITUDE, Trait.BATCH_MAGNITUDE))
        return Traits(removes=removed)

    def __call__(self, parts: Mapping[str, tuple[Reward, Scores]], rollouts: Rollouts, context: Context) -> RewardTable:
        """Return the gated total."""
        del rollouts, context
        return gated_sum(parts, self.gate, self.threshold, self.floor)
