"""The part of the tiered reward ("sweet spot") for tasks with a step checker."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.problem import Problem, StepLabel, StepVerdict
from scorecraft.rewards.correctness import check_answers, verdict_scores
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.steps import check_steps
from scorecraft.rewards.sweet_spot import order_safe, ssl_reward, tier, tier_edges, tier_values
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Note, Trait, Traits


@implements("sweet-spot")
@register("reward", "sweet-spot")
class TieredProgress(Reward):
    """Correctness plus ``alpha`` times the tier of the progress: the share of the solution's steps that are right.

    Progress counts the right steps of a completion against those of the worked solution, so that stopping early does
    not pay; where a problem has none, against the completion's own steps. ``gate``: null pays everyone, "correct" only
    right answers, "valid" only answers that can be read.
    """

    alpha: float = Field(0.5, ge=0, allow_inf_nan=False)
    zones: int = Field(4, ge=2)
    edges: tuple[float, ...] | None = None
    values: Literal["linear", "amplified"] | tuple[float, ...] = "linear"
    gate: Literal["correct", "valid"] | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> TieredProgress:
        try:
            self._worth()
        except ScorecraftError as error:
            raise ValueError(str(error)) from error
        return self

    def _worth(self) -> tuple[float, ...]:
        return tier_values(len(tier_edges(self.zones, self.edges)) + 1, self.values)

    def traits(self) -> Traits:
        """Return the danger that a failure earns as much as a success, where alpha is that large."""
        worth = self._worth()
        if self.gate == "correct" or order_safe(self.alpha, highest_failure=worth[-1], lowest_success=worth[0]):
            return super().traits()
        text = (
            f"at alpha {self.alpha:g} a wrong answer with good steps earns as much as a right one; take an alpha below "
            f"{1 / (worth[-1] - worth[0]):g}, or gate 'correct'"
        )
        source = "SSL: Sweet Spot Learning, 2026, arXiv 2601.22491"
        return super().traits() + Traits(brings=(Note(Trait.GUESSING, text, source),))

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the reward of each completion; without a verdict on its answer there is no value."""
        verdicts = verdict_scores(check_answers(rollouts, context))
        known, correct = ~verdicts.values.isnan(), verdicts.values >= 1
        progress = self._progress(rollouts, context)
        readable = known & (verdicts.metrics["unparsed"] == 0) if self.gate == "valid" else None
        values = ssl_reward(
            correct, progress, alpha=self.alpha, zones=self.zones, gate=self.gate, edges=self.edges,
            values=self.values, valid=readable,
        )  # fmt: skip
        tiers = tier(progress, zones=self.zones, edges=self.edges, values=self.values)
        metrics = {**verdicts.metrics, "progress": progress, "tier": tiers}
        return Scores(values.masked_fill(~known, float("nan")), verdicts.outcomes, metrics=metrics)

    def _progress(self, rollouts: Rollouts, context: Context) -> torch.Tensor:
        solutions = [_solution_steps(context, problem) for problem in rollouts.problems]
        written = check_steps(rollouts, context, self.name)
        shares = [
            _share(steps, solutions[place]) for steps, place in zip(written, rollouts.group.tolist(), strict=True)
        ]
        return torch.tensor(shares, dtype=torch.float32)


def _solution_steps(context: Context, problem: Problem) -> int:
    """Return how many steps the worked solution needs; a flawed one stands for a step that is needed."""
    if not problem.gold:
        return 0
    labels = [step.label for step in context.task.check_steps(problem, problem.gold)]
    return sum(label in (StepLabel.CORRECT, StepLabel.WRONG) for label in labels)


def _share(steps: list[StepVerdict], needed: int) -> float:
    right = sum(step.label is StepLabel.CORRECT for step in steps)
    return min(right / max(needed or len(steps), 1), 1.0)
