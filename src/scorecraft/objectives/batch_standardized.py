"""REINFORCE++'s advantage: standardised over the whole batch instead of the group."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from scorecraft.objectives.advantages import BaselineScale, rollout_advantages


def batch_standardized(
    reward: Float32[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"],
    *,
    epsilon: float = 1e-8,
    ddof: int = 1,
) -> BaselineScale:
    """Return the mean reward of the batch as baseline, and its standard deviation plus ``epsilon`` as scale.

    Where the rewards do not differ at all, the scale is infinite: no advantage.

    Args:
        reward: total reward.
        valid: which rollouts have a reward; the others stay out of mean and deviation.
        epsilon: added to the standard deviation.
        ddof: 1 for the sample standard deviation, 0 for the population's.

    Source: Hu et al., 2025, REINFORCE++, arXiv 2501.03262.
    """
    return _constant(reward[valid].double(), len(reward), epsilon, ddof)


def batch_standardized_over_tokens(
    returns: Float32[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
    valid: Bool[Tensor, " rollout"],
    *,
    epsilon: float = 1e-8,
    ddof: int = 1,
) -> BaselineScale:
    """Return mean and standard deviation of the token returns, so that a long rollout counts more often.

    Args:
        returns: token returns from the credit part.
        mask: True where the policy sampled the token.
        valid: which rollouts have a reward.
        epsilon: added to the standard deviation.
        ddof: 1 for the sample standard deviation, 0 for the population's.

    Source: Hu et al., 2025, REINFORCE++, arXiv 2501.03262.
    """
    return _constant(returns[mask & valid[:, None]].double(), len(returns), epsilon, ddof)


def batch_standardized_advantages(
    reward: Float32[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"],
    *,
    epsilon: float = 1e-8,
    ddof: int = 1,
) -> Float32[Tensor, " rollout"]:
    """Return ``A[i] = (r[i] - mean(r)) / (std(r) + epsilon)`` over the batch, 0 in invalid rows.

    Args: as `batch_standardized`.

    Source: Hu et al., 2025, REINFORCE++, arXiv 2501.03262.
    """
    return rollout_advantages(reward, *batch_standardized(reward, valid, epsilon=epsilon, ddof=ddof), valid)


def _constant(values: Float64[Tensor, " value"], rollouts: int, epsilon: float, ddof: int) -> BaselineScale:
    count = len(values)
    mean = values.sum() / max(count, 1)
    spread = (((values - mean) ** 2).sum() / max(count - ddof, 1)).sqrt()
    scale = torch.where(spread > 0, spread + epsilon, torch.full_like(spread, float("inf")))
    return BaselineScale(mean.float().expand(rollouts), scale.float().expand(rollouts))
