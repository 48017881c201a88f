"""The advantage part that compares turns with turns and rollouts with rollouts."""

from __future__ import annotations

from jaxtyping import Float32
from pydantic import Field
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.objectives.advantages import Singleton
from scorecraft.objectives.dual_level_advantage import (
    dual_level_advantages,
    turn_rewards_of_returns,
    value_of_each_token,
)
from scorecraft.objectives.interfaces import Advantage, Advantages
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits
from scorecraft.turns import policy_turns

_SIZE = "returns are divided by their own standard deviation in the group, which brings every group to one size"
_LEVEL = "the mean of the group is taken off, and with it whatever all rewards of a group share"


@implements("turn-matching")
@register("advantage", "dual-level")
class DualLevel(Advantage):
    """A turn against the same turn of the group's other rollouts, averaged with rollout against rollout (MatchTIR).

    A turn is what the policy writes between two answers of tools or users; all its tokens get one advantage.
    ``weight`` is that of the turn level, ``discount`` that of a turn's reward for the turn before it.
    """

    discount: float = Field(0.9, ge=0, le=1)
    weight: float = Field(0.5, ge=0, le=1)
    epsilon: float = Field(1e-6, ge=0, allow_inf_nan=False)
    singleton: Singleton = "raw"

    def traits(self) -> Traits:
        """Return that it compares completions and standardises them; without a turn level tokens are alike."""
        removes = [Note(trait, _LEVEL) for trait in (Trait.LEVEL, Trait.BATCH_LEVEL)]
        removes += [Note(trait, _SIZE) for trait in (Trait.MAGNITUDE, Trait.BATCH_MAGNITUDE)]
        if self.weight == 0:
            removes.append(Note(Trait.TOKEN_DIFFERENCES, "with weight 0 all tokens of a completion get the same"))
        text = "it compares the completions of a prompt, and with group_size 1 every advantage is 0: nothing is learned"
        needs = (Note(Trait.COMPARISON, text),) if self.singleton == "zero" else ()
        return Traits(needs=needs, removes=tuple(removes))

    def __call__(
        self,
        returns: Float32[Tensor, "rollout token"],
        rollouts: Rollouts,
        rewards: RewardTable,
        context: Context,
    ) -> Advantages:
        """Return the advantages; a rollout without a valid reward is not kept, and is in no mean."""
        del context
        turns = policy_turns(rollouts.mask, rollouts.turns)
        table, there = turn_rewards_of_returns(returns, rollouts.mask, turns)
        keep = rewards.valid & rollouts.mask.any(1)
        values = dual_level_advantages(
            table, there, rollouts.group, keep, discount=self.discount, weight=self.weight, epsilon=self.epsilon,
            singleton=self.singleton,
        )  # fmt: skip
        return Advantages(value_of_each_token(values, turns), keep=keep)
