"""The loss of the supervised stage."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError

IGNORED = -100
"""The label of a token that is not learned."""


@implements("intervention-training")
def intervention_loss(
    logits: Float[Tensor, "row token vocabulary"],
    labels: Int64[Tensor, "row token"],
    average: Literal["sequence", "token"] = "sequence",
) -> Float[Tensor, ""]:
    """Return the cross-entropy of the learned tokens in nats, ``mean_i 1/|z_i| sum_t -log p(z_it | x_i, z_i,<t)``.

    Position t of the logits predicts label t + 1, as models of Hugging Face have it.

    Args:
        logits: of the model, on the same tokens as the labels.
        labels: tokens to learn, -100 on prompt and padding.
        average: "sequence" takes the mean over the tokens of a row and then over rows; "token" over all tokens at
            once, so that long rows count for more.

    Raises `ScorecraftError` for an unknown average, a first token that is to be learned, or a row without a token to
    learn.

    Source: InT, 2026, arXiv 2601.14209.
    """
    if average not in ("sequence", "token"):
        raise ScorecraftError(f"intervention_loss: unknown average '{average}'; expected 'sequence' or 'token'")
    learned = labels[:, 1:] != IGNORED
    if bool((labels[:, :1] != IGNORED).any()):
        raise ScorecraftError(
            "intervention_loss: the first token of a row has nothing before it and cannot be learned; label it -100"
        )
    counts = learned.sum(1)
    if len(labels) == 0 or bool((counts == 0).any()):
        empty = (counts == 0).nonzero()[:4, 0].tolist()
        raise ScorecraftError(f"intervention_loss: rows {empty} have no token to learn")
    # Only the learned positions go through the softmax: prompts are most of a batch.
    losses = F.cross_entropy(logits[:, :-1][learned].float(), labels[:, 1:][learned], reduction="none")
    if average == "token":
        return losses.mean()
    row = learned.nonzero()[:, 0]
    shares = 1.0 / counts.to(losses.dtype)[row]
    return torch.dot(losses, shares) / len(labels)
