"""What a completion is worth."""

from scorecraft.rewards.adaptive_length import adaptive_length
from scorecraft.rewards.brevity import brevity
from scorecraft.rewards.correctness import verdict_scores
from scorecraft.rewards.format import matches, parseable
from scorecraft.rewards.overlong import overlong
from scorecraft.rewards.steps import correct_step_share
from scorecraft.rewards.weighted_sum import weighted_sum

__all__ = [
    "adaptive_length",
    "brevity",
    "correct_step_share",
    "matches",
    "overlong",
    "parseable",
    "verdict_scores",
    "weighted_sum",
]
