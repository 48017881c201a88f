"""Advantages, and the loss that moves the policy."""

from scorecraft.objectives.advantages import BaselineScale, no_baseline, rollout_advantages, token_advantages
from scorecraft.objectives.aggregation import aggregation_weights
from scorecraft.objectives.batch_standardized import (
    batch_standardized,
    batch_standardized_advantages,
    batch_standardized_over_tokens,
)
from scorecraft.objectives.clipped_surrogate import clipped_surrogate
from scorecraft.objectives.entropy import entropy_bonus
from scorecraft.objectives.group_mean import group_mean, group_mean_advantages
from scorecraft.objectives.group_standardized import group_standardized, group_standardized_advantages
from scorecraft.objectives.kl import kl_penalty
from scorecraft.objectives.leave_one_out import leave_one_out, leave_one_out_advantages
from scorecraft.objectives.ratio import importance_ratio, log_ratio
from scorecraft.objectives.reinforce import reinforce

__all__ = [
    "BaselineScale",
    "aggregation_weights",
    "batch_standardized",
    "batch_standardized_advantages",
    "batch_standardized_over_tokens",
    "clipped_surrogate",
    "entropy_bonus",
    "group_mean",
    "group_mean_advantages",
    "group_standardized",
    "group_standardized_advantages",
    "importance_ratio",
    "kl_penalty",
    "leave_one_out",
    "leave_one_out_advantages",
    "log_ratio",
    "no_baseline",
    "reinforce",
    "rollout_advantages",
    "token_advantages",
]
