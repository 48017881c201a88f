"""Labels, classes, probabilities and groups from the Arrow columns of a file; every complaint names file and row."""

from __future__ import annotations

import math
import re
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.metrics.arrays import SUM_TOLERANCE
from scorecraft.metrics.prediction_file import PredictionFile

if TYPE_CHECKING:
    import pyarrow as pa

MOST_GROUPS = 200
MOST_CLASSES = 1000
OTHER, EMPTY = "(other values)", "(empty)"
_WORDS = {"0": False, "1": True, "false": False, "true": True}
_SEPARATORS = "_-.:/ "
_WHOLE = re.compile(r"(?<=\d)\.0+$")
_SHOWN = 6


class Probabilities(NamedTuple):
    """The columns of probabilities, and the class that each is of: none for one column."""

    columns: tuple[str, ...]
    classes: tuple[str, ...]


def find_probabilities(file: PredictionFile, wanted: list[str], label: str) -> Probabilities:
    """Return the columns of probabilities and their classes.

    A name with ``*`` stands for all columns that match, but the label's. The class of a column is what ``*`` stands
    for; of columns named one by one, what follows the beginning that they share up to a separator, or at all where only
    numbers follow.

    Args:
        file: which has the columns.
        wanted: names or patterns.
        label: the column of labels.

    Raises `ScorecraftError` for a name that is no column, a pattern that matches none, or a column named twice.
    """
    columns: list[str] = []
    for name in wanted:
        if "*" in name and name not in file.names:
            found = [column for column in file.names if fnmatchcase(column, name) and column != label]
            if not found:
                raise ScorecraftError(f"{file.path}: no column matches '{name}'; it has {', '.join(file.names)}")
            columns += found
        else:
            columns.append(name)
    file.check([label, *columns])
    twice = sorted({name for name in columns if columns.count(name) > 1 or name == label})
    if twice:
        raise ScorecraftError(f"{file.path}: '{twice[0]}' is named twice; expected each column once, and not the label")
    if len(columns) > MOST_CLASSES:
        raise ScorecraftError(f"{file.path}: {len(columns)} columns of probabilities; expected at most {MOST_CLASSES}")
    if len(columns) == 1:
        return Probabilities(tuple(columns), ())
    if len(wanted) == 1 and wanted[0].count("*") == 1:
        before, after = wanted[0].split("*")
        classes = [name[len(before) : len(name) - len(after)] for name in columns]
    else:
        alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*columns, strict=False))
        shared = "".join(letters[0] for letters in alike)
        rests = [name[len(shared) :] for name in columns]
        if not all(rest.isdecimal() for rest in rests):
            cut = max(shared.rfind(mark) for mark in _SEPARATORS) + 1
            rests = [name[cut:] for name in columns]
        classes = rests
    return Probabilities(tuple(columns), tuple(classes))


def coded(column: pa.Array, path: Path, name: str) -> tuple[NDArray[np.int64], list[str | None]]:
    """Return the place of each row's value among the distinct ones, and those as text.

    Whole numbers read the same whatever their type: 1.0 is "1". Nulls, empty texts and NaN are None.

    Args:
        column: of numbers, booleans, texts or times.
        path: of the file, for messages.
        name: of the column, for messages.

    Raises `ScorecraftError` for a column of lists or mappings.
    """
    import pyarrow as pa

    try:
        found = column if pa.types.is_dictionary(column.type) else column.dictionary_encode(null_encoding="encode")
    except pa.ArrowException:
        raise ScorecraftError(f"{path}: '{name}' holds {column.type}; expected texts, numbers or booleans") from None
    codes = found.indices.cast(pa.int64()).fill_null(len(found.dictionary)).to_numpy()
    values = [as_text(value) for value in found.dictionary.to_pylist()] + [None]
    return codes, values


def as_text(value: Any) -> str | None:
    """Return a value as the text by which labels and groups are compared; None for nothing.

    Args:
        value: from a file.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return None if math.isnan(value) else str(int(value)) if value.is_integer() else repr(value)
    text = "" if value is None else str(value).strip()
    return _WHOLE.sub("", text) if text else None


def numbers(column: pa.Array, path: Path, name: str, first_row: int) -> Float[np.ndarray, " row"]:
    """Return a column of finite numbers; 32-bit ones stay so.

    Args:
        column: of numbers, or of texts that are numbers.
        path: of the file, for messages.
        name: of the column, for messages.
        first_row: number of the first row, for messages.

    Raises `ScorecraftError` for anything else, with its row.
    """
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise ScorecraftError(f"{path}: row {first_row + row}: '{name}' is empty; expected a number")
    if types.is_string(kind) or types.is_large_string(kind):
        found = _numbers_of_text(column, path, name, first_row)
    elif types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind) or types.is_decimal(kind):
        wanted = pa.float32() if types.is_float32(kind) or types.is_float16(kind) else pa.float64()
        found = column.cast(wanted, safe=False).to_numpy(zero_copy_only=False)
    else:
        raise ScorecraftError(f"{path}: '{name}' holds {kind}; expected numbers")
    wrong = ~np.isfinite(found)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ScorecraftError(f"{path}: row {first_row + row}: '{name}' is {found[row]}; expected a finite number")
    return found


def _numbers_of_text(column: pa.Array, path: Path, name: str, first_row: int) -> NDArray[np.float64]:
    import pyarrow as pa

    try:
        return column.cast(pa.float64()).to_numpy()
    except pa.ArrowException:
        found = np.empty(len(column))
    for place, text in enumerate(column.to_pylist()):
        try:
            found[place] = float(text)
        except ValueError:
            said = "empty" if not text.strip() else repr(text[:40])
            raise ScorecraftError(f"{path}: row {first_row + place}: '{name}' is {said}; expected a number") from None
    return found


def probabilities(
    batch: pa.RecordBatch, columns: tuple[str, ...], path: Path, first_row: int
) -> Float[np.ndarray, " row"] | Float[np.ndarray, "row class"]:
    """Return probabilities of a batch: one column, or a distribution over classes in each row.

    Args:
        batch: with the columns.
        columns: one, or one of each class.
        path: of the file, for messages.
        first_row: number of the first row, for messages.

    Raises `ScorecraftError` for numbers outside [0, 1], or rows of several that do not sum to 1, with the row.
    """
    found = []
    for name in columns:
        column = numbers(batch.column(name), path, name, first_row)
        outside = (column < 0) | (column > 1)
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise ScorecraftError(
                f"{path}: row {first_row + row}: '{name}' is {column[row]:g}; expected a probability in [0, 1]"
            )
        found.append(column)
    if len(found) == 1:
        return found[0]
    table = np.stack(found, axis=1)
    total = table.sum(1, dtype=np.float64)
    off = np.abs(total - 1) > SUM_TOLERANCE
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise ScorecraftError(
            f"{path}: row {first_row + row}: the {len(columns)} probabilities sum to {total[row]:.6g}; expected 1"
        )
    return table


class BinaryLabels:
    """Makes booleans of a column of labels, and remembers which values it has seen."""

    def __init__(self, path: Path, name: str, positive: str | None = None) -> None:
        self.path, self.name, self.positive = path, name, positive
        self.seen: set[str] = set()

    def decode(self, column: pa.Array, first_row: int) -> Bool[np.ndarray, " row"]:
        """Return True for each row of the positive label.

        Args:
            column: of 0 and 1 or booleans, or with ``positive`` of any two values.
            first_row: number of the first row, for messages.

        Raises `ScorecraftError` for an empty label, labels that need ``positive``, or a third value.
        """
        codes, values = coded(column, self.path, self.name)
        used = np.unique(codes)
        meaning = np.zeros(len(values), dtype=np.bool_)
        for code in used.tolist():
            row = first_row + int(np.argmax(codes == code))
            text = values[code]
            if text is None:
                raise ScorecraftError(f"{self.path}: row {row}: '{self.name}' is empty; expected a label")
            meaning[code] = self._meaning(text, row)
            self.seen.add(text)
            if self.positive is not None and len(self.seen - {self.positive}) > 1:
                raise ScorecraftError(
                    f"{self.path}: row {row}: '{self.name}' is '{text}', a third value beside "
                    f"{_listed(self.seen - {text} | {self.positive})}; expected two, or a column of probabilities for "
                    "each class"
                )
        return meaning[codes]

    def _meaning(self, text: str, row: int) -> bool:
        if self.positive is not None:
            return text == self.positive
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        raise ScorecraftError(
            f"{self.path}: row {row}: '{self.name}' is '{text[:40]}'; expected 0 and 1, or say with --positive which "
            "value the probability is of"
        )

    def finish(self) -> None:
        """Raise `ScorecraftError` where no row had the positive label that was named."""
        if self.positive is not None and self.positive not in self.seen:
            raise ScorecraftError(
                f"{self.path}: no row of '{self.name}' is '{self.positive}'; {nearest(self.positive, self.seen)}"
            )


class ClassLabels:
    """Makes the numbers of classes of a column of labels."""

    def __init__(self, path: Path, name: str, probabilities: Probabilities) -> None:
        self.path, self.name, self.classes = path, name, probabilities.classes
        self.places = {text: place for place, text in enumerate(probabilities.columns)}
        self.places |= {text: place for place, text in enumerate(probabilities.classes)}
        if not any(text.isdecimal() for text in probabilities.classes):
            self.places = {str(place): place for place in range(len(self.classes))} | self.places

    def decode(self, column: pa.Array, first_row: int) -> Int64[np.ndarray, " row"]:
        """Return the class of each row, 0 to K - 1 in the order of the columns of probabilities.

        Args:
            column: of the classes' names, of the columns' names, or of numbers from 0 where no class is a number.
            first_row: number of the first row, for messages.

        Raises `ScorecraftError` for an empty or unknown label.
        """
        codes, values = coded(column, self.path, self.name)
        place = np.array([-1 if text is None else self.places.get(text, -1) for text in values])
        found = place[codes]
        if (found < 0).any():
            row = int(np.flatnonzero(found < 0)[0])
            text = values[codes[row]]
            said = "is empty" if text is None else f"is '{text[:40]}', which no column of probabilities is of"
            raise ScorecraftError(
                f"{self.path}: row {first_row + row}: '{self.name}' {said}; {nearest(text or '', self.classes[:20])}"
            )
        return found


class Categories:
    """Numbers the distinct values of a column in the order in which they come."""

    def __init__(self, path: Path, name: str, most: int = MOST_GROUPS, *, merge: bool = False) -> None:
        self.path, self.name, self.most, self.merge = path, name, most, merge
        self.codes: dict[str, int] = {}

    def decode(self, column: pa.Array) -> NDArray[np.int64]:
        """Return the number of each row's value.

        Args:
            column: of any values.

        Raises `ScorecraftError` for more values than ``most``, unless what comes later is to be merged.
        """
        codes, values = coded(column, self.path, self.name)
        mapping = np.zeros(len(values), dtype=np.int64)
        for code in np.unique(codes).tolist():
            text = EMPTY if values[code] is None else values[code]
            if text not in self.codes and len(self.codes) >= self.most:
                if not self.merge:
                    raise ScorecraftError(
                        f"{self.path}: '{self.name}' has more than {self.most} values; expected a column of few groups"
                    )
                text = OTHER
            mapping[code] = self.codes.setdefault(str(text), len(self.codes))
        return mapping[codes]

    @property
    def names(self) -> list[str]:
        """The values by their number."""
        return list(self.codes)


def _listed(values: set[str]) -> str:
    shown = [f"'{value[:40]}'" for value in sorted(values)[:_SHOWN]]
    return " and ".join(shown)
