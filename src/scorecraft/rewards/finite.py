"""Scores from values that may be infinite, as log-probabilities of impossible tokens are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float32
from torch import Tensor

from scorecraft.problem import Outcome
from scorecraft.scores import Scores


def finite_scores(values: Float32[Tensor, " rollout"], metrics: Mapping[str, Float32[Tensor, " rollout"]]) -> Scores:
    """Return values as scores; one that is not finite is an `Outcome.ERROR`, and counted in the metric "infinite".

    Args:
        values: one for each rollout.
        metrics: what was measured beside them.
    """
    finite = values.isfinite()
    outcomes = tuple(Outcome.SCORED if each else Outcome.ERROR for each in finite.tolist())
    kept = torch.where(finite, values, torch.full_like(values, float("nan")))
    return Scores(kept, outcomes, metrics={**metrics, "infinite": (~finite).float()})
