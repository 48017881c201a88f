"""Reads answers to be checked twice: a completion, the true answer and, on some rows, what a person said of it.

JSON Lines, CSV and Parquet. Columns are found by their usual names, or named.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scorecraft.columns import ANSWERS, COMPLETIONS, PROMPTS
from scorecraft.errors import ScorecraftError, nearest, require

LABELS = ("label", "correct", "is_correct", "human", "human_label")
FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
MOST_SHOWN = 5
_WORDS = {
    "true": True, "1": True, "1.0": True, "yes": True, "correct": True, "right": True,
    "false": False, "0": False, "0.0": False, "no": False, "wrong": False, "incorrect": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what; None to find it by its usual names. ``by`` holds what rates are told apart by."""

    completion: str | None = None
    answer: str | None = None
    label: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answer: its row in the file (from 1), the completion, the true answer, and the label where there is one."""

    number: int
    completion: str
    answer: str
    label: bool | None = None
    by: str = ""
    prompt: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read_answer_rows(path: Path, columns: Columns | None = None) -> list[AnswerRow]:
    """Return the rows of a file.

    Args:
        path: a JSON Lines, CSV, TSV or Parquet file.
        columns: which column holds what.

    Raises `ScorecraftError` where it cannot be read, lacks a column, or has rows that are not understood (the first
    five are named).
    """
    columns = columns or Columns()
    if not path.is_file():
        raise ScorecraftError(f"{path}: no such file; expected {', '.join(FORMATS)}")
    raw = list(_raw_rows(path))
    if not raw:
        raise ScorecraftError(f"{path}: no rows; expected completions with their true answers")
    present = list(dict.fromkeys(name for _, row in raw for name in row))
    named = _named(path, columns, present)
    rows, bad = [], []
    for number, row in raw:
        try:
            rows.append(_row(number, row, named))
        except ValueError as error:
            bad.append(f"{path}: row {number}: {error}")
    if bad:
        more = f"\n... and {len(bad) - MOST_SHOWN} more" if len(bad) > MOST_SHOWN else ""
        raise ScorecraftError("\n".join(bad[:MOST_SHOWN]) + more)
    return rows


def _raw_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    if suffix in (".csv", ".tsv"):
        return _csv(path, "\t" if suffix == ".tsv" else ",")
    if suffix in FORMATS:
        return _json_lines(path)
    raise ScorecraftError(f"{path}: unknown kind of file '{path.suffix}'; expected {', '.join(FORMATS)}")


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.removeprefix(b"\xef\xbb\xbf").strip():
                continue
            try:
                row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except (ValueError, RecursionError) as error:
                raise ScorecraftError(
                    f"{path}: line {number}: not JSON ({error}); expected one object a line"
                ) from None
            if not isinstance(row, dict):
                raise ScorecraftError(f"{path}: line {number}: expected an object, got {type(row).__name__}")
            yield number, row


def _csv(path: Path, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    csv.field_size_limit(2**30)
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            for number, row in enumerate(csv.DictReader(file, delimiter=delimiter, strict=True), start=1):
                row.pop(None, None)  # pyright: ignore[reportCallIssue, reportArgumentType] - cells beyond the header
                yield number, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise ScorecraftError(f"{path}: not a table of comma-separated texts in UTF-8 ({error})") from None


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    require("pyarrow", "lm", "reading Parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(str(path))
    except (pa.ArrowException, OSError) as error:
        raise ScorecraftError(f"{path}: not a Parquet file ({str(error)[:80]})") from None
    number = 0
    with file:
        for batch in file.iter_batches(batch_size=4096):
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _named(path: Path, columns: Columns, present: Sequence[str]) -> Columns:
    """Return the columns with all names filled in that the file has."""

    def find(given: str | None, usual: Sequence[str], what: str, taken: Sequence[str | None] = ()) -> str | None:
        if given is not None:
            if given not in present:
                raise ScorecraftError(f"{path}: no column '{given}' for {what}; {nearest(given, present)}")
            return given
        return next((name for name in usual if name in present and name not in taken), None)

    completion = find(columns.completion, COMPLETIONS, "the completions")
    answer = find(columns.answer, ANSWERS, "the true answers")
    for found, usual, option in (
        (completion, COMPLETIONS, "--completion-column"),
        (answer, ANSWERS, "--answer-column"),
    ):
        if found is None:
            raise ScorecraftError(
                f"{path}: expected a column {' or '.join(usual)}, it has {', '.join(present)}; name it with {option}"
            )
    label = find(columns.label, LABELS, "the labels", (completion, answer))
    return Columns(completion, answer, label, find(columns.by, (), "what rates are told apart by"))


def _row(number: int, row: Mapping[str, Any], columns: Columns) -> AnswerRow:
    assert columns.completion is not None
    assert columns.answer is not None
    prompt = next((row[name] for name in PROMPTS if isinstance(row.get(name), str)), "")
    metadata = row.get("metadata")
    if isinstance(metadata, str) and metadata:
        metadata = json.loads(metadata)
    return AnswerRow(
        number,
        _text(columns.completion, row.get(columns.completion), last=True),
        _text(columns.answer, row.get(columns.answer)),
        _label(columns.label, row.get(columns.label)) if columns.label else None,
        str(row.get(columns.by)) if columns.by else "",
        prompt,
        metadata if isinstance(metadata, Mapping) else {},
    )


def _text(column: str, value: Any, *, last: bool = False) -> str:
    """Return a text or number as text, or what the last message of a conversation says."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    if last and isinstance(value, list) and value and isinstance(value[-1], Mapping):
        content = value[-1].get("content")
        if isinstance(content, str):
            return content
    raise ValueError(f"column '{column}': expected a text, got {value!r:.60}")


def _label(column: str, value: Any) -> bool | None:
    if value is None or value == "" or value != value:  # noqa: PLR0124 - NaN is not itself
        return None
    found = value if isinstance(value, bool) else _WORDS.get(str(value).strip().lower())
    if found is None:
        raise ValueError(f"column '{column}': expected true or false, 1 or 0, correct or wrong, got {value!r:.40}")
    return found
