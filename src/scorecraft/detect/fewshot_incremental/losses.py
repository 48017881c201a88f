"""Losses on unit features: supervised contrast, self-supervised contrast, and dot regression to fixed vertices."""

from __future__ import annotations

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError


def unit(features: Float32[Tensor, "row feature"]) -> Float32[Tensor, "row feature"]:
    """Return ``f / max(|f|, 1e-12)`` of each row; a row of zeros stays as it is."""
    return F.normalize(features, dim=1, eps=1e-12)


@implements("fewshot-incremental")
def supcon_loss(z: Float32[Tensor, "row feature"], y: Int64[Tensor, " row"], tau: float = 0.1) -> Float32[Tensor, ""]:
    """Return the supervised contrastive loss, averaged over anchors that have a positive.

    ``L_i = -1/|P(i)| sum_{p in P(i)} log(exp(z_i.z_p / tau) / sum_{a != i} exp(z_i.z_a / tau))``, with P(i) the other
    rows of the same label. Without any positive the loss is 0 and has a gradient of 0; `supcon_anchors` counts those
    that have one.

    Args:
        z: unit features, two or more views of each image for instance.
        y: labels.
        tau: temperature, above 0.

    Raises `ScorecraftError` for a temperature not above 0.

    Source: Supervised Contrastive Learning, 2020, arXiv 2004.11362, equation 2; used in arXiv 2403.14392.
    """
    if not tau > 0:
        raise ScorecraftError(f"supcon_loss: expected a temperature above 0, got {tau:g}")
    same = _positives(y)
    counts = same.sum(1)
    anchors = counts > 0
    if not anchors.any():
        return (z * 0).sum()
    logits = (z @ z.T / tau).masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
    # The row's own place is -inf, and would be NaN if multiplied by 0.
    log_share = logits.log_softmax(1).masked_fill(~same, 0.0)
    return -(log_share.sum(1)[anchors] / counts[anchors]).mean()


def supcon_anchors(y: Int64[Tensor, " row"]) -> int:
    """Return how many rows have another row of their label: the anchors over which `supcon_loss` averages."""
    return int(_positives(y).any(1).sum())


def nt_xent_loss(
    first: Float32[Tensor, "image feature"], second: Float32[Tensor, "image feature"], tau: float = 0.1
) -> Float32[Tensor, ""]:
    """Return the self-supervised contrastive loss of two views: `supcon_loss` with each image a label of its own.

    Args:
        first: unit features of one view of each image.
        second: of another view of the same images.
        tau: temperature, above 0.

    Source: A Simple Framework for Contrastive Learning of Visual Representations, 2020, arXiv 2002.05709, equation 1.
    """
    return supcon_loss(torch.cat((first, second)), torch.arange(len(first)).repeat(2), tau)


@implements("fewshot-incremental")
def dr_loss(
    z: Float32[Tensor, "row feature"], etf: Float32[Tensor, "vertex feature"], y: Int64[Tensor, " row"]
) -> Float32[Tensor, ""]:
    """Return the mean of ``(w_y . z - 1)^2 / 2``: dot regression to each label's vertex.

    Args:
        z: unit features.
        etf: unit vertices, see `simplex_etf`.
        y: labels, which are rows of ``etf``.

    Source: Inducing Neural Collapse in Imbalanced Learning, 2022, arXiv 2203.09081, equation 9, with unit norms.
    """
    return (0.5 * ((etf[y] * z).sum(1) - 1) ** 2).mean()


def _positives(y: Tensor) -> Tensor:
    return (y[:, None] == y) & ~torch.eye(len(y), dtype=torch.bool)
