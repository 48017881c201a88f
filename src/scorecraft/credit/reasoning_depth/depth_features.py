"""The three patterns of chains that convince and are wrong, read off the depth of their steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.credit.reasoning_depth.reasoning_scores import (
    DepthScores,
    DepthThreshold,
    DepthUnit,
    calibrate_threshold,
    step_means,
)
from scorecraft.errors import ScorecraftError

NAMES = ("mean_depth", "early_fluctuation", "backtracking", "spurious_verification")


@dataclass(frozen=True, eq=False)
class DepthFeatures:
    """Features of chains: one row each, with what the depths behind them can be compared by.

    table: columns as `NAMES`; "backtracking" is 0 everywhere where no attention was given.
    vocabulary, layers, unit: as of the `DepthScores`.
    """

    table: Float64[Tensor, "rollout feature"]
    vocabulary: int
    layers: tuple[int, ...]
    unit: DepthUnit


def step_attention(
    attention: Float32[Tensor, "rollout token token"], steps: Int64[Tensor, "rollout token"]
) -> Float32[Tensor, "rollout step step"]:
    """Return the attention from step to step: summed over the tokens attended to, averaged over those that attend.

    Args:
        attention: from token (row) to token (column), averaged over heads and layers.
        steps: index of the step that a token is in, -1 outside any.
    """
    width = int(steps.max()) + 1 if steps.numel() else 0
    member = (steps[..., None] == torch.arange(width, device=steps.device)).to(attention.dtype)
    to_steps = attention @ member
    means = [step_means(to_steps[..., column].contiguous(), steps)[0] for column in range(width)]
    return torch.stack(means, dim=2) if means else attention.new_zeros(len(steps), 0, 0)


def chain_features(
    depth: NDArray[np.float64],
    perplexity: NDArray[np.float64],
    attention: NDArray[np.float64] | None = None,
    *,
    early: int = 4,
    late_ratio: float = 0.5,
    tau: float = math.inf,
) -> NDArray[np.float64]:
    """Return the features of one chain of K steps, in the order of `NAMES`.

    Mean of R. Early fluctuation: population deviation over mean of ``R_1..R_early`` (0 for a mean of 0).
    Backtracking: mean over the last ``ceil(late_ratio K)`` steps k of ``sum_{l in B} a[k, l] / sum_{l in E} a[k, l]``,
    with E the steps before them and B those of E with ``R_l`` at most the lower quartile of the chain or at least
    ``tau`` (0 where E is empty). Spurious verification: Pearson correlation of R and perplexity, 0 where either is
    constant or K < 3.

    Args:
        depth: R of each step.
        perplexity: of each step.
        attention: from step (row) to step; None for no backtracking feature (0).
        early: number of first steps for the fluctuation.
        late_ratio: share of steps that are late, in (0, 1].
        tau: depth from which a step counts as overthought.

    Raises `ScorecraftError` for a chain without a step, another number of perplexities, or options out of range.

    Source: Detection and Mitigation of Hallucination in Large Reasoning Models, 2025, arXiv 2505.12886; the
    normalisation of the attention score is not known.
    """
    count = len(depth)
    if count == 0:
        raise ScorecraftError("reasoning depth: a chain without a step has no features; leave it out")
    if len(perplexity) != count or (attention is not None and attention.shape != (count, count)):
        raise ScorecraftError(f"reasoning depth: {count} steps need as many perplexities and attentions")
    if early < 1 or not 0 < late_ratio <= 1:
        raise ScorecraftError(
            f"reasoning depth: expected early >= 1 and late_ratio in (0, 1], got {early} and {late_ratio}"
        )
    first = depth[:early]
    fluctuation = first.std() / first.mean() if first.mean() else 0.0
    correlation = 0.0
    if count >= 3 and np.ptp(depth) > 0 and np.ptp(perplexity) > 0:
        correlation = np.corrcoef(depth, perplexity)[0, 1]
    backtracking = 0.0 if attention is None else _backtracking(depth, attention, late_ratio, tau)
    return np.array([depth.mean(), fluctuation, backtracking, correlation])


def _backtracking(depth: NDArray[np.float64], attention: NDArray[np.float64], late_ratio: float, tau: float) -> float:
    before = len(depth) - math.ceil(late_ratio * len(depth))
    if before == 0:
        return 0.0
    bad = (depth[:before] <= np.quantile(depth, 0.25)) | (depth[:before] >= tau)
    to_early = attention[before:, :before]
    whole = to_early.sum(1)
    shares = np.divide(to_early[:, bad].sum(1), whole, out=np.zeros_like(whole), where=whole > 0)
    return float(shares.mean())


@implements("reasoning-depth")
def depth_features(
    scores: DepthScores,
    perplexity: Float32[Tensor, "rollout step"],
    attention: Float32[Tensor, "rollout step step"] | None = None,
    *,
    early: int = 4,
    late_ratio: float = 0.5,
    tau: DepthThreshold | None = None,
) -> DepthFeatures:
    """Return the features of every chain; see `chain_features` for what they are.

    Args:
        scores: Reasoning Scores of the steps; a gap between them is no step.
        perplexity: of the steps.
        attention: from step to step; None where the model gave none.
        early: number of first steps for the fluctuation.
        late_ratio: share of steps that are late.
        tau: from a calibration set; None takes the 90th percentile of these very steps, so that chains then depend on
            each other.

    Raises `ScorecraftError` for a chain without a step, or a threshold that is not comparable with the scores.

    Source: Detection and Mitigation of Hallucination in Large Reasoning Models, 2025, arXiv 2505.12886.
    """
    if not len(scores.values):
        nothing = torch.zeros(0, len(NAMES), dtype=torch.float64)
        return DepthFeatures(nothing, scores.vocabulary, scores.layers, scores.unit)
    empty = ~scores.step_mask.any(1)
    if bool(empty.any()):
        raise ScorecraftError(
            f"reasoning depth: rollout {int(empty.nonzero()[0])} has no step and thus no features; leave it out"
        )
    limit = (tau or calibrate_threshold(scores)).of(scores)
    depth, surprise = (table.double().cpu().numpy() for table in (scores.values, perplexity))
    attended = None if attention is None else attention.double().cpu().numpy()
    rows = []
    for row, there in enumerate(scores.step_mask.cpu().numpy()):
        own = None if attended is None else attended[row][np.ix_(there, there)]
        rows.append(
            chain_features(depth[row][there], surprise[row][there], own, early=early, late_ratio=late_ratio, tau=limit)
        )
    return DepthFeatures(torch.tensor(np.stack(rows)), scores.vocabulary, scores.layers, scores.unit)
