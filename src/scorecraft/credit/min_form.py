"""Min-form credit: the value of a reasoning state is the minimum, not the sum, of the step rewards still to come."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.credit.reward_to_go import reward_to_go
from scorecraft.errors import ScorecraftError, ScorecraftWarning

Form = Literal["sum", "softmin", "strict-min"]
Compat = Literal["pure"]


def prm_logits_to_reward(
    logits: Float32[Tensor, "rollout step 2"], step_mask: Bool[Tensor, "rollout step"]
) -> Float32[Tensor, "rollout step"]:
    """Return ``r = softmax(l)[good] - softmax(l)[bad]`` in [-1, 1], 0 where there is no step.

    Args:
        logits: of the two classes (bad, good).
        step_mask: which steps exist.

    Raises `ScorecraftError` for logits of a step that are not finite.

    Source: Stop Summation, 2025, arXiv 2504.15275.
    """
    if not bool(torch.isfinite(logits[step_mask]).all()):
        raise ScorecraftError("prm_logits_to_reward: a step has logits that are not finite")
    share = torch.nan_to_num(logits.detach()).softmax(-1)
    return torch.where(step_mask, share[..., 1] - share[..., 0], torch.zeros_like(share[..., 0]))


@implements("min-form-credit")
def min_form_weights(
    step_rewards: Float32[Tensor, "rollout step"], step_mask: Bool[Tensor, "rollout step"], temperature: float = 0.1
) -> Float32[Tensor, "rollout step"]:
    """Return ``w_t = exp(-r_t / T) / sum_k exp(-r_k / T)``: rows sum to 1 over their steps; 0 in rows without a step.

    Args:
        step_rewards: reward of every step; a range of [-1, 1] keeps returns within it.
        step_mask: which steps exist.
        temperature: T > 0; towards 0 all weight is on the worst step, towards infinity it is even.

    Raises `ScorecraftError` for a temperature that is not positive and finite, or step rewards that are not finite.

    Source: Stop Summation, 2025, arXiv 2504.15275.
    """
    if not temperature > 0 or math.isinf(temperature):
        raise ScorecraftError(
            f"min-form: expected a positive temperature, got {temperature}; for the limit of 0 use form='strict-min'"
        )
    rewards = step_rewards.detach()
    if not bool(torch.isfinite(rewards[step_mask]).all()):
        raise ScorecraftError("min-form: a step reward is not finite")
    if bool((rewards[step_mask].abs() > 1).any()):
        warnings.warn(
            "min-form: step rewards outside [-1, 1]; returns are then not bound to that range",
            ScorecraftWarning,
            stacklevel=2,
        )
    scores = (-rewards / temperature).masked_fill(~step_mask, float("-inf"))
    # A row without a step would be a softmax over nothing.
    scores = torch.where(step_mask.any(1, keepdim=True), scores, torch.zeros_like(scores))
    return scores.softmax(1) * step_mask


@implements("min-form-credit")
def min_form_rewards(
    step_rewards: Float32[Tensor, "rollout step"], step_mask: Bool[Tensor, "rollout step"], temperature: float = 0.1
) -> Float32[Tensor, "rollout step"]:
    """Return ``r*_t = w_t r_t``, whose sum over the steps is their soft minimum.

    Args:
        step_rewards: reward of every step.
        step_mask: which steps exist.
        temperature: of the soft minimum.

    Source: Stop Summation, 2025, arXiv 2504.15275.
    """
    weights = min_form_weights(step_rewards, step_mask, temperature)
    return weights * step_rewards.detach().masked_fill(~step_mask, 0.0)


@implements("min-form-credit")
def step_returns(
    step_rewards: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    form: Form = "softmin",
    gamma: float = 1.0,
    temperature: float = 0.1,
    compat: Compat | None = None,
) -> Float32[Tensor, "rollout step"]:
    """Return the return of every step, 0 where there is none.

    "softmin": ``G_t = sum_{k>=t} gamma^(k-t) r*_k`` of the min-form rewards. "sum": the same of the rewards as they
    are. "strict-min": ``G_t = min_{k>=t} r_k``, the minimum over steps, never over the zeros between them.

    Args:
        step_rewards: reward of every step.
        step_mask: which steps exist.
        form: how rewards become returns.
        gamma: discount per step, in (0, 1]; not used by "strict-min".
        temperature: of the soft minimum.
        compat: "pure" gives "strict-min" as the published code does: its minimum runs over tokens, those between steps
            with their 0 among them, so that no return is above 0.

    Raises `ScorecraftError` for an unknown form or compat, or a gamma outside (0, 1].

    Source: Stop Summation, 2025, arXiv 2504.15275.
    """
    if form not in ("sum", "softmin", "strict-min"):
        raise ScorecraftError(f"min-form: unknown form '{form}'; expected 'softmin', 'sum' or 'strict-min'")
    if not 0 < gamma <= 1:
        raise ScorecraftError(f"min-form: expected a gamma in (0, 1], got {gamma}")
    if compat not in (None, "pure"):
        raise ScorecraftError(f"min-form: unknown compat '{compat}'; expected None or 'pure'")
    if form == "strict-min":
        least = reward_to_go(step_rewards, step_mask, "min")
        return least.clamp(max=0.0) if compat == "pure" else least
    rewards = min_form_rewards(step_rewards, step_mask, temperature) if form == "softmin" else step_rewards.detach()
    return reward_to_go(rewards, step_mask, "sum", gamma=gamma)


def scatter_step_rewards(
    step_rewards: Float32[Tensor, "rollout step"],
    step_end: Int64[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    length: int,
) -> Float32[Tensor, "rollout token"]:
    """Return token rewards: every step's reward on its last token, 0 on all others.

    Args:
        step_rewards: reward of every step.
        step_end: column of every step's last token, increasing within a row.
        step_mask: which steps exist.
        length: number of token columns.

    Raises `ScorecraftError`, naming the row, for ends that lie outside the columns or do not increase.
    """
    for row in range(len(step_end)):
        ends = step_end[row][step_mask[row]]
        if bool(((ends < 0) | (ends >= length)).any()):
            raise ScorecraftError(f"row {row}: step ends {ends.tolist()} lie outside the {length} token columns")
        if bool((ends.diff() <= 0).any()):
            raise ScorecraftError(f"row {row}: step ends {ends.tolist()} do not increase")
    out = torch.zeros(len(step_rewards), length, dtype=torch.float32, device=step_rewards.device)
    ends = step_end.masked_fill(~step_mask, 0)
    return out.scatter_add(1, ends, step_rewards.detach().masked_fill(~step_mask, 0.0))


def token_returns_of_steps(
    returns: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    steps: Int64[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
) -> Float32[Tensor, "rollout token"]:
    """Return at every sampled token the return of its step, or, between steps, of the next one; 0 after the last.

    Args:
        returns: of every step.
        step_mask: which steps exist.
        steps: index of the step that a token is in, -1 outside any.
        mask: True where the policy sampled the token.
    """
    count = returns.shape[1]
    if count == 0:
        return torch.zeros(mask.shape, dtype=torch.float32, device=mask.device)
    # A step without a reward hands on to the next one that has one; after the last there is nothing.
    places = torch.arange(count, device=returns.device).expand_as(step_mask)
    following = torch.where(step_mask, places, torch.full_like(places, count)).flip(1).cummin(1).values.flip(1)
    padded = torch.cat((returns, returns.new_zeros(len(returns), 1)), dim=1)
    values = torch.cat((padded.gather(1, following), padded[:, -1:]), dim=1)
    # The nearest step at or after each token: steps only grow along a completion. Small numbers are quicker to move.
    small = steps.to(torch.int32)
    small.masked_fill_(small < 0, count).clamp_(max=count)
    index = small.flip(1).cummin(1).values.flip(1).long()
    return values.gather(1, index).mul_(mask)
