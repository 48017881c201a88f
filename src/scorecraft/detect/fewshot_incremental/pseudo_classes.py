"""Classes made of other classes' images, which keep space free between the real ones, and rotations as a task."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError

PseudoMode = Literal["mix", "rotate"]
# With more real classes only some pairs make a pseudo-class: twice as many as there are real ones.
ALL_PAIRS = 200


def pseudo_pairs(classes: int, generator: torch.Generator | None = None) -> Int64[Tensor, "class class"]:
    """Return the number of the pseudo-class of each pair of real classes, -1 where there is none.

    All ``C (C - 1) / 2`` pairs have one up to 200 classes; above it ``2 C`` pairs drawn at random.

    Args:
        classes: number of real classes C.
        generator: of the pairs drawn.
    """
    first, second = torch.triu_indices(classes, classes, offset=1)
    if classes > ALL_PAIRS:
        kept = torch.randperm(len(first), generator=generator)[: 2 * classes].sort().values
        first, second = first[kept], second[kept]
    table = torch.full((classes, classes), -1)
    table[first, second] = table[second, first] = torch.arange(len(first))
    return table


def pseudo_count(classes: int, mode: PseudoMode = "mix") -> int:
    """Return how many pseudo-classes there are for a number of real classes."""
    if mode == "rotate":
        return 3 * classes
    return classes * (classes - 1) // 2 if classes <= ALL_PAIRS else 2 * classes


@implements("fewshot-incremental")
def make_pseudo_classes(
    x: Float32[Tensor, " row *shape"],
    y: Int64[Tensor, " row"],
    classes: int,
    mode: PseudoMode = "mix",
    lam: tuple[float, float] = (0.4, 0.6),
    generator: torch.Generator | None = None,
    pairs: Int64[Tensor, "class class"] | None = None,
) -> tuple[Float32[Tensor, " made *shape"], Int64[Tensor, " made"]]:
    """Return images of pseudo-classes made of a batch, and their labels, from ``classes`` on.

    "mix": each row is mixed with another one drawn at random, ``lam x_a + (1 - lam) x_b``, and kept where their labels
    differ; an unordered pair of labels is one class. "rotate": each image turned by 90, 180 and 270 degrees; class c
    turned k times is ``classes + 3 c + k - 1``. Real classes keep their labels, so that theirs come first in a head.

    Args:
        x: inputs; square images for "rotate".
        y: labels, 0 to ``classes - 1``.
        classes: number of real classes.
        mode: how they are made.
        lam: range of the mixing weight, evenly drawn.
        generator: of partners and weights.
        pairs: from `pseudo_pairs`; give it where batches must agree and there are more than 200 classes.

    Raises `ScorecraftError` for labels outside the classes, a range that is none, or images to rotate that are not
    square.

    Source: A Bag of Tricks for Few-Shot Class-Incremental Learning, 2024, arXiv 2403.14392; mixing as in
    Few-Shot Class-Incremental Learning from an Open-Set Perspective, 2022, arXiv 2208.00147.
    """
    outside = (y < 0) | (y >= classes)
    if outside.any():
        place = int(outside.nonzero()[0, 0])
        raise ScorecraftError(f"make_pseudo_classes: label {place} is {int(y[place])}; expected 0 to {classes - 1}")
    if mode == "rotate":
        turned = [rotated(x, times) for times in (1, 2, 3)]
        return torch.cat(turned), torch.cat([classes + 3 * y + times for times in range(3)])
    low, high = lam
    if not 0 < low <= high < 1:
        raise ScorecraftError(f"make_pseudo_classes: expected mixing weights 0 < low <= high < 1, got {lam}")
    table = pseudo_pairs(classes, generator) if pairs is None else pairs
    partner = torch.randperm(len(y), generator=generator)
    weight = low + (high - low) * torch.rand(len(y), generator=generator)
    number = table[y, y[partner]]
    kept = number >= 0
    weight = weight.view(-1, *[1] * (x.ndim - 1))
    mixed = weight * x + (1 - weight) * x[partner]
    return mixed[kept], classes + number[kept]


@implements("fewshot-incremental")
def rotation_batch(
    x: Float32[Tensor, " row *shape"], generator: torch.Generator | None = None
) -> tuple[Float32[Tensor, " row *shape"], Int64[Tensor, " row"]]:
    """Return each image turned by 0, 90, 180 or 270 degrees, drawn evenly, and how many quarter turns it made.

    Args:
        x: square images, the last two axes being height and width.
        generator: of the turns.

    Raises `ScorecraftError` for images that are not square.

    Source: Unsupervised Representation Learning by Predicting Image Rotations, 2018, arXiv 1803.07728.
    """
    turns = torch.randint(4, (len(x),), generator=generator)
    turned = torch.stack([rotated(x, times) for times in range(4)])
    return turned[turns, torch.arange(len(x))], turns


def rotated(x: Float32[Tensor, " row *shape"], times: int) -> Float32[Tensor, " row *shape"]:
    """Return square images after a number of quarter turns; raises `ScorecraftError` for others."""
    if x.ndim < 3 or x.shape[-1] != x.shape[-2]:
        raise ScorecraftError(
            f"rotations need square images [row, ..., height, width], got shape {tuple(x.shape)}; "
            "pad them, or leave 'rotation' and pseudo 'rotate' out"
        )
    return torch.rot90(x, times, (-2, -1))
