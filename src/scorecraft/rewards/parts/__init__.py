"""Reward parts of recipes: options, and the hand-over to the pure functions of this room.

Every module here registers its parts when it is imported, and is named below.
"""

from scorecraft.rewards.parts import (
    basic,
    calibration,
    continuation_value,
    density_ratio,
    formal_steps,
    grpo_lambda,
    length_baselines,
    reasoning_depth,
    relevance,
    rubric,
    self_aligned,
    signed_answer,
    sweet_spot,
    verify,
)
from scorecraft.rewards.planted import parts as planted

__all__ = [
    "basic",
    "calibration",
    "continuation_value",
    "density_ratio",
    "formal_steps",
    "grpo_lambda",
    "length_baselines",
    "planted",
    "reasoning_depth",
    "relevance",
    "rubric",
    "self_aligned",
    "signed_answer",
    "sweet_spot",
    "verify",
]
