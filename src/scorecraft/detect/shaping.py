"""ReAct, DICE and ASH in one form: what is learned from training features, and what becomes of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from scorecraft.detect.activations import ash_b, ash_p, ash_s, dice_mask, react, react_threshold
from scorecraft.errors import ScorecraftError, nearest

Shaping = Literal["react", "dice", "ash-s", "ash-b", "ash-p"]
SHAPERS = {"ash-s": ash_s, "ash-b": ash_b, "ash-p": ash_p}
# What the papers take: the percentile of activations, of contributions, and of what is pruned.
PERCENTILES: dict[Shaping, float] = {"react": 90.0, "dice": 90.0, "ash-s": 65.0, "ash-b": 65.0, "ash-p": 65.0}


class Shaper:
    """Learns and applies one change to features or to the weights of the layer that they go into.

    Args:
        shaping: which one.
        percentile: of activations, contributions or what is pruned, in [0, 100]; that of the papers where not given.

    Raises `ScorecraftError` for an unknown shaping.
    """

    def __init__(self, shaping: Shaping, percentile: float | None) -> None:
        if shaping not in PERCENTILES:
            raise ScorecraftError(f"no shaping '{shaping}': {nearest(shaping, PERCENTILES)}")
        self.shaping: Shaping = shaping
        self.percentile = PERCENTILES[shaping] if percentile is None else percentile
        self.threshold: float | None = None
        self.mask: Tensor | None = None

    @property
    def ready(self) -> bool:
        """Whether all that it needs is learned."""
        return self.shaping in SHAPERS or self.threshold is not None or self.mask is not None

    def learn(self, features: Tensor, weight: Tensor) -> None:
        """Learn from features of training inputs ``[row, feature]`` and the weights ``[class, feature]`` after them."""
        if self.shaping == "react":
            self.threshold = react_threshold(features, self.percentile)
        elif self.shaping == "dice":
            self.mask = dice_mask(weight.detach().cpu(), features.mean(0), self.percentile)

    def state(self) -> dict[str, Tensor]:
        """Return what was learned."""
        threshold = None if self.threshold is None else torch.tensor(self.threshold, dtype=torch.float64)
        return {name: value for name, value in (("threshold", threshold), ("mask", self.mask)) if value is not None}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self.threshold = state["threshold"].item() if "threshold" in state else None
        self.mask = state.get("mask")

    def apply(self, features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and weights, of which one is changed."""
        weight = weight.detach().cpu()
        if self.threshold is not None:
            return react(features, self.threshold), weight
        if self.mask is not None:
            return features, weight * self.mask
        return SHAPERS[self.shaping](features, self.percentile), weight
