"""Baselines and scales under which the correction of a noisy verifier's rewards survives."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.objectives.advantages import BaselineScale, no_baseline, rollout_advantages
from scorecraft.objectives.leave_one_out import leave_one_out

Correction = Literal["backward", "forward"]
ChannelBaseline = Literal["leave-one-out", "none", "ema"]
ChannelScale = Literal["none", "fixed", "ema", "clean-std"]


class Moments(NamedTuple):
    """Mean and population standard deviation of the rewards of one batch, or smoothed over batches."""

    mean: float
    deviation: float


def batch_moments(reward: Float32[Tensor, " rollout"], valid: Bool[Tensor, " rollout"]) -> Moments | None:
    """Return mean and deviation of the valid rewards, None where there are none.

    Args:
        reward: corrected reward.
        valid: which rollouts have one.
    """
    kept = reward[valid].double()
    return Moments(float(kept.mean()), float(kept.std(correction=0))) if len(kept) else None


def smoothed_moments(running: Moments | None, batch: Moments | None, smoothing: float) -> Moments | None:
    """Return ``(1 - smoothing) running + smoothing batch`` of both; the first batch is taken as it is.

    Args:
        running: over the batches so far, None before the first.
        batch: of this batch, None for an empty one, which changes nothing.
        smoothing: weight of a new batch, in (0, 1].
    """
    if running is None or batch is None:
        return batch or running
    return Moments(*((1 - smoothing) * old + smoothing * new for old, new in zip(running, batch, strict=True)))


def channel_baseline(
    reward: Float32[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"],
    *,
    kind: Correction = "backward",
    baseline: ChannelBaseline | None = None,
    scale: ChannelScale = "none",
    running: Moments | None = None,
    batch: Moments | None = None,
    fixed_scale: float = 1.0,
    min_scale: float = 0.1,
) -> BaselineScale:
    """Return the baseline and the scale of every rollout; arguments and errors as `channel_advantage`."""
    _check(kind, baseline, scale, fixed_scale, min_scale)
    found = batch or batch_moments(reward, valid)
    pair = no_baseline(valid)
    if (baseline or _default(kind)) == "leave-one-out":
        pair = leave_one_out(reward, group, valid)
    elif baseline == "ema" and running is not None:
        pair = pair._replace(baseline=torch.full_like(pair.baseline, running.mean))
    if scale == "none" or found is None:
        return pair
    if scale == "fixed":
        divisor = fixed_scale
    elif scale == "ema":
        divisor = max((running or found).deviation, min_scale)
    else:
        clean = min(max(found.mean, 0.0), 1.0)
        divisor = max((clean * (1 - clean)) ** 0.5, min_scale)
    return pair._replace(scale=pair.scale * divisor)


@implements("noisy-verifier")
def channel_advantage(
    reward: Float32[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"],
    *,
    kind: Correction = "backward",
    baseline: ChannelBaseline | None = None,
    scale: ChannelScale = "none",
    running: Moments | None = None,
    batch: Moments | None = None,
    fixed_scale: float = 1.0,
    min_scale: float = 0.1,
) -> Float32[Tensor, " rollout"]:
    """Return ``A = (corrected - baseline) / scale`` without taking the correction away again; 0 in invalid rows.

    It takes rewards that are corrected already (`scorecraft.rewards.noisy_verifier`), so that the rates stand in one
    place. Backward rewards may have the mean of the group's others as baseline, which keeps their expectation. Forward
    weights may not: it would take off exactly what they add. A baseline from earlier batches ("ema") is a constant and
    changes no expected gradient; where one rate holds for all prompts it comes to the raw verdicts with that baseline.
    A scale is one number for the batch, so that it cannot turn the gradient.

    Args:
        reward: corrected rewards, "backward" or "forward".
        group: the prompt that a rollout answers.
        valid: which rollouts have a reward.
        kind: how the rewards were corrected.
        baseline: "leave-one-out", "none", or "ema" for ``running.mean`` (0 before there is one); None for
            "leave-one-out" with backward rewards and "none" with forward weights.
        scale: "none"; "fixed" for ``fixed_scale``; "ema" for ``running.deviation`` (this batch's before there is one);
            "clean-std" for the true rewards' estimated deviation ``sqrt(p (1 - p))``, p the mean corrected reward
            clipped to [0, 1], backward rewards only.
        running: moments over earlier batches, see `smoothed_moments`.
        batch: moments of this batch where ``reward`` holds only a worker's share of it; None computes them.
        fixed_scale: above 0.
        min_scale: least divisor of "ema" and "clean-std", above 0.

    Raises `ScorecraftError` for forward weights with "leave-one-out" or "clean-std", unknown choices, or scales that
    are not above 0.

    Source: Reinforcement Learning with Verifiable yet Noisy Rewards under Imperfect Verifiers, 2025, arXiv 2510.00915;
    "clean-std" and ``min_scale`` are ours.
    """
    pair = channel_baseline(
        reward, group, valid, kind=kind, baseline=baseline, scale=scale, running=running, batch=batch,
        fixed_scale=fixed_scale, min_scale=min_scale,
    )  # fmt: skip
    return rollout_advantages(reward, *pair, valid)


def _default(kind: Correction) -> ChannelBaseline:
    return "leave-one-out" if kind == "backward" else "none"


def _check(
    kind: Correction, baseline: ChannelBaseline | None, scale: ChannelScale, fixed_scale: float, min_scale: float
) -> None:
    for name, value, known in (
        ("kind", kind, ("backward", "forward")),
        ("baseline", baseline or "none", ("leave-one-out", "none", "ema")),
        ("scale", scale, ("none", "fixed", "ema", "clean-std")),
    ):
        if value not in known:
            raise ScorecraftError(f"channel advantage: unknown {name} '{value}'; expected one of {', '.join(known)}")
    if kind == "forward" and baseline == "leave-one-out":
        raise ScorecraftError(
            "channel advantage: a baseline from the group's own rewards takes off exactly what forward weights add; "
            "take baseline 'none' or 'ema', or backward correction"
        )
    if kind == "forward" and scale == "clean-std":
        raise ScorecraftError(
            "channel advantage: forward weights do not say how many answers are right, so there is no clean standard "
            "deviation; take scale 'none', 'fixed' or 'ema', or backward correction"
        )
    for name, value in (("fixed_scale", fixed_scale), ("min_scale", min_scale)):
        if not 0 < value < float("inf"):
            raise ScorecraftError(f"channel advantage: {name} is {value:g}; expected a number above 0")
