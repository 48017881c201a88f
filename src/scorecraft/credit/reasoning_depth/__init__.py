"""Reasoning depth: how far late layers move the next-token distribution, step by step, and what is made of it."""

from scorecraft.credit.reasoning_depth.depth_features import (
    DepthFeatures,
    chain_features,
    depth_features,
    step_attention,
)
from scorecraft.credit.reasoning_depth.detector import NestedScores, RHDDetector, nested_cross_validation
from scorecraft.credit.reasoning_depth.divergence import js_divergence
from scorecraft.credit.reasoning_depth.logit_lens import late_layers, logit_lens
from scorecraft.credit.reasoning_depth.reasoning_scores import (
    DepthScores,
    DepthThreshold,
    calibrate_threshold,
    reasoning_scores,
    step_means,
    step_perplexity,
    steps_of_spans,
    token_measurements,
)
from scorecraft.credit.reasoning_depth.shaping import (
    clip_depth,
    grpo_r_advantages,
    shaped_returns,
    shaping_rewards,
)

__all__ = [
    "DepthFeatures",
    "DepthScores",
    "DepthThreshold",
    "NestedScores",
    "RHDDetector",
    "calibrate_threshold",
    "chain_features",
    "clip_depth",
    "depth_features",
    "grpo_r_advantages",
    "js_divergence",
    "late_layers",
    "logit_lens",
    "nested_cross_validation",
    "reasoning_scores",
    "shaped_returns",
    "shaping_rewards",
    "step_attention",
    "step_means",
    "step_perplexity",
    "steps_of_spans",
    "token_measurements",
]
