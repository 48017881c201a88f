"""Clip and Delta refinement of step rewards; the value becomes the sum of the refined steps."""

from __future__ import annotations

from abc import abstractmethod

from jaxtyping import Bool, Float32
from pydantic import Field, model_validator
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.rewards.reward_refinement import pr_clip, pr_clip_delta, pr_delta
from scorecraft.rewards.transform import Transform
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Note, Trait, Traits

_SOURCE = "On Designing Effective RL Reward at Training Time for LLM Reasoning, 2024, arXiv 2410.15115"
_TELESCOPES = Note(
    Trait.TOKEN_DIFFERENCES,
    "the differences add up to the first step's reward alone, so they work step by step or not at all; take a credit "
    "that hands out step rewards, such as {min-form: {form: sum}}",
    _SOURCE,
)


class _Refinement(Transform):
    def traits(self) -> Traits:
        """Return that it needs step rewards, and that what it leaves cannot be farmed by repetition."""
        why = "it refines step rewards; put it under a reward that has them, such as a process reward model"
        return Traits(needs=(Note(Trait.STEP_REWARDS, why, _SOURCE),), cures=(Trait.FARMING,))

    @abstractmethod
    def refine(
        self, steps: Float32[Tensor, "rollout step"], mask: Bool[Tensor, "rollout step"]
    ) -> Float32[Tensor, "rollout step"]:
        """Return the refined step rewards."""

    def __call__(self, scores: Scores, rollouts: Rollouts, context: Context) -> Scores:
        """Return the scores with refined steps and their sum; raises `ScorecraftError` where there are no steps."""
        del rollouts, context
        if scores.steps is None or scores.step_mask is None:
            raise ScorecraftError(
                f"transform '{self.name}' needs a reward with step rewards, and this one has none; put it under "
                "'steps' or a process reward model"
            )
        refined = self.refine(scores.steps, scores.step_mask)
        return scores.with_values(refined.sum(1), refined)


class _Clipping(_Refinement):
    eta: float = Field(allow_inf_nan=False)
    reward_range: tuple[float, float] = (0.0, 1.0)

    @model_validator(mode="after")
    def _range_is_one(self) -> _Clipping:
        if not self.reward_range[0] < self.reward_range[1]:
            raise ValueError(f"reward_range: expected the lowest and the highest reward, got {list(self.reward_range)}")
        return self


@implements("reward-refinement")
@register("transform", "refine-clip")
class RefineClip(_Clipping):
    """Every step earns ``min(reward - eta, 0)``; ``reward_range``: the lowest and highest reward of the model."""

    def refine(
        self, steps: Float32[Tensor, "rollout step"], mask: Bool[Tensor, "rollout step"]
    ) -> Float32[Tensor, "rollout step"]:
        """Return the clipped step rewards."""
        return pr_clip(steps, mask, eta=self.eta, reward_range=self.reward_range)


@implements("reward-refinement")
@register("transform", "refine-delta")
class RefineDelta(_Refinement):
    """Every step but the last earns its reward less the next one's, so that returns are one step's reward."""

    def traits(self) -> Traits:
        """Return also that it works on single steps only."""
        return super().traits() + Traits(relies_on=(_TELESCOPES,))

    def refine(
        self, steps: Float32[Tensor, "rollout step"], mask: Bool[Tensor, "rollout step"]
    ) -> Float32[Tensor, "rollout step"]:
        """Return the differences."""
        return pr_delta(steps, mask)


@implements("reward-refinement")
@register("transform", "refine-clip-delta")
class RefineClipDelta(_Clipping):
    """Clipped first, then differences: the return of every step is ``min(reward - eta, 0)`` of that step alone."""

    def traits(self) -> Traits:
        """Return also that it works on single steps only."""
        return super().traits() + Traits(relies_on=(_TELESCOPES,))

    def refine(
        self, steps: Float32[Tensor, "rollout step"], mask: Bool[Tensor, "rollout step"]
    ) -> Float32[Tensor, "rollout step"]:
        """Return the differences of clipped step rewards."""
        return pr_clip_delta(steps, mask, eta=self.eta, reward_range=self.reward_range)
