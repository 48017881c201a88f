"""Fashion-MNIST as Debian packages it, or generated images of the same shape where it is not to be had."""

from __future__ import annotations

import gzip
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from scorecraft.errors import ScorecraftError

VARIABLE = "SCORECRAFT_FASHION_MNIST"
GENERATED = "generated"
# Where `make datasets` and Debian's `dataset-fashion-mnist` put the files.
FOLDERS = (Path("data/fashion-mnist"), Path("/usr/share/datasets/fashion-mnist"))
FILES = {"train": "train", "test": "t10k"}
SIDE, CLASSES = 28, 10
_ROWS = {"train": 6000, "test": 1000}  # of generated images
_IMAGES, _LABELS = 2051, 2049  # first numbers of IDX files of images and of labels


class Garments(NamedTuple):
    """Images in 0 to 255, their classes, and whether they are the real ones."""

    images: UInt8[np.ndarray, "image y x"]
    labels: Int64[np.ndarray, " image"]
    real: bool


def fashion_mnist(part: str, *, stand_in: bool) -> Garments:
    """Return the training or test images of Fashion-MNIST.

    Args:
        part: "train", 60,000 images, or "test", 10,000.
        stand_in: whether generated images will do where there are none.

    The folder is the one that SCORECRAFT_FASHION_MNIST names, or ``data/fashion-mnist``, or where Debian's package puts
    it; the variable may also be "generated".

    Raises `ScorecraftError` where the files are not there or are no IDX files, and for another part.

    Source: Xiao, Rasul and Vollgraf, 2017, Fashion-MNIST, arXiv 1708.07747.
    """
    if part not in FILES:
        raise ScorecraftError(f"part: expected 'train' or 'test', got '{part}'")
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else next((place for place in FOLDERS if _file(place, part, "images")), None)
    if named == GENERATED or (folder is None and stand_in):
        return generated(part)
    if folder is None:
        raise ScorecraftError(
            "Fashion-MNIST is not here: 'make datasets' fetches it where apt is; else put its four files into a folder "
            f"and name that in {VARIABLE}, or set {VARIABLE}={GENERATED} for generated images"
        )
    return _read(folder, part)


def _file(folder: Path, part: str, what: str) -> Path | None:
    stem = f"{FILES[part]}-{what}-idx{3 if what == 'images' else 1}-ubyte"
    return next((path for path in (folder / f"{stem}.gz", folder / stem) if path.is_file()), None)


@cache
def _read(folder: Path, part: str) -> Garments:
    found = []
    for what, magic in (("images", _IMAGES), ("labels", _LABELS)):
        path = _file(folder, part, what)
        if path is None:
            raise ScorecraftError(
                f"{folder}: no file of the {part} {what}; expected {FILES[part]}-{what}-idx...-ubyte.gz"
            )
        found.append(_idx(path, magic))
    images, labels = found
    if len(images) != len(labels) or images.shape[1:] != (SIDE, SIDE) or labels.max(initial=0) >= CLASSES:
        raise ScorecraftError(
            f"{folder}: expected as many labels of {CLASSES} classes as images of {SIDE} by {SIDE}, got "
            f"{images.shape} and {labels.shape}"
        )
    return Garments(images, labels.astype(np.int64), real=True)


def _idx(path: Path, magic: int) -> UInt8[np.ndarray, ...]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise ScorecraftError(f"{path}: cannot be read ({error}); fetch it again with 'make datasets'") from None
    axes = 3 if magic == _IMAGES else 1
    header = np.frombuffer(data[: 4 * (axes + 1)], dtype=">u4") if len(data) >= 4 * (axes + 1) else np.zeros(1, int)
    if int(header[0]) != magic:
        raise ScorecraftError(f"{path}: no IDX file of {'images' if axes == 3 else 'labels'}")
    shape = tuple(int(size) for size in header[1:])
    values = np.frombuffer(data, dtype=np.uint8, offset=4 * (axes + 1))
    if values.size != np.prod(shape):
        raise ScorecraftError(
            f"{path}: holds {values.size} bytes, expected {shape}; fetch it again with 'make datasets'"
        )
    return values.reshape(shape)


@cache
def generated(part: str) -> Garments:
    """Return images of ten shapes of bars and discs, moved, scaled and under noise: the same ones each time.

    Args:
        part: "train", 6,000 images, or "test", 1,000.
    """
    random = np.random.default_rng(list(FILES).index(part))
    labels = random.integers(CLASSES, size=_ROWS[part])
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1
    images = np.zeros((len(labels), SIDE, SIDE))
    for row, label in enumerate(labels):
        size, (down, right) = random.uniform(0.8, 1.1), random.uniform(-0.15, 0.15, 2)
        images[row] = _shape(int(label), (x - right) / size, (y - down) / size) * random.uniform(0.5, 1)
        images[row] += random.normal(0, 0.15, (SIDE, SIDE))
    return Garments((images.clip(0, 1) * 255).astype(np.uint8), labels, real=False)


def _shape(label: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return a body by the label's last bit and what is on it by the rest."""
    wide, top = abs(x), abs(y)
    body = (wide < (0.5 if label % 2 else 0.3)) & (top < 0.8)
    extra = (
        np.zeros_like(body),
        (top < 0.25) & (wide < 0.9),
        (y < -0.4) & (wide < 0.9) & (top < 0.8),
        (y > 0.4) & (wide < 0.9) & (top < 0.8),
        np.hypot(x, y) < 0.7,
    )[label // 2]
    return (body | extra).astype(np.float64)
