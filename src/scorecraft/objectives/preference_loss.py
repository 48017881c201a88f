"""Losses that learn from per-step credit: DPO on pairs cut at the pit, and its twin, advantage-weighted imitation."""

from __future__ import annotations

import math
import warnings

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn import functional as F

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning


@implements("per-step-advantage")
def per_step_dpo_loss(
    policy_chosen: Float32[Tensor, " pair"],
    policy_rejected: Float32[Tensor, " pair"],
    reference_chosen: Float32[Tensor, " pair"],
    reference_rejected: Float32[Tensor, " pair"],
    beta: float = 0.1,
    *,
    label_smoothing: float = 0.0,
    sft_coef: float = 0.0,
) -> tuple[Float32[Tensor, ""], Float32[Tensor, " pair"], Float32[Tensor, " pair"]]:
    """Return the DPO loss, a mean over pairs, and the implicit rewards of the chosen and rejected, without gradient.

    ``m = beta ((p_c - r_c) - (p_r - r_r))``,
    ``loss = mean(-(1 - e) log sigmoid(m) - e log sigmoid(-m) - sft_coef p_c)``, with e the label smoothing. Nothing
    here is per step: the pairs are. Log-probabilities are SUMS over the tokens after what both have in common
    (means over tokens would change the optimum).

    Args:
        policy_chosen: log-probability (nats) of each chosen text under the policy; its gradient is kept.
        policy_rejected: of each rejected text, cut at its pit.
        reference_chosen: under the reference, the policy that training started from.
        reference_rejected: the same of the rejected.
        beta: strength of the pull to the reference, positive; the paper's is not known.
        label_smoothing: e, the chance that a preference is the wrong way round, in [0, 0.5).
        sft_coef: weight of imitating the chosen texts, at least 0, by the sum of their log-probabilities.

    Raises `ScorecraftError` for options out of range, no pair, or log-probabilities that are not finite.

    Source: RL on Incorrect Synthetic Data, 2024, arXiv 2406.14532, eq. 3; Rafailov et al., 2023, Direct Preference
    Optimization, arXiv 2305.18290, eq. 7; the smoothed form: Mitchell, 2023, A note on DPO with noisy preferences.
    """
    _positive("per_step_dpo_loss", "beta", beta)
    if not 0 <= label_smoothing < 0.5:
        raise ScorecraftError(f"per_step_dpo_loss: expected label_smoothing in [0, 0.5), got {label_smoothing}")
    if not 0 <= sft_coef < math.inf:
        raise ScorecraftError(f"per_step_dpo_loss: expected an sft_coef of at least 0, got {sft_coef}")
    if len(policy_chosen) == 0:
        raise ScorecraftError("per_step_dpo_loss: expected at least one pair, got none")
    table = torch.stack((policy_chosen, policy_rejected, reference_chosen, reference_rejected)).detach()
    if not bool(torch.isfinite(table).all()):
        pair = int((~torch.isfinite(table)).any(0).nonzero()[0, 0])
        raise ScorecraftError(f"per_step_dpo_loss: a log-probability of pair {pair} is not finite")
    chosen, rejected = policy_chosen - reference_chosen, policy_rejected - reference_rejected
    margin = beta * (chosen - rejected)
    values = -(1 - label_smoothing) * F.logsigmoid(margin) - label_smoothing * F.logsigmoid(-margin)
    loss = (values - sft_coef * policy_chosen).mean()
    return loss, beta * chosen.detach(), beta * rejected.detach()


@implements("per-step-advantage")
def advantage_weighted_nll(
    step_logprobs: Float32[Tensor, "rollout step"],
    advantages: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    beta: float,
    clip: float = 20.0,
) -> Float32[Tensor, ""]:
    """Return ``mean over steps of -exp(A / beta) log p(step)``: imitation that counts good steps more.

    Args:
        step_logprobs: log-probability (nats) of each step, summed over its tokens.
        advantages: of each step; no gradient flows into them.
        step_mask: which steps exist.
        beta: temperature of the weights, positive.
        clip: largest exponent; above it the weight stays at ``exp(clip)``, and a warning says so.

    Raises `ScorecraftError` for a beta or clip that is not positive, no step at all, or numbers that are not finite.

    Source: RL on Incorrect Synthetic Data, 2024, arXiv 2406.14532, theorem 6.1.
    """
    _positive("advantage_weighted_nll", "beta", beta)
    _positive("advantage_weighted_nll", "clip", clip)
    if not bool(step_mask.any()):
        raise ScorecraftError("advantage_weighted_nll: expected at least one step, got none")
    for name, values in (("log-probability", step_logprobs), ("advantage", advantages)):
        bad = step_mask & ~torch.isfinite(values)
        if bool(bad.any()):
            row = int(bad.nonzero()[0, 0])
            raise ScorecraftError(f"advantage_weighted_nll: the {name} of a step of rollout {row} is not finite")
    exponent = advantages.detach()[step_mask] / beta
    if bool((exponent > clip).any()):
        warnings.warn(
            f"advantage_weighted_nll: an exponent A / beta of {float(exponent.max()):.3g} is cut at {clip:g}; "
            "a larger beta spreads the weight over more steps",
            ScorecraftWarning,
            stacklevel=2,
        )
    return -(exponent.clamp(max=clip).exp() * step_logprobs[step_mask]).mean()


@implements("per-step-advantage")
def advantage_weighted_optimum(
    reference_logprobs: Float32[Tensor, "state action"], advantages: Float32[Tensor, "state action"], beta: float
) -> Float32[Tensor, "state action"]:
    """Return ``pi*(a|s) = pi_ref(a|s) exp(A(s,a) / beta) / Z(s)``: where both losses lead.

    It is the minimum of `advantage_weighted_nll` over samples of the reference, and of `per_step_dpo_loss` over pairs
    that share their state and are won with probability ``sigmoid(A(chosen) - A(rejected))``.

    Args:
        reference_logprobs: log-probability of every action of every state; need not be normalised.
        advantages: of every action.
        beta: as in the losses, positive.

    Raises `ScorecraftError` for a beta that is not positive.

    Source: RL on Incorrect Synthetic Data, 2024, arXiv 2406.14532, theorem 6.1.
    """
    _positive("advantage_weighted_optimum", "beta", beta)
    return (reference_logprobs + advantages / beta).softmax(-1)


def _positive(function: str, name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ScorecraftError(f"{function}: expected a positive {name}, got {value}")
