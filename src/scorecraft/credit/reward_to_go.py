"""What is still to come at every step: sum, mean, minimum, soft minimum or maximum of the step rewards from it on."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.credit.discounting import discounted_sums_to_go
from scorecraft.errors import ScorecraftError

Form = Literal["sum", "mean", "min", "soft-min", "max"]
FORMS: tuple[Form, ...] = ("sum", "mean", "min", "soft-min", "max")


def reward_to_go(
    step_rewards: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    form: Form = "sum",
    *,
    gamma: float = 1.0,
    temperature: float = 0.1,
) -> Float32[Tensor, "rollout step"]:
    """Return the return of every step over the rewards of it and later ones, 0 where there is no step.

    "sum": ``sum_{k>=t} gamma^(k-t) r_k``. "mean": the plain mean of ``r_k, k >= t``. "min", "max": the least and the
    greatest. "soft-min": ``sum_{k>=t} w_k r_k`` with ``w = softmax(-r / T)`` over the steps from t on;
    `min_form_rewards` weighs over all steps of the completion instead, so that its returns add up.

    Args:
        step_rewards: reward of every step; not read where there is none.
        step_mask: which steps exist; a gap takes no time.
        form: how rewards become returns.
        gamma: discount per step of "sum", in (0, 1].
        temperature: T of "soft-min", above 0.

    Raises `ScorecraftError` for an unknown form, numbers outside their range, or a reward of a step that is not finite.

    Source: Sutton and Barto, 2018, Reinforcement Learning: An Introduction, chapter 3.3 (sum).
    """
    _check(step_rewards, step_mask, form, gamma, temperature)
    rewards = step_rewards.detach()
    if form == "sum":
        return discounted_sums_to_go(rewards.masked_fill(~step_mask, 0.0), step_mask, gamma)
    if form == "mean":
        kept = rewards.masked_fill(~step_mask, 0.0)
        count = step_mask.flip(1).cumsum(1).flip(1).clamp(min=1)
        found = kept.flip(1).cumsum(1).flip(1) / count
    elif form == "min":
        found = rewards.masked_fill(~step_mask, math.inf).flip(1).cummin(1).values.flip(1)
    elif form == "max":
        found = rewards.masked_fill(~step_mask, -math.inf).flip(1).cummax(1).values.flip(1)
    else:
        found = _soft_minimum(rewards, step_mask, temperature)
    return torch.where(step_mask, found, torch.zeros_like(found))


def _soft_minimum(rewards: Tensor, mask: Tensor, temperature: float) -> Tensor:
    if rewards.shape[1] == 0:
        return rewards
    exact = rewards.double().masked_fill(~mask, math.inf)
    least = exact.amin(1, keepdim=True)
    # A row without a step would be a difference of infinities.
    least = torch.where(least.isinf(), torch.zeros_like(least), least)
    weight = (-(exact - least) / temperature).flip(1)
    above = (exact - least).masked_fill(~mask, 0.0).flip(1)
    total = weight.logcumsumexp(1)
    found = (weight + above.log()).logcumsumexp(1)
    return ((found - total).exp().flip(1) + least).float()


def _check(rewards: Tensor, mask: Tensor, form: str, gamma: float, temperature: float) -> None:
    if form not in FORMS:
        raise ScorecraftError(f"reward_to_go: unknown form '{form}'; expected {', '.join(FORMS)}")
    if not 0 < gamma <= 1:
        raise ScorecraftError(f"reward_to_go: expected a gamma in (0, 1], got {gamma}")
    if not 0 < temperature < math.inf:
        raise ScorecraftError(f"reward_to_go: expected a positive temperature, got {temperature}")
    bad = mask & ~torch.isfinite(rewards)
    if bool(bad.any()):
        row, step = bad.nonzero()[0].tolist()
        raise ScorecraftError(f"reward_to_go: the reward of step {step} of rollout {row} is {rewards[row, step]:g}")
