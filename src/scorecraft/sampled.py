"""The tokens that a policy sampled, in a table where others' tokens stand between them."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def in_one_run(mask: Bool[Tensor, "rollout token"]) -> bool:
    """Return whether every row's sampled tokens stand side by side, wherever they begin."""
    if mask.shape[1] == 0:
        return True
    # Every row with a token has a beginning, so there are as many beginnings as rows only if each has one.
    begins = torch.count_nonzero(mask[:, 1:] > mask[:, :-1]) + torch.count_nonzero(mask[:, 0])
    return bool(begins == torch.count_nonzero(mask.any(1)))


def next_sampled_values(
    values: Float[Tensor, "rollout token"], mask: Bool[Tensor, "rollout token"]
) -> Float[Tensor, "rollout token"]:
    """Return for every token the value at the next sampled one, 0 after the last.

    Args:
        values: of every token; read where the mask is True.
        mask: True where the policy sampled the token.
    """
    rows, width = mask.shape
    if width == 0:
        return values
    nothing = values.new_zeros(rows, 1)
    # Before a run that begins later, the next sampled token is its first, which a shift does not give.
    if bool((mask[:, 0] | ~mask.any(1)).all()) and in_one_run(mask):
        shifted = torch.zeros_like(values)
        shifted[:, :-1] = values[:, 1:].masked_fill(~mask[:, 1:], 0.0)
        return shifted
    columns = torch.arange(width, dtype=torch.int32, device=mask.device).expand_as(mask)
    own = torch.where(mask, columns, torch.full_like(columns, width)).flip(1).cummin(1).values.flip(1)
    following = torch.cat((own[:, 1:], torch.full_like(own[:, :1], width)), dim=1).long()
    return torch.cat((values, nothing), dim=1).gather(1, following)
