"""Fashion-MNIST is read from IDX files; generated images stand in for it."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.studies.fashion_mnist import FOLDERS, VARIABLE, fashion_mnist, generated


def write(folder, part, images, labels, *, magic=(2051, 2049), cut=0):
    stem = {"train": "train", "test": "t10k"}[part]
    body = images.astype(np.uint8).tobytes()
    data = struct.pack(">4I", magic[0], *images.shape) + body[: len(body) - cut]
    (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(data))
    data = struct.pack(">2I", magic[1], len(labels)) + labels.astype(np.uint8).tobytes()
    (folder / f"{stem}-labels-idx1-ubyte").write_bytes(data)


def test_files_are_read_as_they_were_written(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    images = np.random.default_rng(0).integers(256, size=(3, 28, 28))
    write(tmp_path, "test", images, np.array([9, 0, 4]))
    found = fashion_mnist("test", stand_in=False)
    assert found.real
    assert (found.images == images).all()
    assert found.labels.tolist() == [9, 0, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cut": 5}, "holds 1563 bytes"),
        ({"magic": (2049, 2049)}, "no IDX file of images"),
        ({"magic": (2051, 7)}, "no IDX file of labels"),
        ({"labels": np.array([1, 2, 3])}, "as many labels"),
        ({"labels": np.array([1, 10])}, "10 classes"),
    ],
)
def test_broken_files_are_told(tmp_path, monkeypatch, change, message):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    labels = change.pop("labels", np.array([1, 2]))
    write(tmp_path, "train", np.zeros((2, 28, 28)), labels, **change)
    with pytest.raises(ScorecraftError, match=message):
        fashion_mnist("train", stand_in=True)


def test_a_file_that_is_no_archive_or_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ScorecraftError, match="no file of the train images"):
        fashion_mnist("train", stand_in=True)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"not gzip")
    with pytest.raises(ScorecraftError, match="cannot be read"):
        fashion_mnist("train", stand_in=True)
    with pytest.raises(ScorecraftError, match="expected 'train' or 'test'"):
        fashion_mnist("valid", stand_in=True)


def test_without_files_a_full_study_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("scorecraft.studies.fashion_mnist.FOLDERS", (tmp_path / "none",))
    with pytest.raises(ScorecraftError, match="make datasets"):
        fashion_mnist("train", stand_in=False)
    assert not fashion_mnist("train", stand_in=True).real


def test_generated_images_can_be_told_apart_by_their_neighbours():
    from sklearn.neighbors import KNeighborsClassifier

    train, test = generated("train"), generated("test")
    assert set(train.labels.tolist()) == set(range(10))
    near = KNeighborsClassifier(3).fit(train.images.reshape(6000, -1), train.labels)
    assert near.score(test.images.reshape(1000, -1), test.labels) > 0.9


@pytest.mark.skipif(not any(folder.is_dir() for folder in FOLDERS), reason="Fashion-MNIST is not here: make datasets")
def test_the_real_ones_are_60000_and_10000_of_ten_classes_alike(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    train, test = (fashion_mnist(part, stand_in=False) for part in ("train", "test"))
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10
    # The mean of the training pixels, as it is commonly stated: 0.2860.
    assert train.images.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
