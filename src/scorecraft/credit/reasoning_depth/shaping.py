"""GRPO-R: the clipped depth of steps as the potential of a shaping reward, and what is left of it in the returns."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, nearest

Align = Literal["own", "strict"]
Mode = Literal["return-to-go", "process-norm"]
ALPHA = 0.1 / math.log(2)  # for depths in nats: the deepest step that can be earns 0.1


@implements("reasoning-depth")
def clip_depth(
    depth: Float32[Tensor, "rollout step"], step_mask: Bool[Tensor, "rollout step"], alpha: float, tau: float
) -> Float32[Tensor, "rollout step"]:
    """Return ``D = alpha R`` where ``R <= tau``, 0 above it (overthinking does not pay) and where there is no step.

    Args:
        depth: R of the steps; detached.
        step_mask: which steps exist.
        alpha: reward for one unit of depth, at least 0.
        tau: the largest depth that pays, in the unit of ``depth``.

    Raises `ScorecraftError` for an alpha that is negative or not finite, a tau that is not a number, or depths of
    steps that are not finite.

    Source: Detection and Mitigation of Hallucination in Large Reasoning Models, 2025, arXiv 2505.12886.
    """
    if not 0 <= alpha < math.inf:
        raise ScorecraftError(f"clip_depth: expected an alpha of at least 0, got {alpha}")
    if math.isnan(tau):
        raise ScorecraftError("clip_depth: tau is not a number; expected the largest depth that pays")
    if not bool(torch.isfinite(depth[step_mask]).all()):
        raise ScorecraftError("clip_depth: the depth of a step is not finite")
    depth = depth.detach()
    return torch.where(step_mask & (depth <= tau), alpha * depth, torch.zeros_like(depth))


def depth_of_state(
    clipped: Float32[Tensor, "rollout step"], step_mask: Bool[Tensor, "rollout step"], align: Align = "own"
) -> Float32[Tensor, "rollout step"]:
    """Return the clipped depth that the state before each step stands for, 0 where there is no step.

    "own" takes that of the step about to be written, which is not known in that state; "strict" that of the last step
    written already, 0 before the first.

    Args:
        clipped: D of the steps.
        step_mask: which steps exist; a gap between them is no step.
        align: which step a state stands for.

    Raises `ScorecraftError` for an unknown alignment.
    """
    if align not in ("own", "strict"):
        raise ScorecraftError(f"reasoning depth: unknown align '{align}'; {nearest(align, ('own', 'strict'))}")
    own = clipped.detach().masked_fill(~step_mask, 0.0)
    if align == "own":
        return own
    count = own.shape[1]
    if count == 0:
        return own
    places = torch.arange(count, device=own.device).expand_as(step_mask)
    # The step at or before each place, moved on by one: place 0 of ``padded`` is the start, which has no depth.
    last = torch.where(step_mask, places + 1, torch.zeros_like(places)).cummax(1).values
    before = torch.cat((torch.zeros_like(last[:, :1]), last[:, :-1]), dim=1)
    padded = torch.cat((own.new_zeros(len(own), 1), own), dim=1)
    return padded.gather(1, before).masked_fill(~step_mask, 0.0)


@implements("reasoning-depth")
def shaping_rewards(
    clipped: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    gamma: float = 1.0,
    align: Align = "own",
) -> Float32[Tensor, "rollout step"]:
    """Return ``F_t = gamma Phi(s_{t+1}) - Phi(s_t) = D_t - gamma D_{t+1}``, with ``D = 0`` at the end.

    The potential at the end must be 0, or what is learned changes.

    Args:
        clipped: D of the steps.
        step_mask: which steps exist; a gap between them is no step.
        gamma: discount per step, in (0, 1].
        align: which step a state stands for; see `depth_of_state`.

    Raises `ScorecraftError` for a gamma outside (0, 1] or an unknown alignment.

    Source: Detection and Mitigation of Hallucination in Large Reasoning Models, 2025, arXiv 2505.12886; Ng, Harada and
    Russell, 1999, Policy invariance under reward transformations.
    """
    _check_gamma(gamma)
    depth = depth_of_state(clipped, step_mask, align)
    count = depth.shape[1]
    if count == 0:
        return depth
    places = torch.arange(count, device=depth.device).expand_as(step_mask)
    nearest_step = torch.where(step_mask, places, torch.full_like(places, count)).flip(1).cummin(1).values.flip(1)
    after = torch.cat((nearest_step[:, 1:], torch.full_like(nearest_step[:, :1], count)), dim=1)
    padded = torch.cat((depth, depth.new_zeros(len(depth), 1)), dim=1)
    return (depth - gamma * padded.gather(1, after)).masked_fill(~step_mask, 0.0)


def discounts_to_end(step_mask: Bool[Tensor, "rollout step"], gamma: float) -> Float32[Tensor, "rollout step"]:
    """Return ``gamma^(K - t)``: 1 at a rollout's last step, 0 where there is no step.

    Args:
        step_mask: which steps exist.
        gamma: discount per step, in (0, 1].
    """
    _check_gamma(gamma)
    ahead = step_mask.long().flip(1).cumsum(1).flip(1) - 1
    return torch.where(step_mask, gamma ** ahead.clamp(min=0).float(), torch.zeros(()).to(step_mask.device))


@implements("reasoning-depth")
def shaped_returns(
    outcome: Float32[Tensor, " rollout"],
    clipped: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    gamma: float = 1.0,
    align: Align = "own",
) -> Float32[Tensor, "rollout step"]:
    """Return ``G_t = gamma^(K-t) outcome + D_t``, the return of the shaped rewards, in which all else telescopes away.

    With align "own" D_t is the depth of the step itself, so depth is paid for and the best policy may change; with
    "strict" that of the step before, which the step cannot influence: the best policy stays, and so does the expected
    gradient.

    Args:
        outcome: reward of the rollout, paid at its last step.
        clipped: D of the steps.
        step_mask: which steps exist.
        gamma: discount per step, in (0, 1].
        align: which step a state stands for; see `depth_of_state`.

    Raises `ScorecraftError` for an outcome that is not finite, a gamma outside (0, 1] or an unknown alignment.

    Source: Detection and Mitigation of Hallucination in Large Reasoning Models, 2025, arXiv 2505.12886.
    """
    _check_outcome(outcome)
    return discounts_to_end(step_mask, gamma) * outcome.detach()[:, None] + depth_of_state(clipped, step_mask, align)


@implements("reasoning-depth")
def grpo_r_advantages(
    outcome: Float32[Tensor, " rollout"],
    depth: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    group: Int64[Tensor, " rollout"],
    *,
    tau: float,
    alpha: float = ALPHA,
    gamma: float = 1.0,
    align: Align = "own",
    mode: Mode = "return-to-go",
    epsilon: float = 1e-6,
) -> Float32[Tensor, "rollout step"]:
    """Return the advantage that all tokens of a step share, 0 where there is no step.

    "return-to-go": ``(G_t - mean) / (std + epsilon)`` of the returns over all steps of the group. "process-norm": the
    shaped rewards are standardised over all steps of the group and then summed from each step on, undiscounted, as
    process rewards are in GRPO; the telescoping is lost. The deviation is the sample's; a single step gets 0.

    Args:
        outcome: reward of the rollout.
        depth: R of the steps.
        step_mask: which steps exist.
        group: the prompt that a rollout answers.
        tau: the largest depth that pays.
        alpha: reward for one unit of depth; the default is for nats.
        gamma: discount per step, in (0, 1].
        align: which step a state stands for; see `shaped_returns`.
        mode: what is standardised.
        epsilon: added to the deviation.

    Raises `ScorecraftError` for an unknown align or mode, and as `clip_depth` and `shaped_returns` do.

    Source: Detection and Mitigation of Hallucination in Large Reasoning Models, 2025, arXiv 2505.12886.
    """
    if mode not in ("return-to-go", "process-norm"):
        known = ("return-to-go", "process-norm")
        raise ScorecraftError(f"grpo_r_advantages: unknown mode '{mode}'; {nearest(mode, known)}")
    clipped = clip_depth(depth, step_mask, alpha, tau)
    if mode == "return-to-go":
        returns = shaped_returns(outcome, clipped, step_mask, gamma, align)
        return _standardized(returns, step_mask, group, epsilon)
    _check_outcome(outcome)
    ahead = step_mask.long().flip(1).cumsum(1).flip(1)
    paid = torch.where(step_mask & (ahead == 1), outcome.detach()[:, None], torch.zeros_like(clipped))
    rewards = _standardized(paid + shaping_rewards(clipped, step_mask, gamma, align), step_mask, group, epsilon)
    return rewards.flip(1).cumsum(1).flip(1).masked_fill(~step_mask, 0.0)


def _standardized(values: Tensor, step_mask: Tensor, group: Tensor, epsilon: float) -> Tensor:
    """Return values less the mean over the sample deviation of all steps of their group; 0 for one step alone."""
    _, places = torch.unique(group, return_inverse=True)
    count = int(places.max()) + 1 if len(places) else 0
    exact = values.double().masked_fill(~step_mask, 0.0)

    def sums(of_rollouts: Tensor) -> Tensor:
        return torch.zeros(count, dtype=torch.float64, device=values.device).index_add(0, places, of_rollouts)

    steps = sums(step_mask.sum(1).double())
    centred = (exact - (sums(exact.sum(1)) / steps.clamp(min=1))[places][:, None]).masked_fill(~step_mask, 0.0)
    deviation = (sums(centred.square().sum(1)) / (steps - 1).clamp(min=1)).sqrt()
    return (centred / (deviation + epsilon)[places][:, None]).float()


def _check_outcome(outcome: Tensor) -> None:
    if not bool(torch.isfinite(outcome).all()):
        row = int((~torch.isfinite(outcome)).nonzero()[0])
        raise ScorecraftError(f"reasoning depth: the outcome of rollout {row} is {float(outcome[row])}; leave it out")


def _check_gamma(gamma: float) -> None:
    if not 0 < gamma <= 1:
        raise ScorecraftError(f"reasoning depth: expected a gamma in (0, 1], got {gamma}")
