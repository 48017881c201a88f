"""Tiers: a score in [0, 1] becomes the value of the zone that it is in."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.rewards.sweet_spot import tier, tier_edges, tier_values
from scorecraft.rewards.transform import Transform
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores


@implements("sweet-spot")
@register("transform", "tiers")
class Tiers(Transform):
    """Values in [0, 1] climb zone by zone: ``zones`` equal ones, or those that ``edges`` begin; steps stay as they are.

    ``values``: "linear", "amplified" (each step twice the last), or one number a zone.
    """

    zones: int = Field(4, ge=2)
    edges: tuple[float, ...] | None = None
    values: Literal["linear", "amplified"] | tuple[float, ...] = "linear"

    @model_validator(mode="after")
    def _fit_together(self) -> Tiers:
        try:
            tier_values(len(tier_edges(self.zones, self.edges)) + 1, self.values)
        except ScorecraftError as error:
            raise ValueError(str(error)) from error
        return self

    def __call__(self, scores: Scores, rollouts: Rollouts, context: Context) -> Scores:
        """Return the scores in tiers; raises `ScorecraftError` for a value outside [0, 1]."""
        del rollouts, context
        known = torch.where(scores.values.isnan(), torch.zeros_like(scores.values), scores.values)
        values = tier(known, zones=self.zones, edges=self.edges, values=self.values)
        return scores.with_values(values)
