"""Credit parts of recipes."""

from __future__ import annotations

from jaxtyping import Float32
from pydantic import Field
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.credit.credit import Credit
from scorecraft.credit.min_form import Form, step_returns, token_returns_of_steps
from scorecraft.credit.outcome import outcome_returns
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable, Scores
from scorecraft.traits import Note, Trait, Traits


@register("credit", "outcome")
class Outcome(Credit):
    """Every sampled token earns the total reward; a discount below 1 favours tokens near the end."""

    discount: float = Field(1.0, gt=0, le=1)

    def traits(self) -> Traits:
        """Return that all tokens earn the total, or, with a discount, later ones more."""
        if self.discount == 1:
            return Traits(provides=(Trait.WHOLE_RETURN,))
        text = f"the discount {self.discount:g} favours later tokens"
        return Traits(relies_on=(Note(Trait.TOKEN_DIFFERENCES, text),))

    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return the token returns."""
        del context
        return outcome_returns(rewards.total, rollouts.mask, self.discount)


@implements("min-form-credit")
@register("credit", "min-form")
class MinForm(Credit):
    """Every token earns the minimum of the step rewards still to come (PURE), or, for comparison, their sum.

    Reads the steps of the reward ``process`` (by default the only one that has steps), whatever its weight, and adds
    ``outcome_weight`` times the reward ``outcome`` where one is named.
    """

    form: Form = "softmin"
    temperature: float = Field(0.1, gt=0)
    gamma: float = Field(1.0, gt=0, le=1)
    process: str | None = None
    outcome: str | None = None
    outcome_weight: float = 1.0

    def traits(self) -> Traits:
        """Return that it needs step rewards, differs by token, and, but for the sum, cannot be farmed."""
        why = "it hands out step rewards; add a reward that has them, such as 'steps' or a process reward model"
        spreads = Note(Trait.TOKEN_DIFFERENCES, "it credits every step on its own")
        cures = () if self.form == "sum" else (Trait.FARMING,)
        return Traits(relies_on=(spreads,), needs=(Note(Trait.STEP_REWARDS, why),), cures=cures)

    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return the token returns; rollouts without a valid reward get none."""
        del context
        scores = self._process(rewards)
        steps, step_mask = scores.steps, scores.step_mask
        assert steps is not None
        assert step_mask is not None
        of_steps = step_returns(steps, step_mask, self.form, self.gamma, self.temperature)
        returns = token_returns_of_steps(of_steps, step_mask, rollouts.steps, rollouts.mask)
        if self.outcome is not None:
            if self.outcome not in rewards.parts:
                raise ScorecraftError(
                    f"credit 'min-form', outcome: no reward '{self.outcome}'; {nearest(self.outcome, rewards.parts)}"
                )
            earned = rewards.parts[self.outcome].values.nan_to_num() * self.outcome_weight
            returns = returns + earned[:, None] * rollouts.mask
        return returns * rewards.valid[:, None]

    def _process(self, rewards: RewardTable) -> Scores:
        having = {name: scores for name, scores in rewards.parts.items() if scores.steps is not None}
        if self.process is not None:
            if self.process not in having:
                raise ScorecraftError(
                    f"credit 'min-form', process: no reward '{self.process}' with step rewards; "
                    f"{nearest(self.process, having)}"
                )
            return having[self.process]
        if len(having) != 1:
            raise ScorecraftError(
                f"credit 'min-form' needs one reward with step rewards, got {', '.join(having) or 'none'}; "
                "name it under 'process'"
            )
        return next(iter(having.values()))
