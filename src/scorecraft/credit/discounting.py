"""Discounted sums over what is still to come, for whole batches at once."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scorecraft.sampled import in_one_run

BLOCK = 64


def discounted_sums_to_go(
    values: Float[Tensor, "row column"], mask: Bool[Tensor, "row column"], discount: float
) -> Float[Tensor, "row column"]:
    """Return ``S_t = x_t + discount S_(next of t)`` over the columns of the mask, 0 off it; other columns take no time.

    Columns of the mask are moved together where a row has gaps, and blocks of them are summed by one matrix product, so
    that only the carry between blocks is sequential.

    Args:
        values: x; not read off the mask.
        mask: which columns count.
        discount: per column of the mask, in [0, 1].
    """
    rows, width = values.shape
    if rows == 0 or width == 0:
        return torch.zeros_like(values)
    kept = values.masked_fill(~mask, 0.0)
    if in_one_run(mask):
        return _dense_sums(kept, discount).mul_(mask)
    place = (mask.cumsum(1) - 1).clamp(min=0)
    # Adding zeros at the place of the column before changes nothing there.
    sums = _dense_sums(torch.zeros_like(kept).scatter_add_(1, place, kept), discount)
    return torch.where(mask, sums.gather(1, place), torch.zeros_like(sums))


def _dense_sums(values: Float[Tensor, "row column"], discount: float) -> Float[Tensor, "row column"]:
    rows, width = values.shape
    blocks = -(-width // BLOCK)
    missing = blocks * BLOCK - width
    padded = (torch.nn.functional.pad(values, (0, missing)) if missing else values).reshape(rows, blocks, BLOCK)
    place = torch.arange(BLOCK, device=values.device)
    distance = (place[:, None] - place).clamp(min=0)
    # Row k of the matrix says what x_k adds to each earlier or equal column of its block.
    weights = torch.where(place[:, None] >= place, discount ** distance.double(), 0.0)
    own = padded @ weights.to(values.dtype)
    reach = (discount ** (BLOCK - place).double()).to(values.dtype)
    ahead = torch.zeros(rows, 1, dtype=values.dtype, device=values.device)
    for block in range(blocks - 1, -1, -1):
        own[:, block].addcmul_(reach, ahead)
        ahead = own[:, block, :1]
    return own.view(rows, -1)[:, :width]
