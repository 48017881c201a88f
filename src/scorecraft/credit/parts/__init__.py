"""Credit parts of recipes: options, and the hand-over to the pure functions of this room.

Every module here registers its parts when it is imported, and is named below.
"""

from scorecraft.credit.parts import (
    generalized_advantage,
    min_form,
    outcome,
    per_step_advantage,
    reasoning_depth,
    reward_to_go,
    stepwise_reward,
    turn_matching,
    turns,
)

__all__ = [
    "generalized_advantage",
    "min_form",
    "outcome",
    "per_step_advantage",
    "reasoning_depth",
    "reward_to_go",
    "stepwise_reward",
    "turn_matching",
    "turns",
]
