"""Arrays, tables and folders of images are read a few rows at a time; what is none of these is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from scorecraft.detect.input_files import Size, open_inputs
from scorecraft.errors import ScorecraftError

X = np.arange(24, dtype=np.float32).reshape(4, 6)
Y = np.array([0, 1, 2, 1])


def write(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    if kind == "npy":
        np.save(path, X)
    elif kind == "npz":
        np.savez(path, x=X, y=Y)
    elif kind == "safetensors":
        save_file({"x": torch.tensor(X), "label": torch.tensor(Y)}, path)
    elif kind == "csv":
        pd.DataFrame(X, columns=[f"f{place}" for place in range(6)]).assign(label=Y, name="n").to_csv(path, index=False)
    else:
        pd.DataFrame({"embeddings": list(X), "label": Y}).to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors", "csv", "parquet"])
def test_rows_are_the_same_whatever_the_kind(tmp_path, kind):
    file = open_inputs(write(tmp_path, kind))
    assert (file.count, file.shape) == (4, (6,))
    assert file.rows(np.array([2, 0])).tolist() == X[[2, 0]].tolist()
    classes = file.column(None, ("label", "y"), "classes")
    assert (classes is None) == (kind == "npy")
    if classes is not None:
        assert classes.tolist() == Y.tolist()


def test_chosen_arrays_and_columns(tmp_path):
    np.savez(tmp_path / "t.npz", a=X, b=X + 1)
    assert open_inputs(tmp_path / "t.npz", ["b"]).rows(np.array([0]))[0, 0] == 1
    with pytest.raises(ScorecraftError, match="which array"):
        open_inputs(tmp_path / "t.npz")
    with pytest.raises(ScorecraftError, match="no array 'c'"):
        open_inputs(tmp_path / "t.npz", ["c"])
    file = open_inputs(write(tmp_path, "csv"), ["f1", "f0"])
    assert file.rows(np.array([0])).tolist() == [[1, 0]]


def test_classes_from_a_file_of_their_own(tmp_path):
    np.save(tmp_path / "y.npy", Y)
    file = open_inputs(write(tmp_path, "npy"))
    assert file.column(str(tmp_path / "y.npy"), (), "classes").tolist() == Y.tolist()
    np.save(tmp_path / "y.npy", Y[:2])
    with pytest.raises(ScorecraftError, match="one number of classes for each of 4 rows"):
        file.column(str(tmp_path / "y.npy"), (), "classes")
    with pytest.raises(ScorecraftError, match="no column or array 'z'"):
        file.column("z", (), "classes")


def images(tmp_path, sizes=((4, 3), (4, 3)), mode="RGB"):
    for place, (height, width) in enumerate(sizes):
        folder = tmp_path / f"class{place % 2}"
        folder.mkdir(exist_ok=True)
        pixels = np.full((height, width, 3), 51 * (place + 1), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"{place}.png")
    return tmp_path


def test_images_are_in_0_to_1_and_their_folders_are_classes(tmp_path):
    file = open_inputs(images(tmp_path))
    assert file.shape == (3, 4, 3)
    assert file.names == ["class0/0.png", "class1/1.png"]
    assert file.rows(np.array([1])).unique().tolist() == pytest.approx([102 / 255])
    assert file.column(None, ("label",), "classes").tolist() == [0, 1]


def test_images_of_several_sizes_need_one(tmp_path):
    folder = images(tmp_path, ((4, 3), (5, 3)))
    with pytest.raises(ScorecraftError, match="give a size"):
        open_inputs(folder).rows(np.array([0, 1]))
    assert open_inputs(folder, size=Size(2, 8)).rows(np.array([0, 1])).shape == (2, 3, 2, 8)


def test_grey_images_have_a_channel(tmp_path):
    assert open_inputs(images(tmp_path, mode="L")).shape == (1, 4, 3)


def test_a_folder_of_arrays(tmp_path):
    for place in range(3):
        np.save(tmp_path / f"{place}.npy", X[place])
    assert open_inputs(tmp_path).rows(np.array([2, 1])).tolist() == X[[2, 1]].tolist()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.npy", b"nonsense", "not an array"),
        ("t.npz", b"nonsense", "not an archive"),
        ("t.safetensors", b"nonsense", "not a safetensors file"),
        ("t.parquet", b"nonsense", "not a table"),
        ("t.pkl", b"x", "unknown kind of file"),
        ("t.csv", b"a\nx\n", "which columns"),
        ("a/x.png", b"no image", "not an image"),
        ("a/x.txt", b"", "no .png"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, name, content, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(ScorecraftError, match=message):
        open_inputs(path.parent if "/" in name else path)


@pytest.mark.parametrize(
    ("values", "message"),
    [(X[:0], "no rows"), (X[0], "rows of numbers"), (np.array([["a"]]), "rows of numbers")],
)
def test_arrays_that_are_no_rows_are_told(tmp_path, values, message):
    np.save(tmp_path / "t.npy", values)
    with pytest.raises(ScorecraftError, match=message):
        open_inputs(tmp_path / "t.npy")


def test_pickles_are_refused(tmp_path):
    np.save(tmp_path / "t.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(ScorecraftError, match="not an array of numbers"):
        open_inputs(tmp_path / "t.npy")


def test_what_is_not_finite_is_told_with_its_row(tmp_path):
    bad = X.copy()
    bad[3, 2] = np.nan
    np.save(tmp_path / "t.npy", bad)
    file = open_inputs(tmp_path / "t.npy")
    file.rows(np.array([0, 1]))
    with pytest.raises(ScorecraftError, match="row 3 holds a number that is not finite"):
        file.rows(np.array([2, 3]))


def test_lists_of_unequal_length_are_told(tmp_path):
    pd.DataFrame({"x": [[1.0, 2.0], [1.0]]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ScorecraftError, match="all of one length"):
        open_inputs(tmp_path / "t.parquet")
