"""Credit by what each step changed in the value of the response."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.credit.credit import Credit
from scorecraft.credit.min_form import token_returns_of_steps
from scorecraft.credit.named_rewards import outcome_values, process_rewards
from scorecraft.credit.per_step_advantage import step_advantages
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits

NAME = "per-step-advantage"


@implements(NAME)
@register("credit", NAME)
class PerStepAdvantage(Credit):
    """Every token earns its step's advantage, ``Q_i - Q_(i-1)``; tokens between steps earn that of the next one.

    Reads the steps of the reward ``process`` (by default the only one that has steps), whatever its weight, as the
    value Q of the completion up to and including each step. What comes before the first step is the prompt's value:
    with baseline "group-mean" the mean outcome of the prompt's rollouts, on the scale of Q (0 to 1 where Q is a chance
    of success), which credits the first step too; with "first-step" Q of the first step itself, which leaves that step
    without credit and needs no outcome. The outcome is the reward ``outcome``, or the total where none is named.

    The result is an advantage already: take advantage 'none' after it.
    """

    process: str | None = None
    baseline: Literal["group-mean", "first-step"] = "group-mean"
    outcome: str | None = None

    def traits(self) -> Traits:
        """Return that it needs step values, differs by token, and cannot be farmed: its sum is last minus first."""
        why = "it compares the values of steps; add a reward that has them, such as 'steps' or a process reward model"
        spreads = Note(Trait.TOKEN_DIFFERENCES, "it credits every step on its own")
        return Traits(relies_on=(spreads,), needs=(Note(Trait.STEP_REWARDS, why),), cures=(Trait.FARMING,))

    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return each sampled token's advantage; rollouts without a valid reward get none."""
        del context
        values, step_mask = process_rewards(rewards, self.process, NAME)
        advantages = step_advantages(values, step_mask, self._prompt_values(rollouts, rewards, values, step_mask))
        credit = token_returns_of_steps(advantages, step_mask, rollouts.steps, rollouts.mask)
        return credit * rewards.valid[:, None]

    def _prompt_values(self, rollouts: Rollouts, rewards: RewardTable, values: Tensor, step_mask: Tensor) -> Tensor:
        """Return the prompt's value for every rollout."""
        if values.shape[1] == 0:
            return torch.zeros(len(values), dtype=torch.float32, device=values.device)
        # Of equal values argmax returns the first; a row without a step reads a value that is not used.
        first = values.gather(1, step_mask.int().argmax(1, keepdim=True))[:, 0]
        if self.baseline == "first-step":
            return first
        outcomes, known = rewards.total, rewards.valid
        if self.outcome is not None:
            outcomes = outcome_values(rewards, self.outcome, NAME)
            known = known & ~rewards.parts[self.outcome].values.isnan()
        sums = torch.zeros(2, len(rollouts.problems), dtype=torch.float64, device=values.device)
        table = torch.stack((torch.where(known, outcomes, torch.zeros_like(outcomes)), known.float())).double()
        total, count = sums.index_add(1, rollouts.group, table)[:, rollouts.group]
        # A prompt none of whose rollouts has the outcome says nothing about its value.
        return torch.where(count > 0, (total / count.clamp(min=1)).float(), first)
