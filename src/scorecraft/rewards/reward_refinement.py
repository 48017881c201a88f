"""Clip and Delta: process rewards refined so that no trajectory earns without bound."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning

Refinement = Literal["naive", "length-normalized", "clip", "delta", "clip-delta"]
REFINEMENTS: tuple[Refinement, ...] = ("naive", "length-normalized", "clip", "delta", "clip-delta")


@implements("reward-refinement")
def pr_clip(
    step_rewards: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"] | None = None,
    *,
    eta: float,
    reward_range: tuple[float, float] = (0.0, 1.0),
) -> Float32[Tensor, "rollout step"]:
    """Return ``r_k = min(rho_k - eta, 0)``: most steps earn nothing and bad ones lose, so more steps never pay.

    Args:
        step_rewards: rho, what the process reward model says of the solution up to each step.
        step_mask: which steps exist, the first ones of each row; None for all.
        eta: what a step must reach to cost nothing. The paper's is not known; see `eta_from_quantile`.
        reward_range: lowest and highest reward that the model can give, (0, 1) unless it hands out logits.

    Raises `ScorecraftError` for an eta that is not finite, a reward of a step that is not finite, or steps after a
    gap. Warns of an eta outside the model's range, where clipping does nothing or takes the same off every step.

    Source: On Designing Effective RL Reward at Training Time for LLM Reasoning, 2024, arXiv 2410.15115.
    """
    if not math.isfinite(eta):
        raise ScorecraftError(f"pr_clip: expected a finite eta, got {eta}")
    low, high = reward_range
    if not low <= eta <= high:
        effect = "no step ever loses anything" if eta < low else "every step loses, so the shortest answer is best"
        warnings.warn(
            f"pr_clip: eta {eta:g} is outside the model's range of {low:g} to {high:g}: {effect}",
            ScorecraftWarning,
            stacklevel=2,
        )
    rewards, mask = _real_steps(step_rewards, step_mask)
    clipped = (rewards - eta).clamp(max=0.0)
    return torch.where(mask, clipped, torch.zeros_like(clipped))


@implements("reward-refinement")
def pr_delta(
    step_rewards: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"] | None = None,
    *,
    discount: float = 1.0,
) -> Float32[Tensor, "rollout step"]:
    """Return the differences of step rewards, whose sum from any step on is that step's own reward.

    ``r_k = rho_k - rho_(k+1)`` for k < K - 1, ``r_(K-1) = rho_(K-1)``, ``r_K = 0``: the last step is judged by
    success. The return from step k < K is rho_k, whatever follows. So it works step by step: as a sum over the whole
    solution nothing is left of it but the first step's reward. The sign is opposite to potential-based shaping.

    Args:
        step_rewards: see `pr_clip`; where they leave [0, 1], the bound of the return is the largest of them.
        step_mask: see `pr_clip`.
        discount: of the returns that these rewards will be summed to; the sum telescopes only at 1.

    Raises `ScorecraftError` for a reward of a step that is not finite, steps after a gap, or a discount outside
    (0, 1]. Warns of a discount below 1.

    Source: On Designing Effective RL Reward at Training Time for LLM Reasoning, 2024, arXiv 2410.15115.
    """
    if not 0 < discount <= 1:
        raise ScorecraftError(f"pr_delta: expected a discount in (0, 1], got {discount}")
    if discount < 1:
        warnings.warn(
            f"pr_delta: with a discount of {discount:g} the differences do not add up to a step's own reward, and the "
            "return is not bounded by one step's; take a discount of 1",
            ScorecraftWarning,
            stacklevel=2,
        )
    rewards, mask = _real_steps(step_rewards, step_mask)
    padding = torch.zeros_like(mask[:, :1])
    has_next = torch.cat((mask[:, 1:], padding), dim=1)
    last_but_one = has_next & ~torch.cat((has_next[:, 1:], padding), dim=1)
    following = torch.cat((rewards[:, 1:], torch.zeros_like(rewards[:, :1])), dim=1)
    differences = torch.where(last_but_one, rewards, rewards - following)
    return torch.where(has_next, differences, torch.zeros_like(differences))


@implements("reward-refinement")
def pr_clip_delta(
    step_rewards: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"] | None = None,
    *,
    eta: float,
    reward_range: tuple[float, float] = (0.0, 1.0),
    discount: float = 1.0,
) -> Float32[Tensor, "rollout step"]:
    """Return `pr_delta` of `pr_clip`: the return from step k < K is ``min(rho_k - eta, 0)``.

    Clip alone adds up the losses of bad steps, and Delta alone still pays for every well-scored step that is chosen;
    this does neither, and is the paper's best.

    Args:
        step_rewards: see `pr_clip`.
        step_mask: see `pr_clip`.
        eta: see `pr_clip`.
        reward_range: see `pr_clip`.
        discount: see `pr_delta`.

    Raises and warns as `pr_clip` and `pr_delta`.

    Source: On Designing Effective RL Reward at Training Time for LLM Reasoning, 2024, arXiv 2410.15115.
    """
    return pr_delta(pr_clip(step_rewards, step_mask, eta=eta, reward_range=reward_range), step_mask, discount=discount)


@implements("reward-refinement")
def pr_length_normalized(
    step_rewards: Float32[Tensor, "rollout step"], step_mask: Bool[Tensor, "rollout step"] | None = None
) -> Float32[Tensor, "rollout step"]:
    """Return ``rho_k / K``, whose sum is the mean: bounded, but the authors found that it does not stop farming.

    Args:
        step_rewards: see `pr_clip`.
        step_mask: see `pr_clip`.

    Raises as `pr_clip`.

    Source: On Designing Effective RL Reward at Training Time for LLM Reasoning, 2024, arXiv 2410.15115.
    """
    rewards, mask = _real_steps(step_rewards, step_mask)
    return rewards / mask.sum(1, keepdim=True).clamp(min=1)


@implements("reward-refinement")
def process_return_bound(kind: Refinement, r_max: float, eta: float | None = None) -> float:
    """Return the most that refined step rewards can add up to from any step on, over solutions of any length.

    naive: without bound where a step can earn anything. length-normalized and delta: one step's reward, r_max. clip
    and clip-delta: 0, whatever the model's range. A solution without steps earns 0, so no bound is below that.

    Args:
        kind: the refinement.
        r_max: the model's largest reward.
        eta: the threshold of the two that clip.

    Raises `ScorecraftError` for an unknown kind, an r_max that is not finite, or a missing or superfluous eta.
    """
    if kind not in REFINEMENTS:
        raise ScorecraftError(f"unknown refinement '{kind}'; expected one of {', '.join(REFINEMENTS)}")
    if not math.isfinite(r_max):
        raise ScorecraftError(f"process_return_bound: expected a finite r_max, got {r_max}")
    clips = kind in ("clip", "clip-delta")
    if clips != (eta is not None):
        raise ScorecraftError("process_return_bound: give eta with 'clip' and 'clip-delta', and only then")
    if clips:
        return 0.0
    if kind == "naive":
        return math.inf if r_max > 0 else 0.0
    return max(r_max, 0.0)


@implements("reward-refinement")
def eta_from_quantile(
    step_rewards: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"] | None = None,
    q: float = 0.5,
) -> float:
    """Return the q-quantile of the step rewards of the reference policy's solutions, as an eta to start from.

    The share q of its steps then loses something. 0.5 to 0.8 is a range to start with; the paper's values are not
    known.

    Args:
        step_rewards: of solutions of the policy before training.
        step_mask: see `pr_clip`.
        q: in [0, 1].

    Raises `ScorecraftError` for a q outside [0, 1], no steps at all, and as `pr_clip`.
    """
    if not 0 <= q <= 1:
        raise ScorecraftError(f"eta_from_quantile: expected a q in [0, 1], got {q}")
    rewards, mask = _real_steps(step_rewards, step_mask)
    if not bool(mask.any()):
        raise ScorecraftError("eta_from_quantile: there is no step to take a quantile of")
    # Not torch.quantile: it refuses more than 16 million numbers.
    ordered = rewards[mask].double().sort().values
    place = q * (len(ordered) - 1)
    low, high = math.floor(place), math.ceil(place)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


def _real_steps(step_rewards: Tensor, step_mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the rewards with 0 where there is no step, whatever stood there, and the mask."""
    mask = torch.ones_like(step_rewards, dtype=torch.bool) if step_mask is None else step_mask
    gap = mask[:, 1:] & ~mask[:, :-1]
    if bool(gap.any()):
        row = int(gap.any(1).nonzero()[0, 0])
        raise ScorecraftError(f"rollout {row} has a step after a gap; expected its steps in the first columns")
    rewards = step_rewards.detach()
    bad = mask & ~torch.isfinite(rewards)
    if bool(bad.any()):
        row, step = bad.nonzero()[0].tolist()
        raise ScorecraftError(f"the reward of step {step} of rollout {row} is {float(rewards[row, step])}")
    return torch.where(mask, rewards, torch.zeros_like(rewards)), mask
