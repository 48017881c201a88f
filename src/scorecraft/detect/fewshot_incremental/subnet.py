"""Which weights a session may change: those that the base classes need least."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from scorecraft.catalog import implements
from scorecraft.detect.fewshot_incremental.losses import unit
from scorecraft.errors import ScorecraftError


def tuned_weights(
    encoder: nn.Module, tuned: Literal["last-block", "encoder"] = "last-block"
) -> dict[str, nn.Parameter]:
    """Return the weights that sessions may change, by name: all, or those of the last child that has any.

    Raises `ScorecraftError` for an encoder without weights.
    """
    weights = {name: weight for name, weight in encoder.named_parameters() if weight.requires_grad}
    if tuned == "last-block":
        children = [name for name, child in encoder.named_children() if any(True for _ in child.parameters())]
        if children:
            weights = {name: weight for name, weight in weights.items() if name.startswith(f"{children[-1]}.")}
    if not weights:
        raise ScorecraftError("the encoder has no weights to tune; check its last block and requires_grad")
    return weights


@implements("fewshot-incremental")
def select_subnet(
    encoder: nn.Module,
    x: Float32[Tensor, " row *shape"],
    y: Int64[Tensor, " row"],
    prototypes: Float32[Tensor, "class feature"],
    ratio: float = 0.1,
    criterion: Literal["low_importance", "low_magnitude"] = "low_importance",
    *,
    tuned: Literal["last-block", "encoder"] = "last-block",
    tau: float = 0.1,
    batch_size: int = 64,
) -> dict[str, Bool[Tensor, " ..."]]:
    """Return True for the share of weights that may change: those of the lowest importance to the base classes.

    Importance is ``|w dL/dw|`` averaged over batches of one pass, L the cross entropy of cosines to the prototypes
    (an encoder alone has no loss, so they are an argument here), or ``|w|``. All tuned weights are ranked together;
    ``max(1, round(ratio * weights))`` are chosen.

    Args:
        encoder: inputs to features; its weights and gradients are left alone.
        x: inputs of the base classes.
        y: labels as rows of ``prototypes``.
        prototypes: of the base classes.
        ratio: share of the weights, in (0, 1].
        criterion: "low_importance", or "low_magnitude" for ``|w|``.
        tuned: among which weights.
        tau: temperature of cosines.
        batch_size: rows of a batch.

    Raises `ScorecraftError` for no rows, a ratio outside (0, 1], or an encoder without weights.

    Source: arXiv 2403.14392, version 2 (incremental subnet tuning); the score as in Importance Estimation for Neural
    Network Pruning, 2019, arXiv 1906.10771, equation 8 before squaring.
    """
    if not 0 < ratio <= 1:
        raise ScorecraftError(f"select_subnet: expected a ratio in (0, 1], got {ratio:g}")
    if not len(y):
        raise ScorecraftError("select_subnet: no rows of the base classes")
    weights = tuned_weights(encoder, tuned)
    scores = {name: weight.detach().abs() for name, weight in weights.items()}
    if criterion == "low_importance":
        scores = _importance(encoder, weights, x, y, prototypes / tau, batch_size)
    flat = torch.cat([score.flatten() for score in scores.values()])
    chosen = torch.zeros(len(flat), dtype=torch.bool)
    chosen[flat.argsort(stable=True)[: max(1, round(ratio * len(flat)))]] = True
    parts = chosen.split([score.numel() for score in scores.values()])
    return {name: part.view(score.shape) for (name, score), part in zip(scores.items(), parts, strict=True)}


def _importance(
    encoder: nn.Module, weights: Mapping[str, Tensor], x: Tensor, y: Tensor, head: Tensor, batch_size: int
) -> dict[str, Tensor]:
    was_training = encoder.training
    encoder.eval()
    sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for rows in torch.arange(len(y)).split(batch_size):
        loss = F.cross_entropy(unit(encoder(x[rows])) @ head.T, y[rows])
        slopes = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        for (name, weight), slope in zip(weights.items(), slopes, strict=True):
            if slope is not None:
                sums[name] += (weight.detach() * slope).abs()
    encoder.train(was_training)
    return sums
