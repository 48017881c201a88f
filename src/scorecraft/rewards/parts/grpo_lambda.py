"""The part of the switched length penalty (GRPO-lambda)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.parts import Scope, register
from scorecraft.rewards.correctness import check_answers, verdict_scores
from scorecraft.rewards.grpo_lambda import Selection, efficiency_groups, group_accuracies, switched_length_penalty
from scorecraft.rewards.reward import Reward
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Note, Trait, Traits


@implements("grpo-lambda")
@register("reward", "grpo-lambda")
class SwitchedLengthPenalty(Reward):
    """Correctness, less a length penalty in the share ``lam`` of prompts that are answered best (GRPO-lambda).

    With ``selection: threshold`` it is the prompts of an accuracy of at least ``threshold``. lam 0 is correctness
    alone, lam 1 the penalty everywhere. ``ties``: of equally accurate prompts the "first" in the batch, or "random".
    """

    lam: float = Field(0.2, ge=0, le=1)
    alpha: float = Field(0.2, ge=0, lt=1)
    selection: Selection = "top_fraction"
    threshold: float | None = Field(None, ge=0, le=1)
    ties: Literal["first", "random"] = "first"
    std_floor: float = Field(0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _threshold_belongs_to_its_selection(self) -> SwitchedLengthPenalty:
        if (self.threshold is not None) != (self.selection == "threshold"):
            raise ValueError("threshold and selection: threshold belong together; give both or neither")
        return self

    @property
    def scope(self) -> Scope:
        """Return that prompts are ranked by accuracy over the batch, or held to a threshold each."""
        return "group" if self.selection == "threshold" else "batch"

    def traits(self) -> Traits:
        """Return that its alpha is meant to be small beside the verdict, and that it compares completions."""
        if self.alpha == 0:
            return super().traits()
        source = "Stable Reinforcement Learning for Efficient Reasoning, 2025, arXiv 2505.18086"
        small = f"its alpha {self.alpha:g} is to be small beside being right, also where all of a group are right"
        compares = "it calls a completion long beside the others of its prompt, and with group_size 1 there are none"
        return super().traits() + Traits(
            relies_on=(Note(Trait.MAGNITUDE, small, source),), needs=(Note(Trait.COMPARISON, compares, source),)
        )

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the reward of each completion; without a verdict there is no value, and no share in an accuracy."""
        verdicts = verdict_scores(check_answers(rollouts, context))
        valid, correct = ~verdicts.values.isnan(), verdicts.values >= 1
        groups = group_accuracies(correct, rollouts.group, valid)
        # One row a group, not a rollout: equal group numbers of two workers stay two groups.
        everyone, own = context.gather(groups.accuracy)
        tie_break = None
        if self.ties == "random":
            drawn = context.uniforms(len(rollouts.problems))
            tie_break = context.gather(drawn[rollouts.group[groups.first]])[0]
        chosen = efficiency_groups(
            everyone, lam=self.lam, selection=self.selection, threshold=self.threshold, tie_break=tie_break
        )
        efficient = chosen[own][groups.place]
        values = switched_length_penalty(
            correct, rollouts.mask.sum(1), rollouts.group, efficient, alpha=self.alpha, std_floor=self.std_floor
        )
        metrics = {
            **verdicts.metrics,
            "group_accuracy": groups.accuracy[groups.place].float(),
            "efficiency_group": efficient.float(),
            "length_penalty": torch.where(valid, correct.float() - values, values.new_tensor(float("nan"))),
        }
        return Scores(values.masked_fill(~valid, float("nan")), verdicts.outcomes, metrics=metrics)
