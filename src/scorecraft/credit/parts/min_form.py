"""Credit by the soft minimum of step rewards."""

from __future__ import annotations

from jaxtyping import Float32
from pydantic import Field
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.credit.credit import Credit
from scorecraft.credit.min_form import Compat, Form, step_returns, token_returns_of_steps
from scorecraft.credit.named_rewards import process_rewards, with_outcome
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits


@implements("min-form-credit")
@register("credit", "min-form")
class MinForm(Credit):
    """Every token earns the minimum of the step rewards still to come (PURE), or, for comparison, their sum.

    Reads the steps of the reward ``process`` (by default the only one that has steps), whatever its weight, and adds
    ``outcome_weight`` times the reward ``outcome`` where one is named. compat: see `step_returns`.
    """

    form: Form = "softmin"
    temperature: float = Field(0.1, gt=0)
    gamma: float = Field(1.0, gt=0, le=1)
    process: str | None = None
    outcome: str | None = None
    outcome_weight: float = 1.0
    compat: Compat | None = None

    def traits(self) -> Traits:
        """Return that it needs step rewards, differs by token, and, but for the sum, cannot be farmed."""
        why = "it hands out step rewards; add a reward that has them, such as 'steps' or a process reward model"
        spreads = Note(Trait.TOKEN_DIFFERENCES, "it credits every step on its own")
        cures = () if self.form == "sum" else (Trait.FARMING,)
        return Traits(relies_on=(spreads,), needs=(Note(Trait.STEP_REWARDS, why),), cures=cures)

    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return the token returns; rollouts without a valid reward get none."""
        del context
        steps, step_mask = process_rewards(rewards, self.process, "min-form")
        of_steps = step_returns(steps, step_mask, self.form, self.gamma, self.temperature, self.compat)
        returns = token_returns_of_steps(of_steps, step_mask, rollouts.steps, rollouts.mask)
        return with_outcome(returns, rollouts, rewards, self.outcome, self.outcome_weight, "min-form")
