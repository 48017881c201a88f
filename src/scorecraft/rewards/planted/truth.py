"""A planted reward keeps its truth beside it, so that hacking is a number: proxy minus true reward."""

from __future__ import annotations

import torch
from jaxtyping import Float32
from torch import Tensor

from scorecraft.scores import Scores


def beside_truth(proxy: Float32[Tensor, " rollout"], true: Scores) -> Scores:
    """Return the flawed values as scores, the true ones in the metric "true"; no value where there is no truth.

    Args:
        proxy: what the flawed reward says.
        true: what is so.
    """
    unknown = true.values.isnan()
    values = torch.where(unknown, true.values, proxy)
    return Scores(values, true.outcomes, metrics={**true.metrics, "true": true.values})
