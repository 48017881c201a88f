"""Columns of stored rollouts as arrays: one entry per rollout, or one per token with the padding cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow


def flat(table: pyarrow.Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a list column's values one after the other, and how many each rollout has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column(name)
    if pa.types.is_null(column.type):
        return np.zeros(0, np.float32), np.zeros(len(column), np.int64)
    lengths = pc.call_function("list_value_length", [column]).fill_null(0)
    values = pc.call_function("list_flatten", [column])
    return values.to_numpy(), lengths.to_numpy().astype(np.int64)


def aligned(table: pyarrow.Table, name: str, lengths: np.ndarray) -> np.ndarray:
    """Return a list column with exactly one value per token: padding cut off, what is missing 0."""
    values, own = flat(table, name)
    if np.array_equal(own, lengths):
        return np.nan_to_num(values.astype(np.float32))
    position = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    present = position < np.repeat(own, lengths)
    source = np.repeat(np.cumsum(own) - own, lengths) + position
    out = np.zeros(len(position), np.float32)
    out[present] = values[source[present]]
    return np.nan_to_num(out)


def any_token(table: pyarrow.Table, name: str) -> np.ndarray:
    """Return True for each rollout that has a token whose value is not 0."""
    values, lengths = flat(table, name)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    return np.bincount(owner[np.nan_to_num(values.astype(np.float32)) != 0], minlength=len(lengths)) > 0


def numbers(table: pyarrow.Table, name: str) -> np.ndarray:
    """Return a column of numbers as floats; NaN where there is none, or no such column."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    values = table.column(name).to_pylist()
    return np.array([np.nan if value is None else value for value in values], np.float64)
