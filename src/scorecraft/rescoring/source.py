"""Files of completions, read in parts of whole groups: a part can be read by itself, by any process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from scorecraft.errors import ScorecraftError, require
from scorecraft.rescoring.rows import Columns, CompletionRow, Format, find_format


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of one file: its place among all parts, the file, the first row there (from 0), how many rows, and
    where they begin (the byte of a JSON Lines file, the row of a Parquet file)."""

    index: int
    file: int
    first_row: int
    rows: int
    offset: int


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be read: the file, its row or line (from 1), and why."""

    file: str
    row: int
    reason: str

    def __str__(self) -> str:
        """Return place and reason."""
        return f"{self.file}:{self.row}: {self.reason}"


@dataclass(frozen=True)
class Source:
    """Completions in Parquet or JSON Lines files, or a run's folder."""

    path: Path
    columns: Columns

    @cached_property
    def files(self) -> list[Path]:
        """The files, in order. Raises `ScorecraftError` where there are none, or not of a known kind."""
        path = self.path
        if not path.exists():
            raise ScorecraftError(f"{path}: there is no such file or folder")
        if path.is_dir():
            inner = path / "rollouts" if (path / "rollouts").is_dir() else path
            found = sorted([*inner.glob("*.parquet"), *inner.glob("*.jsonl")])
            if not found:
                raise ScorecraftError(f"{path}: no .parquet or .jsonl file in this folder")
            return found
        if path.suffix not in (".parquet", ".jsonl"):
            raise ScorecraftError(f"{path}: expected a .parquet or .jsonl file, or a folder of such")
        return [path]

    @cached_property
    def format(self) -> Format:
        """How the rows are read, by the columns of the first file that has any."""
        for file in self.files:
            if names := _column_names(file):
                return find_format(names, self.columns)
        raise ScorecraftError(f"{self.path}: no rows; expected completions")

    def parts(self, rows: int, *, whole_groups: bool) -> Iterator[Part]:
        """Yield parts of about ``rows`` rows, each in one file.

        whole_groups: end a part only where the group changes, and refuse groups whose rows do not stand together.
        """
        index = 0
        seen: set[int] = set()
        for number, file in enumerate(self.files):
            boundaries = _Boundaries(rows, whole_groups, file, seen)
            count = 0
            for offset, key in self._starts(number, keys=whole_groups):
                done = boundaries.next(count, offset, key)
                if done:
                    yield Part(index, number, *done)
                    index += 1
                count += 1
            if done := boundaries.finish(count):
                yield Part(index, number, *done)
                index += 1
            seen.clear()  # a step of a run, or a file of a dump, has groups of its own

    def read(self, part: Part) -> list[CompletionRow | BadRow]:
        """Return the rows of a part."""
        file = self.files[part.file]
        return [self._row(file, part.first_row + place, row) for place, row in enumerate(self._raw(part))]

    def _row(self, file: Path, place: int, row: Mapping[str, Any] | str) -> CompletionRow | BadRow:
        if isinstance(row, str):
            return BadRow(file.name, place + 1, row)
        try:
            return self.format.read(row)
        except ScorecraftError as error:
            return BadRow(file.name, place + 1, str(error))
        except (KeyError, TypeError, AttributeError) as error:
            return BadRow(file.name, place + 1, f"not a row of format '{self.format.name}' ({error!r:.80})")

    def _raw(self, part: Part) -> Sequence[Mapping[str, Any] | str]:
        file = self.files[part.file]
        if file.suffix == ".parquet":
            return _parquet_rows(file, part.offset, part.rows, self.format.columns)
        with file.open("rb") as stream:
            stream.seek(part.offset)
            return [_json_row(stream.readline()) for _ in range(part.rows)]

    def _starts(self, number: int, *, keys: bool) -> Iterator[tuple[int, Any]]:
        """Yield where each row begins, and its group where that is asked for."""
        file = self.files[number]
        if file.suffix == ".parquet":
            total = _parquet_count(file)
            if not keys:
                yield from ((row, None) for row in range(total))
                return
            step = 4096
            for first in range(0, total, step):
                for place, row in enumerate(_parquet_rows(file, first, step, self.format.columns)):
                    yield first + place, self._key(file, first + place, row)
            return
        with file.open("rb") as stream:
            offset = 0
            for place, line in enumerate(stream):
                yield offset, self._key(file, place, _json_row(line)) if keys else None
                offset += len(line)

    def _key(self, file: Path, place: int, row: Mapping[str, Any] | str) -> Any:
        read = self._row(file, place, row)
        return read.key if isinstance(read, CompletionRow) else None


class _Boundaries:
    """Decides where a part ends."""

    def __init__(self, rows: int, whole_groups: bool, file: Path, seen: set[int]) -> None:
        self.rows, self.whole_groups, self.file, self.seen = rows, whole_groups, file, seen
        self.first, self.offset, self.key = 0, 0, object()

    def next(self, row: int, offset: int, key: Any) -> tuple[int, int, int] | None:
        """Take a row; return (first row, rows, offset) of a part that ends before it, or nothing."""
        changed = not self.whole_groups or key != self.key
        if self.whole_groups and changed and key is not None:
            self._refuse_scattered(row, key)
        done = None
        if row == 0:
            self.offset = offset
        elif changed and row - self.first >= self.rows:
            done = (self.first, row - self.first, self.offset)
            self.first, self.offset = row, offset
        if key is not None or not self.whole_groups:
            self.key = key
        return done

    def finish(self, row: int) -> tuple[int, int, int] | None:
        """Return the last part, if it has rows."""
        return (self.first, row - self.first, self.offset) if row > self.first else None

    def _refuse_scattered(self, row: int, key: Any) -> None:
        # 8 bytes of a hash for each group instead of its prompt; a collision would be an error nobody can mend, and
        # with 64 bits it does not happen.
        mark = hash(json.dumps(key, default=str))
        if mark in self.seen:
            raise ScorecraftError(
                f"{self.file.name}:{row + 1}: the rows of this group do not stand together, and these rewards compare "
                "the completions of a group; sort the file by its groups, or name the group with --group-column"
            )
        self.seen.add(mark)


def _column_names(file: Path) -> list[str]:
    if file.suffix == ".parquet":
        return _parquet(file).schema_arrow.names if _parquet_count(file) else []
    with file.open("rb") as stream:
        for line in stream:
            row = _json_row(line)
            if not isinstance(row, str):
                return list(row)
    return []


def _json_row(line: bytes) -> Mapping[str, Any] | str:
    """Return the row, or what is wrong with it."""
    if not line.strip():
        return "an empty line"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})"
    return row if isinstance(row, dict) else f"expected an object, got {type(row).__name__}"


@lru_cache(maxsize=4)
def _parquet(file: Path) -> Any:
    require("pyarrow", "lm", "reading Parquet files")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(str(file))
    except (OSError, pa.ArrowInvalid) as error:
        raise ScorecraftError(f"{file}: not a readable Parquet file ({error})") from error


def _parquet_count(file: Path) -> int:
    return _parquet(file).metadata.num_rows


def _parquet_rows(file: Path, first: int, rows: int, columns: Sequence[str]) -> list[Mapping[str, Any]]:
    opened = _parquet(file)
    found: list[Mapping[str, Any]] = []
    start = 0
    for number in range(opened.metadata.num_row_groups):
        size = opened.metadata.row_group(number).num_rows
        low, high = max(first, start), min(first + rows, start + size)
        if low < high:
            table = _row_group(file, number, tuple(name for name in columns if name in opened.schema_arrow.names))
            found += table.slice(low - start, high - low).to_pylist()
        start += size
    return found


@lru_cache(maxsize=2)
def _row_group(file: Path, number: int, columns: tuple[str, ...]) -> Any:
    # Parts follow one another, so that a large row group is decoded once and not once for each of its parts.
    return _parquet(file).read_row_group(number, columns=list(columns))
