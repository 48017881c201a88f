"""Credit that hands out step rewards, with an outcome beside them."""

from __future__ import annotations

from jaxtyping import Float32
from pydantic import Field
from torch import Tensor

from scorecraft.context import Context
from scorecraft.credit.credit import Credit
from scorecraft.credit.min_form import token_returns_of_steps
from scorecraft.credit.named_rewards import process_rewards, with_outcome
from scorecraft.credit.reward_to_go import Form, reward_to_go
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits


@register("credit", "reward-to-go")
class RewardToGo(Credit):
    """Every token earns the rewards of its step and of later ones: their sum, mean, minimum, soft minimum or maximum.

    Reads the steps of the reward ``process`` (by default the only one that has steps), whatever its weight, and adds
    ``outcome_weight`` times the reward ``outcome`` where one is named. gamma: discount per step of the sum.
    """

    process: str | None = None
    form: Form = "sum"
    gamma: float = Field(1.0, gt=0, le=1)
    temperature: float = Field(0.1, gt=0)
    outcome: str | None = None
    outcome_weight: float = 1.0

    def traits(self) -> Traits:
        """Return that it needs step rewards and differs by token; all forms but the sum have a bound."""
        why = "it hands out step rewards; add a reward that has them, such as 'steps' or a process reward model"
        spreads = Note(Trait.TOKEN_DIFFERENCES, "it credits every step on its own")
        cures = () if self.form == "sum" else (Trait.FARMING,)
        return Traits(relies_on=(spreads,), needs=(Note(Trait.STEP_REWARDS, why),), cures=cures)

    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return the token returns; rollouts without a valid reward get none."""
        del context
        steps, step_mask = process_rewards(rewards, self.process, self.name)
        of_steps = reward_to_go(steps, step_mask, self.form, gamma=self.gamma, temperature=self.temperature)
        returns = token_returns_of_steps(of_steps, step_mask, rollouts.steps, rollouts.mask)
        return with_outcome(returns, rollouts, rewards, self.outcome, self.outcome_weight, self.name)
