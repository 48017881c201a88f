"""Signal to noise of a policy gradient: which reward tells the same frozen policy more clearly where to go."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError


@dataclass(frozen=True, slots=True)
class SignalToNoise:
    """The size of a gradient estimate's mean against its spread.

    signal: ``|E g|^2``, estimated without bias, so it may fall below 0 where there is none. noise: ``tr Var g``.
    ratio: signal / noise; 0 where the gradient is always 0.
    """

    signal: float
    noise: float

    @property
    def ratio(self) -> float:
        """Signal divided by noise."""
        if self.noise > 0:
            return self.signal / self.noise
        return math.inf if self.signal > 0 else 0.0


@implements("sweet-spot")
def signal_to_noise(gradients: Float[Tensor, "draw parameter"]) -> SignalToNoise:
    """Return ``|E g|^2`` and ``tr Var g`` of independent gradient estimates.

    ``|mean g|^2`` is too large by ``tr Var g / n`` on average, which is taken off.

    Args:
        gradients: one estimate of the same gradient a row, at least two.

    Raises `ScorecraftError` for fewer than two draws, or gradients that are not finite.
    """
    if len(gradients) < 2:
        raise ScorecraftError(f"signal_to_noise: expected at least 2 gradients, got {len(gradients)}")
    if not bool(torch.isfinite(gradients).all()):
        raise ScorecraftError("signal_to_noise: a gradient is not finite")
    values = gradients.double()
    noise = float(values.var(0).sum())
    return SignalToNoise(float((values.mean(0) ** 2).sum()) - noise / len(values), noise)


@implements("sweet-spot")
def ssl_snr(
    advantage_fn: Callable[[Float64[Tensor, "draw rollout"]], Float64[Tensor, "draw rollout"]],
    rewards: Mapping[str, Float64[Tensor, "draw rollout"]],
    scores: Float64[Tensor, "draw rollout parameter"],
) -> dict[str, SignalToNoise]:
    """Return the signal to noise of ``g = mean_i A_i grad log p_i`` for several rewards of the same groups.

    Args:
        advantage_fn: rewards to advantages, group by group (a row is a group).
        rewards: by name, the rewards of every resampled group.
        scores: ``grad log p`` of every rollout; the policy is frozen, so they are common to all rewards.

    Raises `ScorecraftError` as `signal_to_noise`.

    Source: SSL: Sweet Spot Learning, 2026, arXiv 2601.22491.
    """
    return {
        name: signal_to_noise((advantage_fn(reward)[:, :, None] * scores).mean(1)) for name, reward in rewards.items()
    }
