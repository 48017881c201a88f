"""Inputs of a model, features or logits in files: arrays, tables, and folders of images. Nothing is unpickled.

Rows are read when they are asked for: those of a ``.npy`` file and of a folder stay on the disk until then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scorecraft.errors import ScorecraftError, nearest, require

ARRAYS, TABLES = (".npy", ".npz", ".safetensors"), (".parquet", ".csv")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
# The usual names of arrays and columns.
CLASSES = ("label", "labels", "y", "class", "classes", "target", "targets")
TRUTHS = ("outside", "is_out", "ood", "out_of_distribution")
VALUES = ("x", "inputs", "features", "embeddings", "logits", "images", "data")
NAMES = ("id", "row", "index", "name", "file", "score", "flagged")

Take = Callable[[NDArray[np.int64]], Tensor]


class Size(NamedTuple):
    """Rows and columns of pixels."""

    height: int
    width: int


@dataclass(frozen=True)
class InputFile:
    """Rows that can be read a few at a time.

    Args:
        path: where they are.
        count: number of rows.
        shape: of one row.
        take: returns the rows of these places.
        array: which array or columns they are, where the file has several.
        columns: the other columns of numbers, by name.
        names: what each row is called, where it is a file of its own.
        mark: changes when the file does.
    """

    path: Path
    count: int
    shape: tuple[int, ...]
    take: Take
    mark: str
    array: tuple[str, ...] = ()
    columns: Mapping[str, Callable[[], NDArray[Any]]] = field(default_factory=dict)
    names: Sequence[str] | None = None

    def rows(self, places: NDArray[np.int64]) -> Tensor:
        """Return rows, in order; raises `ScorecraftError` for a number that is not finite."""
        found = self.take(places)
        if found.is_floating_point() and not torch.isfinite(found).all():
            bad = int((~torch.isfinite(found.flatten(1))).any(1).nonzero()[0])
            name = f"row {places[bad]}" if self.names is None else self.names[int(places[bad])]
            raise ScorecraftError(f"{self.path}: {name} holds a number that is not finite; leave such rows out")
        return found

    def column(self, named: str | None, usual: Sequence[str], what: str) -> NDArray[Any] | None:
        """Return one number for each row: of a named array, column or ``.npy`` file, or of a usual name.

        Args:
            named: its name, or None.
            usual: names to look for where it is None.
            what: it holds, for messages.

        Raises `ScorecraftError` where the name is not there or the numbers are not one for each row.
        """
        name = named if named is not None else next((name for name in usual if name in self.columns), None)
        if name is None:
            return None
        if name in self.columns:
            found = self.columns[name]()
        elif Path(name).suffix.lower() == ".npy" and Path(name).is_file():
            found = _numpy(Path(name))
        else:
            raise ScorecraftError(f"{self.path}: no column or array '{name}' of {what}: {nearest(name, self.columns)}")
        if found.shape != (self.count,) or found.dtype.kind not in "buif":
            raise ScorecraftError(
                f"{self.path}: expected one number of {what} for each of {self.count} rows, got '{name}' with shape "
                f"{found.shape} and type {found.dtype}"
            )
        return found


def open_inputs(path: Path, array: Sequence[str] = (), size: Size | None = None) -> InputFile:
    """Return the rows of a file or folder.

    Args:
        path: ``.npy``, ``.npz`` or ``.safetensors`` with rows along the first axis; ``.parquet`` or ``.csv`` with a
            column of lists or columns of numbers; a folder of images, or of ``.npy`` files with a row each.
        array: which array of the file, or which columns; found where there is only one, or one of a usual name.
        size: that images are brought to.

    Raises `ScorecraftError` where it is not there, cannot be read, has no rows or several arrays to choose from.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        found = _open_folder(path, size)
    elif not path.is_file():
        raise ScorecraftError(f"{path}: no such file; expected {', '.join((*ARRAYS, *TABLES))} or a folder")
    elif suffix in TABLES:
        found = _open_table(path, array)
    elif suffix in ARRAYS:
        found = _open_arrays(path, array)
    else:
        raise ScorecraftError(
            f"{path}: unknown kind of file '{path.suffix}'; expected {', '.join((*ARRAYS, *TABLES))} or a folder"
        )
    if not found.count:
        raise ScorecraftError(f"{path}: no rows; expected one or more")
    return found


def _mark(path: Path) -> str:
    stamp = path.stat()
    return f"{path.resolve()} {stamp.st_size} {stamp.st_mtime_ns}"


def _numpy(path: Path) -> NDArray[Any]:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ScorecraftError(f"{path}: not an array of numbers ({error})") from None


def _open_arrays(path: Path, array: Sequence[str]) -> InputFile:
    if len(array) > 1:
        raise ScorecraftError(f"{path}: expected one array, got {', '.join(array)}")
    if path.suffix.lower() == ".npy":
        if array:
            raise ScorecraftError(f"{path}: a .npy file holds a single array, none of the name '{array[0]}'")
        return _rows_of(path, _numpy(path), (), {})
    arrays = _npz(path) if path.suffix.lower() == ".npz" else _safetensors(path)
    name = array[0] if array else _chosen(path, list(arrays))
    if name not in arrays:
        raise ScorecraftError(f"{path}: no array '{name}': {nearest(name, arrays)}")
    others = {other: _as_numpy(read) for other, read in arrays.items() if other != name}
    return _rows_of(path, arrays[name](), (name,), others)


def _chosen(path: Path, names: Sequence[str]) -> str:
    usual = [name for name in VALUES if name in names]
    left = usual[:1] or [name for name in names if name not in (*CLASSES, *TRUTHS)]
    if len(left) != 1:
        raise ScorecraftError(f"{path}: which array? It holds {', '.join(sorted(names)) or 'none'}; name one")
    return left[0]


def _npz(path: Path) -> dict[str, Callable[[], Any]]:
    from zipfile import BadZipFile

    try:
        archive = np.load(path, allow_pickle=False)
        names = list(archive.files)
    except (ValueError, OSError, EOFError, BadZipFile, AttributeError) as error:
        raise ScorecraftError(f"{path}: not an archive of arrays ({error})") from None

    def reader(name: str) -> Callable[[], Any]:
        def read() -> Any:
            try:
                return archive[name]
            except (ValueError, OSError, EOFError, BadZipFile) as error:
                raise ScorecraftError(f"{path}: the array '{name}' cannot be read ({error})") from None

        return read

    return {name: reader(name) for name in names}


def _safetensors(path: Path) -> dict[str, Callable[[], Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as archive:
            names = list(archive.keys())
    except (SafetensorError, OSError) as error:
        raise ScorecraftError(f"{path}: not a safetensors file ({error})") from None

    def reader(name: str) -> Callable[[], Any]:
        def read() -> Any:
            with safe_open(path, "pt") as archive:
                return archive.get_tensor(name)

        return read

    return {name: reader(name) for name in names}


def _as_numpy(read: Callable[[], Any]) -> Callable[[], NDArray[Any]]:
    return lambda: np.asarray(read())


def _rows_of(
    path: Path, values: Any, array: tuple[str, ...], columns: Mapping[str, Callable[[], NDArray[Any]]]
) -> InputFile:
    numeric = isinstance(values, Tensor) or values.dtype.kind in "buif"
    if not numeric or values.ndim < 2:
        raise ScorecraftError(
            f"{path}: expected rows of numbers, an array [row, ...]; got shape {tuple(values.shape)}, {values.dtype}"
        )

    def take(places: NDArray[np.int64]) -> Tensor:
        if isinstance(values, Tensor):
            return values[torch.from_numpy(places)]
        found = values[places]
        return torch.from_numpy(np.ascontiguousarray(found, found.dtype.newbyteorder("=")))

    return InputFile(path, len(values), tuple(values.shape[1:]), take, _mark(path), array, columns)


def _open_table(path: Path, array: Sequence[str]) -> InputFile:
    require("pyarrow", "lm", f"reading {path.suffix}")
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path) if path.suffix.lower() == ".parquet" else pyarrow.csv.read_csv(path)
    except (pa.ArrowException, OSError) as error:
        raise ScorecraftError(f"{path}: not a table that can be read ({str(error).splitlines()[0]})") from None
    kinds = {name: table.schema.field(name).type for name in dict.fromkeys(table.column_names)}
    lists = [name for name, kind in kinds.items() if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)]
    numbers = [name for name, kind in kinds.items() if _is_number(kind)]
    aside = {*CLASSES, *TRUTHS, *NAMES}
    chosen = list(array) or lists or [name for name in numbers if name not in aside]
    for name in chosen:
        if name not in kinds:
            raise ScorecraftError(f"{path}: no column '{name}': {nearest(name, kinds)}")
    if not chosen or (lists and len(chosen) > 1 and set(chosen) & set(lists)):
        raise ScorecraftError(f"{path}: which columns? It has {', '.join(kinds) or 'none'}; name one of lists, or some")
    values = (
        _from_lists(path, table, chosen[0]) if chosen[0] in lists
        else np.stack([_from_numbers(path, table, name) for name in chosen], axis=1)
    )  # fmt: skip
    others = {name: _later(path, table, name) for name in numbers if name not in chosen}
    return _rows_of(path, values, tuple(chosen), others)


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _later(path: Path, table: Any, name: str) -> Callable[[], NDArray[Any]]:
    return lambda: _from_numbers(path, table, name)


def _from_numbers(path: Path, table: Any, name: str) -> NDArray[Any]:
    column = table.column(name)
    if not _is_number(column.type) or column.null_count:
        what = f"{column.null_count} missing values" if column.null_count else str(column.type)
        raise ScorecraftError(f"{path}: column '{name}': expected a number in every row, got {what}")
    return column.to_numpy()


def _from_lists(path: Path, table: Any, name: str) -> NDArray[Any]:
    column = table.column(name).combine_chunks()
    flat = column.flatten()
    lengths = set(np.unique(column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)).tolist())
    if column.null_count or flat.null_count or len(lengths) > 1 or not _is_number(flat.type):
        raise ScorecraftError(
            f"{path}: column '{name}': expected a list of numbers in every row, all of one length, got lengths "
            f"{sorted(lengths)[:5]} of {flat.type}"
        )
    return flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)


def _open_folder(path: Path, size: Size | None) -> InputFile:
    files = sorted(
        file for file in path.rglob("*")
        if file.is_file() and file.suffix.lower() in (*IMAGES, ".npy")
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )  # fmt: skip
    if not files:
        raise ScorecraftError(f"{path}: no {', '.join((*IMAGES, '.npy'))} in this folder")
    if any(file.suffix.lower() == ".npy" for file in files) and any(file.suffix.lower() in IMAGES for file in files):
        raise ScorecraftError(f"{path}: images and .npy files are mixed; expected files of one kind")
    read = _array_reader() if files[0].suffix.lower() == ".npy" else _image_reader(files[0], size)
    shape = tuple(read(files[0]).shape)

    def take(places: NDArray[np.int64]) -> Tensor:
        found = []
        for place in places:
            row = read(files[int(place)])
            if row.shape != shape:
                hint = "" if files[0].suffix.lower() == ".npy" else "; give a size that all are brought to"
                raise ScorecraftError(
                    f"{files[int(place)]}: has shape {tuple(row.shape)}, the first file has {shape}{hint}"
                )
            found.append(row)
        return torch.stack(found)

    names = [file.relative_to(path).as_posix() for file in files]
    folders = [name.rpartition("/")[0] for name in names]
    columns: dict[str, Callable[[], NDArray[Any]]] = {}
    if len(set(folders)) > 1:  # images sorted into a folder for each class
        columns["label"] = lambda: np.unique(folders, return_inverse=True)[1]
    return InputFile(path, len(files), shape, take, "\n".join(map(_mark, files)), (), columns, names)


def _array_reader() -> Callable[[Path], Tensor]:
    def read(path: Path) -> Tensor:
        found = _numpy(path)
        if found.dtype.kind not in "buif" or not found.ndim:
            raise ScorecraftError(f"{path}: expected an array of numbers, got {found.dtype} of shape {found.shape}")
        return torch.from_numpy(np.array(found, found.dtype.newbyteorder("=")))

    return read


def _image_reader(first: Path, size: Size | None) -> Callable[[Path], Tensor]:
    """Return what reads images as ``[channel, y, x]`` in [0, 1], all with as many channels as the first."""
    require("PIL", "detect", "reading images")
    from PIL import Image

    def opened(path: Path, mode: str | None) -> Any:
        try:
            with Image.open(path) as image:
                return image.convert(mode or ("L" if image.mode in ("1", "L", "LA") else "RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ScorecraftError(f"{path}: not an image that can be read ({error})") from None

    mode = opened(first, None).mode

    def read(path: Path) -> Tensor:
        image = opened(path, mode)
        if size is not None:
            image = image.resize((size.width, size.height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255)
        return pixels[None] if pixels.ndim == 2 else pixels.movedim(-1, 0)

    return read
