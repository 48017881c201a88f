"""Credit by the change of accuracy that every step makes."""

from __future__ import annotations

from jaxtyping import Float32
from pydantic import Field, model_validator
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.credit.credit import Credit
from scorecraft.credit.named_rewards import process_rewards, with_outcome
from scorecraft.credit.stepwise_reward import Where, padding_gain, stepwise_token_returns
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits

_SOURCE = "Promoting Efficient Reasoning with Verifiable Stepwise Reward, 2025, arXiv 2508.10293"


@implements("stepwise-reward")
@register("credit", "stepwise-reward")
class StepwiseReward(Credit):
    """Every step earns the change of accuracy that it makes (VSRM); with an outcome, its answer earns that too.

    Reads the steps of the reward ``process`` (by default the only one that has steps), whatever its weight, as the
    accuracy in [0, 1] of answers forced after each step; the first step, with nothing to compare with, earns nothing.
    Adds ``outcome_weight`` times the reward ``outcome`` where one is named.

    ``max_lookahead`` is 0, which is safe: rewards add up to last less first accuracy. The published 4 pays a step
    without effect for a change up to 4 steps later, and so for padding. ``where``: the token of a step that earns its
    reward. ``min_effect`` (in standard errors, with ``probes`` answers an accuracy) takes smaller changes for none.
    """

    process: str | None = None
    outcome: str | None = None
    outcome_weight: float = 1.0
    gamma: float = Field(0.7, gt=0, le=1)
    max_lookahead: int = Field(0, ge=0)
    where: Where = "end"
    min_effect: float | None = Field(None, gt=0)
    probes: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _test_has_its_numbers(self) -> StepwiseReward:
        if self.min_effect is not None and self.probes is None:
            raise ValueError("min_effect needs probes, the number of answers behind each accuracy")
        return self

    def traits(self) -> Traits:
        """Return that it needs step rewards, differs by token, and pays for padding where it looks ahead."""
        why = "it hands out changes of accuracy; add a reward whose steps are the accuracy after each step"
        own = Traits(
            relies_on=(Note(Trait.TOKEN_DIFFERENCES, "it credits every step on its own", _SOURCE),),
            needs=(Note(Trait.STEP_REWARDS, why, _SOURCE),),
        )
        if self.max_lookahead == 0:
            return own + Traits(cures=(Trait.FARMING,))
        gain = padding_gain(self.gamma, self.max_lookahead)
        text = f"steps without effect before a gain earn up to {gain:.4g} times it; set max_lookahead: 0"
        return own + Traits(brings=(Note(Trait.FARMING, text, _SOURCE),))

    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return the token returns; rollouts without a valid reward get none."""
        del context
        steps, step_mask = process_rewards(rewards, self.process, "stepwise-reward")
        returns = stepwise_token_returns(
            steps,
            step_mask & rewards.valid[:, None],
            rollouts.steps,
            rollouts.mask,
            gamma=self.gamma,
            max_lookahead=self.max_lookahead,
            where=self.where,
            min_effect=self.min_effect,
            probes=self.probes,
        )
        return with_outcome(returns, rollouts, rewards, self.outcome, self.outcome_weight, "stepwise-reward")
