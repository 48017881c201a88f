"""Credit that gives every token the outcome."""

from __future__ import annotations

from jaxtyping import Float32
from pydantic import Field
from torch import Tensor

from scorecraft.context import Context
from scorecraft.credit.credit import Credit
from scorecraft.credit.outcome import outcome_returns
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits


@register("credit", "outcome")
class Outcome(Credit):
    """Every sampled token earns the total reward; a discount below 1 favours tokens near the end."""

    discount: float = Field(1.0, gt=0, le=1)

    def traits(self) -> Traits:
        """Return that all tokens earn the total, or, with a discount, later ones more."""
        if self.discount == 1:
            text = "credit 'outcome' gives every token the total"
            return Traits(provides=(Trait.WHOLE_RETURN,), removes=(Note(Trait.TOKEN_DIFFERENCES, text),))
        text = f"the discount {self.discount:g} favours later tokens"
        return Traits(relies_on=(Note(Trait.TOKEN_DIFFERENCES, text),))

    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return the token returns."""
        del context
        return outcome_returns(rewards.total, rollouts.mask, self.discount)
