"""Rewards with a planted flaw whose truth is known."""

from scorecraft.rewards.planted.biased_judge import length_bias, magic_token_bias, pairwise_preference, position_bias
from scorecraft.rewards.planted.noisy_verifier import noisy_verdicts
from scorecraft.rewards.planted.overrating_process_model import honest_step_sum, overrated_steps

__all__ = [
    "honest_step_sum",
    "length_bias",
    "magic_token_bias",
    "noisy_verdicts",
    "overrated_steps",
    "pairwise_preference",
    "position_bias",
]
