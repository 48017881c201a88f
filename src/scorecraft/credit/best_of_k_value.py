"""The value of a prefix under the best of K continuations, estimated from counts of right ones."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.stats.pass_at_k import pass_at_k

Estimator = Literal["unbiased", "plugin"]


@implements("per-step-advantage")
def bok_success(
    correct: Int64[Tensor, "*prefix"], n: int, k: int = 5, estimator: Estimator = "unbiased"
) -> Float32[Tensor, "*prefix"]:
    """Return the estimated probability that the best of ``k`` continuations is right.

    "unbiased": ``Q = 1 - C(n - c, k) / C(n, k)``, which is pass@k. "plugin": ``Q = 1 - (1 - c / n)^k``, too low on
    average but defined for every n.

    Args:
        correct: c, how many of the n continuations of each prefix are right.
        n: continuations sampled from each prefix, at least 1 ("unbiased": at least k).
        k: size of the best-of-K policy whose value this is; the paper's is 5, and 1 gives the sampling policy's own.
        estimator: see above.

    Raises `ScorecraftError` for an unknown estimator, n or k below 1, n < k with "unbiased", or counts outside 0..n.

    Source: RL on Incorrect Synthetic Data, 2024, arXiv 2406.14532; Chen et al., 2021, arXiv 2107.03374, eq. 1.
    """
    if estimator not in ("unbiased", "plugin"):
        raise ScorecraftError(f"bok_success: unknown estimator '{estimator}'; expected 'unbiased' or 'plugin'")
    if n < 1 or k < 1:
        raise ScorecraftError(f"bok_success: expected n and k of at least 1, got n = {n} and k = {k}")
    if estimator == "unbiased" and n < k:
        raise ScorecraftError(
            f"bok_success: best of {k} from {n} continuations has no unbiased estimate; sample {k} or more, or take "
            "estimator 'plugin'"
        )
    if bool(((correct < 0) | (correct > n)).any()):
        raise ScorecraftError(f"bok_success: expected counts from 0 to {n}, got {correct.min()} to {correct.max()}")
    if estimator == "plugin":
        return (1 - (1 - correct.double() / n) ** k).float()
    values = pass_at_k(n, correct.cpu().numpy(), k)
    return torch.as_tensor(values, dtype=torch.float32, device=correct.device).reshape(correct.shape)


@implements("per-step-advantage")
def step_q_values(
    prefix_successes: Int64[Tensor, "rollout prefix"], n: int, k: int = 5, estimator: Estimator = "unbiased"
) -> tuple[Float32[Tensor, " rollout"], Float32[Tensor, "rollout step"]]:
    """Return the value of each bare prompt, ``V = Q(empty prefix)``, and of each step, ``Q_i = Q(y_1:i)``.

    The two are returned apart, since step tables have one column for each step.

    Args:
        prefix_successes: right continuations, out of n, of the prompt followed by the first 0, 1, ..., S steps.
        n: continuations sampled from each prefix.
        k: size of the best-of-K policy.
        estimator: as in `bok_success`.

    Raises `ScorecraftError` where there is no column for the empty prefix, and as `bok_success`.

    Source: RL on Incorrect Synthetic Data, 2024, arXiv 2406.14532.
    """
    if prefix_successes.shape[1] == 0:
        raise ScorecraftError("step_q_values: expected a first column for the empty prefix, got no column")
    values = bok_success(prefix_successes, n, k, estimator)
    return values[:, 0], values[:, 1:]
