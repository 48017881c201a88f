"""Reward parts of recipes: options, and the hand-over to the pure functions of this room.

Every module here registers its parts when it is imported, and is named below.
"""

from scorecraft.rewards.parts import (
    basic,
    calibration,
    density_ratio,
    grpo_lambda,
    length_baselines,
    relevance,
    rubric,
    self_aligned,
    sweet_spot,
    verify,
)
from scorecraft.rewards.planted import parts as planted

__all__ = [
    "basic",
    "calibration",
    "density_ratio",
    "grpo_lambda",
    "length_baselines",
    "planted",
    "relevance",
    "rubric",
    "self_aligned",
    "sweet_spot",
    "verify",
]
