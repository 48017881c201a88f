"""Labels, probabilities and weights as NumPy arrays, checked, from whatever holds a column of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray

from scorecraft.errors import ScorecraftError

# How far rows of probabilities may be from a sum of 1.
SUM_TOLERANCE = 1e-4


def as_array(values: Any, name: str) -> NDArray[Any]:
    """Return a list, NumPy array, torch tensor, pandas or polars column as a NumPy array, not copied where possible.

    Args:
        values: the numbers.
        name: what they are, for messages.

    Raises `ScorecraftError` for what is no array of numbers or booleans.
    """
    held = values
    if hasattr(held, "detach"):
        held = held.detach().cpu()
        if "bfloat16" in str(held.dtype):  # which NumPy does not have
            held = held.float()
    if hasattr(held, "to_numpy"):
        held = held.to_numpy()
    try:
        found = np.asarray(held)
    except (TypeError, ValueError) as error:
        raise ScorecraftError(f"{name}: expected an array of numbers ({error})") from None
    if found.dtype.kind not in "buif":
        raise ScorecraftError(f"{name}: expected numbers, got {found.dtype} such as {found.ravel()[:1].tolist()}")
    return found


def as_floats(values: Any, name: str, rows: int | None = None) -> Float64[np.ndarray, " row"]:
    """Return a column of finite numbers.

    Args:
        values: see `as_array`.
        name: what they are, for messages.
        rows: how many there must be; any number but none where not given.

    Raises `ScorecraftError` for another shape, no row, another number of rows, or a number that is not finite.
    """
    found = as_array(values, name)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise ScorecraftError(f"{name}: expected one column, got an array of shape {found.shape}")
    _check_rows(found, name, rows)
    numbers = found.astype(np.float64, copy=False)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise ScorecraftError(f"{name}: row {row} is {numbers[row]}; expected a finite number")
    return numbers


def as_binary(values: Any, name: str = "y_true", rows: int | None = None) -> Bool[np.ndarray, " row"]:
    """Return labels of two classes as booleans, True for 1.

    Args:
        values: 0 and 1, or False and True.
        name: what they are, for messages.
        rows: how many there must be.

    Raises `ScorecraftError` for other values, another shape or number of rows.
    """
    numbers = as_floats(values, name, rows)
    other = (numbers != 0) & (numbers != 1)
    if other.any():
        row = int(np.flatnonzero(other)[0])
        raise ScorecraftError(f"{name}: row {row} is {numbers[row]:g}; expected labels 0 and 1")
    return numbers == 1


def as_classes(values: Any, classes: int, name: str = "y_true", rows: int | None = None) -> Int64[np.ndarray, " row"]:
    """Return labels of several classes, 0 to ``classes - 1``.

    Args:
        values: whole numbers.
        classes: how many there are.
        name: what they are, for messages.
        rows: how many rows there must be.

    Raises `ScorecraftError` for a label that is none of the classes.
    """
    numbers = as_floats(values, name, rows)
    wrong = (numbers != np.floor(numbers)) | (numbers < 0) | (numbers >= classes)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ScorecraftError(f"{name}: row {row} is {numbers[row]:g}; expected classes 0 to {classes - 1}")
    return numbers.astype(np.int64)


def as_probabilities(values: Any, name: str = "y_prob", rows: int | None = None) -> Float64[np.ndarray, " row"]:
    """Return probabilities of the class 1.

    Args:
        values: numbers in [0, 1].
        name: what they are, for messages.
        rows: how many there must be.

    Raises `ScorecraftError` for a number outside [0, 1], and what `as_floats` refuses.
    """
    numbers = as_floats(values, name, rows)
    outside = (numbers < 0) | (numbers > 1)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise ScorecraftError(f"{name}: row {row} is {numbers[row]:g}; expected a probability in [0, 1]")
    return numbers


def as_distributions(values: Any, name: str = "y_prob", rows: int | None = None) -> Float64[np.ndarray, "row class"]:
    """Return a distribution over classes in every row; one column of probabilities becomes two classes.

    Args:
        values: ``[row, class]``, or one column of probabilities of the class 1.
        name: what they are, for messages.
        rows: how many rows there must be.

    Raises `ScorecraftError` for numbers outside [0, 1] or rows that do not sum to 1.
    """
    found = as_array(values, name)
    if found.ndim == 1 or found.shape[1:] == (1,):
        column = as_probabilities(found, name, rows)
        return np.stack((1 - column, column), axis=1)
    if found.ndim != 2:
        raise ScorecraftError(f"{name}: expected rows of probabilities, got an array of shape {found.shape}")
    _check_rows(found, name, rows)
    numbers = found.astype(np.float64, copy=False)
    bad = ~np.isfinite(numbers).all(1) | (numbers < 0).any(1) | (numbers > 1).any(1)
    bad |= np.abs(np.where(bad, 1.0, numbers.sum(1)) - 1) > SUM_TOLERANCE
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ScorecraftError(f"{name}: row {row} is {numbers[row].tolist()}; expected numbers in [0, 1] that sum to 1")
    return numbers


def as_weights(values: Any, rows: int, name: str = "sample_weight") -> Float64[np.ndarray, " row"]:
    """Return weights of rows, all 1 where none are given.

    Args:
        values: numbers of at least 0, or None.
        rows: how many rows there are.
        name: what they are, for messages.

    Raises `ScorecraftError` for a negative weight, or weights that are all 0.
    """
    if values is None:
        return np.ones(rows)
    numbers = as_floats(values, name, rows)
    if (numbers < 0).any():
        row = int(np.flatnonzero(numbers < 0)[0])
        raise ScorecraftError(f"{name}: row {row} is {numbers[row]:g}; expected weights of at least 0")
    if not numbers.any():
        raise ScorecraftError(f"{name}: all weights are 0")
    return numbers


def _check_rows(found: NDArray[Any], name: str, rows: int | None) -> None:
    if rows is not None and len(found) != rows:
        raise ScorecraftError(f"{name}: {len(found)} rows, expected {rows} as in the other columns")
    if len(found) == 0:
        raise ScorecraftError(f"{name}: no rows; expected one or more")
