"""Estimates of the KL divergence from log-probabilities of sampled tokens."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float32
from torch import Tensor

from scorecraft.errors import ScorecraftError

KLEstimator = Literal["k1", "k2", "k3"]

# exp(20) is 5e8, far outside any clipping range: beyond it exp and its gradient only threaten to overflow.
LARGEST_LOG_RATIO = 20.0


def kl_penalty(
    logprobs: Float32[Tensor, "rollout token"],
    reference: Float32[Tensor, "rollout token"],
    estimator: KLEstimator = "k3",
) -> Float32[Tensor, "rollout token"]:
    """Return an estimate of KL(policy || reference) at every token, for tokens the policy sampled.

    With ``d = reference - logprobs``: k1 = ``-d``, k2 = ``d^2 / 2``, k3 = ``exp(d) - d - 1``. In expectation k1 and
    k3 are the divergence; the gradient of k2, not of k1 or k3, is the divergence's. Differentiable in both.

    Args:
        logprobs: under the policy that sampled (nats).
        reference: under the reference policy (nats).
        estimator: "k1" (may be negative), "k2" or "k3"; in k3 ``d`` is cut at 20.

    Raises `ScorecraftError` for an unknown estimator.

    Source: Schulman, 2020, Approximating KL Divergence, joschu.net/blog/kl-approx.html.
    """
    difference = reference - logprobs
    if estimator == "k1":
        return -difference
    if estimator == "k2":
        return 0.5 * difference**2
    if estimator == "k3":
        difference = difference.clamp(max=LARGEST_LOG_RATIO)
        return difference.expm1() - difference
    raise ScorecraftError(f"unknown KL estimator '{estimator}'; expected 'k1', 'k2' or 'k3'")
