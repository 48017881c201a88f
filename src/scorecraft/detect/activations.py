"""Changes to the features that go into a last linear layer, after which a score of the logits tells more."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scorecraft.detect.distances import check_finite
from scorecraft.errors import ScorecraftError

Contribution = Literal["signed", "absolute"]


def react_threshold(features: Float[Tensor, "row ..."], percentile: float = 90.0) -> float:
    """Return ReAct's c, a percentile of all activations of training inputs, interpolated linearly.

    Args:
        features: of training inputs.
        percentile: in [0, 100].

    Raises `ScorecraftError` for no features, one that is not finite, or a percentile outside [0, 100].
    """
    _check_percentile("react_threshold", percentile)
    if not features.numel():
        raise ScorecraftError("react_threshold: expected features of at least one training input")
    check_finite("react_threshold", features)
    # NumPy's percentile: torch's quantile takes no more than 16 million numbers.
    return float(np.percentile(features.detach().float().cpu().numpy(), percentile))


def react(features: Float[Tensor, "row ..."], threshold: float) -> Float[Tensor, "row ..."]:
    """Return the features clipped from above, ``min(h, c)``.

    Args:
        features: h.
        threshold: c, see `react_threshold`.

    Source: ReAct: Out-of-distribution Detection With Rectified Activations, 2021, arXiv 2111.12797.
    """
    return features.clamp(max=threshold)


def dice_mask(
    weight: Float[Tensor, "class feature"],
    mean_features: Float[Tensor, " feature"],
    percentile: float = 90.0,
    contribution: Contribution = "signed",
) -> Bool[Tensor, "class feature"]:
    """Return which weights of a last layer DICE keeps: those whose mean contribution is above a percentile of all.

    ``V_cj = w_cj * mean(h_j)``, kept where ``V > percentile(V)``.

    Args:
        weight: w, of the last linear layer.
        mean_features: mean of the features of training inputs.
        percentile: in [0, 100].
        contribution: "signed" as in the paper of DICE; "absolute" for the size of V.

    Raises `ScorecraftError` for a percentile outside [0, 100], another contribution and features that are not finite.

    Source: DICE: Leveraging Sparsification for Out-of-Distribution Detection, 2022, arXiv 2111.09805.
    """
    _check_percentile("dice_mask", percentile)
    if contribution not in get_args(Contribution):
        raise ScorecraftError(f"contribution: expected 'signed' or 'absolute', got {contribution!r}")
    check_finite("dice_mask", mean_features)
    parts = weight.detach() * mean_features.to(weight)
    parts = parts.abs() if contribution == "absolute" else parts
    return parts > np.percentile(parts.float().cpu().numpy(), percentile)


def ash_p(features: Float[Tensor, "row ..."], percentile: float = 65.0) -> Float[Tensor, "row ..."]:
    """Return the features with the lowest ``percentile`` percent of each row set to 0.

    Args:
        features: of any shape per row.
        percentile: in [0, 100); at least one feature of a row is kept.

    Raises `ScorecraftError` for a percentile outside [0, 100).

    Source: Extremely Simple Activation Shaping for Out-of-Distribution Detection, 2023, arXiv 2209.09858.
    """
    return _kept(features, percentile).view_as(features) * features


def ash_s(features: Float[Tensor, "row ..."], percentile: float = 65.0) -> Float[Tensor, "row ..."]:
    """Return pruned features scaled by ``exp(sum before / sum after)`` of their row; a row of zeros stays so.

    Args:
        features: not negative, as after a ReLU.
        percentile: see `ash_p`.

    Raises `ScorecraftError` for a percentile outside [0, 100) or a negative feature.
    """
    _check_not_negative("ash_s", features)
    pruned = ash_p(features, percentile)
    before, after = features.flatten(1).sum(1), pruned.flatten(1).sum(1)
    scale = torch.where(after > 0, before / after.where(after > 0, 1.0), 0.0).exp()
    return pruned * scale.view(-1, *([1] * (features.ndim - 1)))


def ash_b(features: Float[Tensor, "row ..."], percentile: float = 65.0) -> Float[Tensor, "row ..."]:
    """Return features in which all that survive pruning share their row's sum equally.

    Args:
        features: not negative, as after a ReLU.
        percentile: see `ash_p`.

    Raises `ScorecraftError` for a percentile outside [0, 100) or a negative feature.
    """
    _check_not_negative("ash_b", features)
    kept = _kept(features, percentile)
    share = features.flatten(1).sum(1, keepdim=True) / kept.sum(1, keepdim=True)
    return (kept * share).view_as(features)


def _kept(features: Tensor, percentile: float) -> Tensor:
    """Return which features of each flattened row are among its largest, exactly so many in every row."""
    if not 0 <= percentile < 100:
        raise ScorecraftError(f"ash: expected a percentile from 0 to below 100, got {percentile}")
    rows = features.flatten(1)
    count = max(1, rows.shape[1] - round(rows.shape[1] * percentile / 100))
    kept = torch.zeros(rows.shape, dtype=torch.bool, device=rows.device)
    return kept.scatter_(1, rows.topk(count, dim=1).indices, True)


def _check_not_negative(name: str, features: Tensor) -> None:
    if (features < 0).any():
        raise ScorecraftError(f"{name}: expected features of at least 0, as after a ReLU; the lowest is negative")


def _check_percentile(name: str, percentile: float) -> None:
    if not 0 <= percentile <= 100:
        raise ScorecraftError(f"{name}: expected a percentile from 0 to 100, got {percentile}")
