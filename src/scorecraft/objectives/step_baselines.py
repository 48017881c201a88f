"""Leave-one-out advantages for returns that differ from token to token, with the three baselines of PURE."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.objectives.advantages import group_sum
from scorecraft.sampled import next_sampled_values

StepBaseline = Literal["verl", "token-mean", "step-mean"]


def token_rewards_of_returns(
    returns: Float32[Tensor, "rollout token"], mask: Bool[Tensor, "rollout token"]
) -> Float32[Tensor, "rollout token"]:
    """Return ``u[t] = G[t] - G[next sampled token]``: the rewards whose undiscounted sums the returns are.

    Args:
        returns: of every sampled token.
        mask: True where the policy sampled the token.
    """
    return (returns - next_sampled_values(returns, mask)) * mask


def reversed_sums(
    rewards: Float32[Tensor, "rollout token"], mask: Bool[Tensor, "rollout token"]
) -> Float32[Tensor, "rollout token"]:
    """Return ``G[t] = sum_{s>=t} u[s]`` on the mask, 0 off it.

    Args:
        rewards: of every token.
        mask: True where the policy sampled the token.
    """
    return rewards.flip(1).cumsum(1).flip(1) * mask


def masked_whiten(
    values: Float32[Tensor, "rollout token"], mask: Bool[Tensor, "rollout token"], epsilon: float = 1e-8
) -> Float32[Tensor, "rollout token"]:
    """Return ``(x - mean) / sqrt(var + epsilon)`` over all tokens of the mask, with the unbiased variance.

    A single token, or tokens that are all equal, give 0.

    Args:
        values: of every token.
        mask: which tokens count.
        epsilon: added to the variance.
    """
    count = int(mask.sum())
    if count < 2:
        return torch.zeros_like(values)
    # Sums in double precision, without a copy of the table in it.
    centred = values * mask
    centred.sub_(centred.sum(dtype=torch.float64).div_(count).float()).mul_(mask)
    variance = torch.linalg.vector_norm(centred, dtype=torch.float64) ** 2 / (count - 1)
    return centred.div_((variance + epsilon).sqrt().float())


def compared_returns(
    returns: Float32[Tensor, "rollout token"], mask: Bool[Tensor, "rollout token"], group: Int64[Tensor, " rollout"]
) -> Float32[Tensor, "rollout token"]:
    """Return ``(G[i,t] - b_i)`` on the mask, ``b_i = sum_{j!=i} sum_s G[j,s] / ((K - 1) L)``, L the padded width.

    Args:
        returns: of every token, 0 off the mask.
        mask: True where the policy sampled the token.
        group: the prompt that a rollout answers; every group has two rollouts or more.

    Source: Stop Summation, 2025, arXiv 2504.15275, its published implementation in verl.
    """
    everyone = torch.ones(len(group), dtype=torch.bool, device=group.device)
    total = returns.sum(1, dtype=torch.float64)
    count = group_sum(torch.ones_like(total), group, everyone) - 1
    mean = (group_sum(total, group, everyone) - total) / (count * max(mask.shape[1], 1))
    return (returns - mean.float()[:, None]).masked_fill_(~mask, 0.0)


@implements("min-form-credit")
def pure_advantages(
    token_rewards: Float32[Tensor, "rollout token"],
    response_mask: Bool[Tensor, "rollout token"],
    group_ids: Int64[Tensor, " rollout"],
    *,
    vr: Float32[Tensor, " rollout"] | None = None,
    has_answer: Bool[Tensor, " rollout"] | None = None,
    vr_coef: float = 1.0,
    baseline: StepBaseline = "verl",
    step_end: Bool[Tensor, "rollout token"] | None = None,
    whiten: bool = True,
    kl: Float32[Tensor, "rollout token"] | None = None,
    kl_coef: float = 1e-3,
) -> tuple[Float32[Tensor, "rollout token"], Float32[Tensor, "rollout token"]]:
    """Return the advantages and returns of K completions a prompt, each compared with the other K - 1.

    With token rewards u and returns ``G[i,t] = sum_{s>=t} u[i,s]``:
    "verl": ``A = G - b_i``, ``b_i = sum_{j!=i} sum_s G[j,s] / ((K - 1) L)``, L the padded width, with the
    verifiable reward and the KL penalty in u. "token-mean" (OpenRLHF): takes ``a_i = sum_{j!=i} R_j / sum_{j!=i}
    length_j`` off for every token of a step; "step-mean" takes ``mean_{j!=i} R_j / steps_j`` off every step, which
    favours fewer and longer steps. Both add the verifiable reward, centred by the others' mean, at the last token.

    Args:
        token_rewards: every step's (min-form) reward on its last token.
        response_mask: True where the policy sampled the token.
        group_ids: the prompt that a rollout answers.
        vr: verifiable reward of each rollout; None for none.
        has_answer: False where a prompt has no known answer, which makes its verifiable reward 0; None for all True.
        vr_coef: its weight.
        baseline: how the others' rewards are compared with.
        step_end: True on the last token of every step; needed by the two step baselines.
        whiten: whether the result is whitened over all tokens of the batch.
        kl: KL estimate of every token; None for no penalty.
        kl_coef: its weight.

    Raises `ScorecraftError` for a group of one, whose baseline would divide by 0, or a missing ``step_end``.

    Source: Stop Summation, 2025, arXiv 2504.15275, and its two published implementations.
    """
    if baseline not in ("verl", "token-mean", "step-mean"):
        raise ScorecraftError(f"unknown baseline '{baseline}'; expected 'verl', 'token-mean' or 'step-mean'")
    mask, rewards = response_mask, token_rewards.detach() * response_mask
    others = _others(group_ids)
    count = others.sum(1)
    if bool((count == 0).any()):
        row = int((count == 0).nonzero()[0, 0])
        raise ScorecraftError(
            f"leave-one-out over tokens: rollout {row} is alone in its group; it needs a group_size of 2 or more, "
            "or advantage 'none'"
        )
    verified = torch.zeros(len(group_ids), device=rewards.device) if vr is None else vr_coef * vr.detach().float()
    if has_answer is not None:
        verified = verified * has_answer
    penalty = 0.0 if kl is None else kl_coef * kl.detach() * mask
    at_last = _last_token(mask).float()
    if baseline == "verl":
        returns = reversed_sums(rewards + verified[:, None] * at_last - penalty, mask)
        advantages = compared_returns(returns, mask, group_ids)
    else:
        if step_end is None:
            raise ScorecraftError(f"baseline '{baseline}' needs step_end, the last token of every step")
        taken = _step_baseline(rewards, mask, others, count, baseline, step_end)
        centred = verified - others @ verified / count
        returns = reversed_sums(rewards + verified[:, None] * at_last - penalty, mask)
        # The penalty of a token counts from that token on, as all rewards do.
        advantages = reversed_sums(rewards - taken + centred[:, None] * at_last - penalty, mask)
    return (masked_whiten(advantages, mask) if whiten else advantages), returns


def _others(group: Tensor) -> Tensor:
    """Return ``[i, j]`` = 1 where j is another rollout of i's group."""
    same = group[:, None] == group[None, :]
    return (same & ~torch.eye(len(group), dtype=torch.bool, device=group.device)).float()


def _last_token(mask: Tensor) -> Tensor:
    later = mask.flip(1).cumsum(1).flip(1)
    return mask & (later == 1)


def _step_baseline(
    rewards: Tensor, mask: Tensor, others: Tensor, count: Tensor, baseline: StepBaseline, step_end: Tensor
) -> Tensor:
    """Return what is taken off at every step's last token."""
    ends = step_end & mask
    if baseline == "step-mean":
        steps = ends.sum(1).clamp(min=1)
        return (others @ (rewards.sum(1) / steps) / count)[:, None] * ends
    lengths = mask.sum(1).float()
    each = others @ rewards.sum(1) / (others @ lengths).clamp(min=1)
    sampled = mask.cumsum(1)
    # Tokens of a step: those sampled since the end of the one before.
    before = torch.where(ends, sampled, torch.zeros_like(sampled)).cummax(1).values
    before = torch.cat((torch.zeros_like(before[:, :1]), before[:, :-1]), dim=1)
    return each[:, None] * (sampled - before) * ends
