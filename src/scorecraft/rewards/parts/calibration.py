"""The part of the calibration reward (RLCR)."""

from __future__ import annotations

import torch
from pydantic import Field

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.parts import register
from scorecraft.problem import Outcome
from scorecraft.rewards.correctness import check_answers
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.rlcr import Rule, incentive_check, rlcr_reward
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.tasks.confidence import stated_confidence
from scorecraft.traits import Note, Trait, Traits


@implements("rlcr")
@register("reward", "rlcr")
class CalibrationReward(Reward):
    """Correctness plus a proper score of the confidence stated with the answer (RLCR)."""

    rule: Rule = "brier"
    scale: float = Field(1.0, ge=0)
    eps: float | None = Field(None, gt=0, lt=0.5)
    invalid_reward: float = -1.0

    def traits(self) -> Traits:
        """Return whether the rule at its scale pays for answers that are not the likeliest."""
        report = incentive_check(self.rule, self.scale, eps=self.eps)
        if report.accuracy_safe:
            return super().traits()
        text = (
            f"rule '{self.rule}' at scale {self.scale:g} pays an unsure policy for a surely wrong answer with "
            f"confidence 0 (margin {report.margin:.2g}); lower the scale, or take a bounded rule at scale 1"
        )
        note = Note(Trait.GUESSING, text, "Beyond Binary Rewards, 2025, arXiv 2507.16806")
        return super().traits() + Traits(brings=(note,))

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return each reward; a completion that states no confidence earns ``invalid_reward`` and is counted."""
        right = [float(verdict.correct) for verdict in check_answers(rollouts, context)]
        stated = [stated_confidence(text) for text in rollouts.texts]
        correct = torch.tensor(right, dtype=torch.float32)
        valid = torch.tensor([value is not None for value in stated], dtype=torch.bool)
        confidence = torch.tensor([0.0 if value is None else value for value in stated], dtype=torch.float32)
        values = rlcr_reward(
            correct, confidence, rule=self.rule, weight=self.scale, valid=valid,
            invalid_reward=self.invalid_reward, eps=self.eps,
        )  # fmt: skip
        missing = torch.full_like(confidence, float("nan"))
        metrics = {
            "confidence": torch.where(valid, confidence, missing),
            "calibration_gap": torch.where(valid, (confidence - correct).abs(), missing),
            "invalid": (~valid).float(),
        }
        return Scores(values, (Outcome.SCORED,) * len(values), metrics=metrics)
