"""Which classes come in which session, and with which images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError


@dataclass(frozen=True, slots=True)
class Session:
    """Classes that come together, and the rows of their training images."""

    classes: tuple[int, ...]
    rows: Int64[Tensor, " image"]


@implements("fewshot-incremental")
def fscil_protocol(
    y: Int64[Tensor, " row"], base: int, way: int, shot: int, seed: int, sessions: int | None = None
) -> tuple[Session, ...]:
    """Return a base session with all images of its classes, then sessions of ``way`` classes with ``shot`` images each.

    The published protocols: 60 base classes and 8 sessions 5-way 5-shot (CIFAR-100, miniImageNet); 100 and 10 sessions
    10-way 5-shot (CUB-200). Labels are all it needs, so it takes those and returns rows.

    Args:
        y: labels of the training images.
        base: number of base classes.
        way: classes of a session.
        shot: images of a class in a session.
        seed: of the order of classes and of the choice of images.
        sessions: how many after the base; as many as there are classes for where not given.

    Raises `ScorecraftError` for fewer classes than asked for, or a class with fewer images than ``shot``.

    Source: Few-Shot Class-Incremental Learning, 2020, arXiv 2004.10956, section 3.
    """
    if min(base, way, shot) < 1:
        raise ScorecraftError(f"fscil_protocol: expected base, way and shot of at least 1, got {base}, {way}, {shot}")
    classes = y.unique().tolist()
    count = max(0, len(classes) - base) // way if sessions is None else sessions
    if count < 1 or base + count * way > len(classes):
        raise ScorecraftError(
            f"fscil_protocol: {base} base classes and {max(count, 1)} sessions of {way} need "
            f"{base + max(count, 1) * way} classes with images, got {len(classes)}"
        )
    random = torch.Generator().manual_seed(seed)
    order = [classes[place] for place in torch.randperm(len(classes), generator=random).tolist()]
    first = tuple(order[:base])
    found = [Session(first, torch.isin(y, torch.tensor(first)).nonzero()[:, 0])]
    for start in range(base, base + count * way, way):
        own = tuple(order[start : start + way])
        found.append(Session(own, torch.cat([_shots(y, label, shot, random) for label in own])))
    return tuple(found)


def _shots(y: Tensor, label: int, shot: int, random: torch.Generator) -> Tensor:
    rows = (y == label).nonzero()[:, 0]
    if len(rows) < shot:
        raise ScorecraftError(f"fscil_protocol: class {label} has {len(rows)} images, {shot} shots were asked for")
    return rows[torch.randperm(len(rows), generator=random)[:shot]]
