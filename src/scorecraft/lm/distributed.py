"""Data-parallel training under torchrun: who am I, and sums over all workers.

Workers hold whole copies of the policy and share the rollouts of a step. Every function is an identity where
there is one worker.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool
from torch import Tensor

from scorecraft.errors import ScorecraftError

if TYPE_CHECKING:
    from collections.abc import Iterator


def rank() -> int:
    """Return this worker's number."""
    return torch.distributed.get_rank() if _running() else 0


def world_size() -> int:
    """Return the number of workers."""
    return torch.distributed.get_world_size() if _running() else 1


def _running() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


@contextmanager
def workers(device: str) -> Iterator[None]:
    """Join the other workers if torchrun (or accelerate) started this process as one of several."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1 or _running():
        yield
        return
    torch.distributed.init_process_group("gloo" if device == "cpu" else "nccl")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def wait() -> None:
    """Go on only when every worker has come this far."""
    if _running():
        torch.distributed.barrier()


def own_share(count: int, what: str) -> slice:
    """Return which of ``count`` things are this worker's; raises `ScorecraftError` if they do not divide evenly."""
    if count % world_size():
        raise ScorecraftError(
            f"{what} is {count}, which {world_size()} workers cannot share evenly; make it a multiple of {world_size()}"
        )
    each = count // world_size()
    return slice(rank() * each, (rank() + 1) * each)


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Add up every parameter's gradient over all workers."""
    if world_size() == 1:
        return
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    torch.distributed.all_reduce(flat)
    offset = 0
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = flat[offset : offset + gradient.numel()].view_as(gradient)
        offset += gradient.numel()


def total(values: dict[str, float]) -> dict[str, float]:
    """Add up numbers by name over all workers; a worker that lacks a name counts as 0."""
    if world_size() == 1:
        return values
    everyone: list[dict[str, float]] = [{}] * world_size()
    torch.distributed.all_gather_object(everyone, values)
    return {name: sum(part.get(name, 0.0) for part in everyone) for name in sorted(set().union(*everyone))}


def gather_rows(mask: Bool[Tensor, "rollout token"]) -> tuple[Bool[Tensor, "all_rollout all_token"], slice]:
    """Return the masks of all workers one below the other, and which rows are this worker's."""
    if world_size() == 1:
        return mask, slice(0, len(mask))
    shapes: list[tuple[int, int]] = [(0, 0)] * world_size()
    torch.distributed.all_gather_object(shapes, tuple(mask.shape))
    width = max(shape[1] for shape in shapes)
    most = max(shape[0] for shape in shapes)
    own = torch.zeros((most, width), dtype=torch.uint8, device=mask.device)
    own[: len(mask), : mask.shape[1]] = mask.to(torch.uint8)
    tables = [torch.empty_like(own) for _ in shapes]
    torch.distributed.all_gather(tables, own)
    joined = torch.cat([table[: shape[0]] for table, shape in zip(tables, shapes, strict=True)]).bool()
    start = sum(shape[0] for shape in shapes[: rank()])
    return joined, slice(start, start + len(mask))


def gather(values: Tensor) -> tuple[Tensor, slice]:
    """Return the rows of all workers one below the other, and which are this worker's; widths must agree."""
    if world_size() == 1:
        return values, slice(0, len(values))
    everyone: list[Tensor] = [values] * world_size()
    torch.distributed.all_gather_object(everyone, values.cpu())
    start = sum(len(part) for part in everyone[: rank()])
    return torch.cat(everyone).to(values.device), slice(start, start + len(values))
