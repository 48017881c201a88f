"""`Scores` of one reward and the `RewardTable` of a whole recipe: values with typed outcomes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.errors import ScorecraftError, TrainingStopped
from scorecraft.problem import Outcome


@dataclass(frozen=True, eq=False)
class Scores:
    """One reward's values for a batch of rollouts.

    values: one number per rollout; NaN exactly where ``outcomes`` is not `Outcome.SCORED`.
    outcomes: how each value came about.
    steps: process rewards per reasoning step, 0 where ``step_mask`` is False; None for outcome rewards.
    step_mask: which steps exist.
    metrics: more measurements per rollout for the log ("unparsed", "true", ...), NaN where there is none.
    """

    values: Float32[Tensor, " rollout"]
    outcomes: tuple[Outcome, ...]
    steps: Float32[Tensor, "rollout step"] | None = None
    step_mask: Bool[Tensor, "rollout step"] | None = None
    metrics: Mapping[str, Float32[Tensor, " rollout"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.outcomes) != len(self.values):
            raise ScorecraftError(f"Scores: {len(self.values)} values, but {len(self.outcomes)} outcomes")
        if (self.steps is None) != (self.step_mask is None):
            raise ScorecraftError("Scores: steps and step_mask come together")
        for row, (value, outcome) in enumerate(zip(self.values.tolist(), self.outcomes, strict=True)):
            scored = outcome is Outcome.SCORED
            if scored and not abs(value) < float("inf"):
                raise TrainingStopped(f"reward of rollout {row} is {value}; return None to abstain, or a finite number")
            if not scored and not math.isnan(value):
                raise ScorecraftError(f"Scores: rollout {row} is '{outcome}', so its value must be NaN, got {value}")

    def with_values(
        self, values: Float32[Tensor, " rollout"], steps: Float32[Tensor, "rollout step"] | None = None
    ) -> Scores:
        """Return these scores with other values; what was not scored stays so, and steps stay where none are given.

        Args:
            values: one number per rollout; not read where there is no score.
            steps: new step rewards; not read where there is no step.
        """
        scored = torch.tensor([outcome is Outcome.SCORED for outcome in self.outcomes], dtype=torch.bool)
        kept = self.steps
        if steps is not None and self.step_mask is not None:
            kept = torch.where(self.step_mask, steps, torch.zeros_like(steps))
        missing = torch.full_like(values, float("nan"))
        return replace(self, values=torch.where(scored, values, missing), steps=kept)

    @classmethod
    def of(cls, values: Sequence[float | None] | Tensor) -> Scores:
        """Make scores from plain numbers, ``None`` meaning that the reward abstains."""
        listed = values.tolist() if isinstance(values, Tensor) else list(values)
        outcomes = tuple(Outcome.ABSTAINED if value is None else Outcome.SCORED for value in listed)
        numbers = [float("nan") if value is None else float(value) for value in listed]
        return cls(torch.tensor(numbers, dtype=torch.float32), outcomes)


@dataclass(frozen=True, eq=False)
class RewardTable:
    """All rewards of a batch: each part's scores, and their weighted total.

    total: the weighted sum over the parts that did not abstain; 0 where ``valid`` is False.
    valid: False where every weighted reward abstained or any of them failed; such a rollout stays out of its
        group's statistics and gets no advantage.
    parts: the scores by the reward's name in the recipe.
    """

    total: Float32[Tensor, " rollout"]
    valid: Bool[Tensor, " rollout"]
    parts: Mapping[str, Scores]
