"""Jensen-Shannon divergence of distributions that are given as log-probabilities."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from scorecraft.catalog import implements

# exp of it is 0 in every precision, and 0 times it is 0, unlike 0 times the logarithm of 0.
_LOG_ZERO = -1e4


@implements("reasoning-depth")
def js_divergence(
    logp: Float[Tensor, "*batch vocabulary"],
    logq: Float[Tensor, "*batch vocabulary"],
    reduce: Literal["sum", "mean"] = "sum",
) -> Float[Tensor, "*batch"]:
    """Return ``KL(p || m) / 2 + KL(q || m) / 2`` with ``m = (p + q) / 2``, in nats, within [0, ln 2].

    A logarithm that is not a number makes the divergence not a number.

    Args:
        logp: log-probabilities; minus infinity for an impossible token.
        logq: the same of the other distribution.
        reduce: "sum" over the vocabulary, the divergence itself, or its "mean", which is that by the vocabulary's size.

    Source: Lin, 1991, Divergence measures based on the Shannon entropy.
    """
    logp, logq = logp.clamp(min=_LOG_ZERO), logq.clamp(min=_LOG_ZERO)
    p, q = logp.exp(), logq.exp()
    log_mean = ((p + q) / 2).clamp(min=torch.finfo(p.dtype).tiny).log()
    # Token by token, not as a difference of entropies, which loses half the digits of near distributions.
    total = (p * (logp - log_mean) + q * (logq - log_mean)).sum(-1).clamp(min=0) / 2
    return total / logp.shape[-1] if reduce == "mean" else total
