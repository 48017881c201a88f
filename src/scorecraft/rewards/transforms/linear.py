"""Shift, scale and clip: the transforms that need nothing but the values."""

from __future__ import annotations

import math

import torch
from pydantic import Field, model_validator

from scorecraft.context import Context
from scorecraft.parts import Scope, register
from scorecraft.rewards.transform import Transform
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Note, Trait, Traits


@register("transform", "scale")
class Scale(Transform):
    """``factor * value + shift``; steps are multiplied by the factor only."""

    factor: float = Field(1.0, allow_inf_nan=False)
    shift: float = Field(0.0, allow_inf_nan=False)

    def traits(self) -> Traits:
        """Return that its factor says how far apart rewards are."""
        note = Note(Trait.MAGNITUDE, f"its factor {self.factor:g} says how far apart rewards are")
        return Traits(relies_on=(note,)) if self.factor != 1 else Traits()

    def __call__(self, scores: Scores, rollouts: Rollouts, context: Context) -> Scores:
        """Return the scaled scores."""
        del rollouts, context
        steps = None if scores.steps is None else scores.steps * self.factor
        return scores.with_values(self.factor * scores.values + self.shift, steps)


@register("transform", "center")
class Center(Transform):
    """Takes off the mean of the batch, or of the rollout's group; with ``over: group`` each prompt's mean becomes 0."""

    over: str = Field("batch", pattern="^(batch|group)$")

    @property
    def scope(self) -> Scope:
        """Return what the mean is taken over."""
        return "group" if self.over == "group" else "batch"

    def traits(self) -> Traits:
        """Return that it takes the level away."""
        text = f"the transform 'center' takes off the mean of the {self.over}"
        removes = (Note(Trait.BATCH_LEVEL, text), *((Note(Trait.LEVEL, text),) if self.over == "group" else ()))
        return Traits(removes=removes)

    def __call__(self, scores: Scores, rollouts: Rollouts, context: Context) -> Scores:
        """Return the centred scores; what has no value is in no mean."""
        if self.over == "batch":
            everyone, _ = context.gather(scores.values)
            mean = everyone.double().nanmean().float().nan_to_num()
            return scores.with_values(scores.values - mean)
        known = ~scores.values.isnan()
        _, index = torch.unique(rollouts.group, return_inverse=True)
        total = torch.zeros(len(known), dtype=torch.float64)
        sums = total.index_add(0, index, scores.values.nan_to_num().double() * known)
        counts = total.index_add(0, index, known.double())
        return scores.with_values((scores.values - (sums / counts.clamp(min=1))[index]).float())


@register("transform", "clip")
class Clip(Transform):
    """Keeps values (and step rewards) within ``low`` and ``high``."""

    low: float = -math.inf
    high: float = math.inf

    @model_validator(mode="after")
    def _ordered(self) -> Clip:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self

    def __call__(self, scores: Scores, rollouts: Rollouts, context: Context) -> Scores:
        """Return the clipped scores."""
        del rollouts, context
        steps = None if scores.steps is None else scores.steps.clamp(self.low, self.high)
        return scores.with_values(scores.values.clamp(self.low, self.high), steps)
