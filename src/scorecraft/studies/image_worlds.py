"""Small images of ten classes, seven to learn and three held out, for studies of detectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scorecraft.errors import require
from scorecraft.studies.fashion_mnist import fashion_mnist
from scorecraft.studies.study import Scale

SIZE, CLASSES, KNOWN = 16, 10, 7
TRAIN: dict[Scale, int] = {"smoke": 320, "full": 4000}
GARMENTS: dict[Scale, int] = {"smoke": 320, "full": 10_000}
EVALUATED: dict[Scale, int] = {"smoke": 100, "full": 1000}


@dataclass(frozen=True)
class World:
    """Images and classes to learn and to be tested on, images of held-out classes, and images of no class at all."""

    train: Tensor
    train_y: Tensor
    test: Tensor
    test_y: Tensor
    near: Tensor
    far: dict[str, Tensor]


@cache
def digits() -> tuple[Tensor, NDArray[np.int64]]:
    """Return scikit-learn's 1797 digits ``[image, 1, 8, 8]`` in [0, 1] and their classes."""
    require("sklearn", "detect", "the digits of this study")
    from sklearn.datasets import load_digits

    images, classes = (np.asarray(values) for values in load_digits(return_X_y=True))
    return torch.tensor(images.reshape(-1, 1, 8, 8) / 16, dtype=torch.float32), classes.astype(np.int64)


def enlarged(images: Tensor, side: int = SIZE) -> Tensor:
    """Return images of so many pixels a side."""
    return F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)


def gratings(classes: NDArray[np.int64], random: np.random.Generator, side: int = SIZE) -> Tensor:
    """Return a noisy sine grating of each class, whose angle is 18 degrees times the class with a deviation of 7."""
    rows = (len(classes), 1, 1)
    angle = np.deg2rad(18 * classes + random.normal(0, 7, len(classes))).reshape(rows)
    y, x = np.mgrid[:side, :side]
    wave = (np.cos(angle) * x + np.sin(angle) * y) * random.uniform(0.8, 1.25, rows)
    image = 0.5 + 0.5 * random.uniform(0.5, 1, rows) * np.sin(wave + random.uniform(0, 2 * np.pi, rows))
    return as_images(image + random.normal(0, 0.2, image.shape))


def degraded(images: Tensor, random: np.random.Generator) -> Tensor:
    """Return enlarged images moved by at most a pixel, each under noise of its own deviation in [0, 1]."""
    image = enlarged(images)[:, 0].numpy()
    shifts = random.integers(-1, 2, (len(image), 2))
    moved = np.stack([np.roll(one, tuple(shift), (0, 1)) for one, shift in zip(image, shifts, strict=True)])
    strength = random.uniform(0, 1, (len(image), 1, 1))
    return as_images(moved + strength * random.normal(0, 1, moved.shape))


def as_images(values: NDArray[np.float64]) -> Tensor:
    """Return ``[image, 1, y, x]`` cut to [0, 1]."""
    return torch.tensor(values.clip(0, 1), dtype=torch.float32)[:, None]


def texture_world(random: np.random.Generator, scale: Scale) -> World:
    """Return the world of overlapping textures; which classes are held out is drawn."""
    held, known = np.split(random.permutation(CLASSES), [CLASSES - KNOWN])
    rows = EVALUATED[scale]
    train_y, test_y = random.integers(KNOWN, size=TRAIN[scale]), random.integers(KNOWN, size=rows)
    return World(
        gratings(known[train_y], random),
        torch.tensor(train_y),
        gratings(known[test_y], random),
        torch.tensor(test_y),
        gratings(random.choice(held, rows), random),
        {"images": enlarged(digits()[0])[:rows], "noise": as_images(random.random((rows, SIZE, SIZE)))},
    )


def digit_world(random: np.random.Generator, scale: Scale) -> World:
    """Return the world of degraded digits: no digit is both learned and tested on."""
    images, own = digits()
    held, known = np.split(random.permutation(CLASSES), [CLASSES - KNOWN])
    place = {int(label): index for index, label in enumerate(known)}
    learned, tested = np.split(random.permutation(np.flatnonzero(np.isin(own, known))), [900])
    train, test = random.choice(learned, TRAIN[scale]), random.choice(tested, EVALUATED[scale])
    near = random.choice(np.flatnonzero(np.isin(own, held)), EVALUATED[scale])
    rows = EVALUATED[scale]
    return World(
        degraded(images[train], random),
        torch.tensor([place[label] for label in own[train].tolist()]),
        degraded(images[test], random),
        torch.tensor([place[label] for label in own[test].tolist()]),
        degraded(images[near], random),
        {
            "images": gratings(random.integers(CLASSES, size=rows), random),
            "noise": as_images(random.random((rows, SIZE, SIZE))),
        },
    )


def garment_world(random: np.random.Generator, scale: Scale) -> World:
    """Return the world of Fashion-MNIST, whose classes of shirts and shoes overlap: training images, and test ones."""
    learned, tested = (fashion_mnist(part, stand_in=scale == "smoke") for part in ("train", "test"))
    known = random.permutation(CLASSES)[CLASSES - KNOWN :]
    place = np.full(CLASSES, -1)
    place[known] = np.arange(KNOWN)
    train = random.choice(np.flatnonzero(place[learned.labels] >= 0), GARMENTS[scale], replace=False)
    test = random.choice(np.flatnonzero(place[tested.labels] >= 0), EVALUATED[scale], replace=False)
    near = random.choice(np.flatnonzero(place[tested.labels] < 0), EVALUATED[scale])
    rows, side = EVALUATED[scale], learned.images.shape[1]
    return World(
        as_images(learned.images[train] / 255),
        torch.tensor(place[learned.labels[train]]),
        as_images(tested.images[test] / 255),
        torch.tensor(place[tested.labels[test]]),
        as_images(tested.images[near] / 255),
        {"images": enlarged(digits()[0][:rows], side), "noise": as_images(random.random((rows, side, side)))},
    )


WORLDS: dict[str, Callable[[np.random.Generator, Scale], World]] = {
    "textures": texture_world, "digits": digit_world, "garments": garment_world,
}  # fmt: skip
