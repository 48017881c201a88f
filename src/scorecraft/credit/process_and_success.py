"""Process rewards and success as one reward a token: every step's on its last token, success at the end."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.credit.min_form import scatter_step_rewards
from scorecraft.errors import ScorecraftError


@implements("reward-refinement")
def combine_process_and_success(
    step_rewards: Float32[Tensor, "rollout step"],
    success: Float32[Tensor, " rollout"],
    *,
    step_end: Int64[Tensor, "rollout step"],
    length: int,
    alpha: float = 0.1,
    step_mask: Bool[Tensor, "rollout step"] | None = None,
    last_token: Int64[Tensor, " rollout"] | None = None,
) -> Float32[Tensor, "rollout token"]:
    """Return token rewards that add up to ``alpha sum_k r_k + success``, 0 on tokens that end no step.

    Args:
        step_rewards: (refined) reward of every step.
        success: 0 or 1, or another outcome reward.
        step_end: column of every step's last token, increasing within a row.
        length: number of token columns.
        alpha: weight of the process rewards, at least 0 and small beside 1; the paper's is not known.
        step_mask: which steps exist; None for all.
        last_token: column of each row's last token, which earns the success; None for the end of the last step.

    Raises `ScorecraftError` for ends outside the columns or out of order, a negative alpha, and rows without a step
    where ``last_token`` is not given.

    Source: On Designing Effective RL Reward at Training Time for LLM Reasoning, 2024, arXiv 2410.15115.
    """
    if not 0 <= alpha < float("inf"):
        raise ScorecraftError(f"combine_process_and_success: expected an alpha of at least 0, got {alpha}")
    mask = torch.ones_like(step_rewards, dtype=torch.bool) if step_mask is None else step_mask
    out = alpha * scatter_step_rewards(step_rewards, step_end, mask, length)
    if last_token is None:
        if not bool(mask.any(1).all()):
            row = int((~mask.any(1)).nonzero()[0, 0])
            raise ScorecraftError(
                f"row {row} has no step whose end could earn the success; say where answers end by last_token"
            )
        last_token = step_end.masked_fill(~mask, -1).amax(1) if len(mask) else step_end.new_zeros(0)
    outside = (last_token < 0) | (last_token >= length)
    if bool(outside.any()):
        row = int(outside.nonzero()[0, 0])
        raise ScorecraftError(f"row {row}: last token {int(last_token[row])} lies outside the {length} token columns")
    return out.scatter_add(1, last_token[:, None], success.detach().float()[:, None])
