"""Files of predictions, read batch by batch: Parquet, CSV, TSV and JSON Lines, of any size.

What comes out are Arrow batches of the columns that were asked for; `scorecraft.metrics.prediction_columns` makes
labels and probabilities of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from scorecraft.errors import ScorecraftError, nearest, require

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")
BATCH_ROWS = 131_072
BLOCK_BYTES = 4 << 20
# What is read of a text file to learn its columns.
FIRST_BYTES = 1 << 20
SAMPLED_GROUPS = 8
_MARK = b"\xef\xbb\xbf"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PredictionFile:
    """A file and what is known of it before it is read: the columns, and in Parquet the number of rows."""

    path: Path
    names: tuple[str, ...]
    rows: int | None

    def batches(self, columns: Sequence[str], progress: Progress | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows, in batches that hold these columns.

        Args:
            columns: which; each once in the file.
            progress: told how much was read: rows of a Parquet file, else megabytes.

        Raises `ScorecraftError` for a column that is not there or there twice, and rows that cannot be read.
        """
        self.check(columns)
        read = {".parquet": _parquet_batches, ".csv": _csv_batches, ".tsv": _csv_batches}.get(
            self.path.suffix.lower(), _json_batches
        )
        yield from read(self, list(dict.fromkeys(columns)), progress or (lambda done, total: None))

    def sample(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield a few batches: the first one, or from a Parquet file with many row groups one of every eighth of it.

        Args:
            columns: which.

        Raises `ScorecraftError` as `batches` does.
        """
        self.check(columns)
        if self.path.suffix.lower() == ".parquet":
            yield from _parquet_sample(self, list(columns))
            return
        for batch in self.batches(columns):
            yield batch
            return

    def check(self, columns: Sequence[str]) -> None:
        """Raise `ScorecraftError` unless the file has each of these columns, once.

        Args:
            columns: which.
        """
        for name in columns:
            if name not in self.names:
                raise ScorecraftError(f"{self.path}: no column '{name}'; {nearest(name, self.names)}")
            if self.names.count(name) > 1:
                raise ScorecraftError(f"{self.path}: several columns are called '{name}'; expected one")


def open_predictions(path: Path) -> PredictionFile:
    """Return a file's columns, and the number of rows where its format knows them.

    Args:
        path: a Parquet, CSV, TSV or JSON Lines file, by its ending.

    Raises `ScorecraftError` where it is not there, of another kind, empty or unreadable, and where pyarrow is absent.
    """
    require("pyarrow", "metrics", "reading files of predictions")
    if not path.is_file():
        raise ScorecraftError(f"{path}: no such file; expected {', '.join(FORMATS)}")
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ScorecraftError(f"{path}: unknown kind of file '{path.suffix}'; expected {', '.join(FORMATS)}")
    if path.stat().st_size == 0:
        raise ScorecraftError(f"{path}: the file is empty; expected a column of labels and one of probabilities")
    rows = None
    if suffix == ".parquet":
        with _open_parquet(path) as file:
            names, rows = file.schema_arrow.names, file.metadata.num_rows
    elif suffix in (".csv", ".tsv"):
        with path.open("rb") as stream, _open_csv(path, stream, []) as reader:
            try:
                names = reader.schema.names
            except UnicodeDecodeError:
                raise ScorecraftError(f"{path}: its first line is no text in UTF-8; save it as UTF-8") from None
    else:
        names = _json_types(path).names
    if rows == 0:
        raise _no_rows(path)
    return PredictionFile(path, tuple(names), rows)


def _no_rows(path: Path) -> ScorecraftError:
    return ScorecraftError(f"{path}: no rows; expected one or more predictions")


def _open_parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Read through a small buffer, page by page: whole row groups ahead would grow with the file.
        return pq.ParquetFile(str(path), pre_buffer=False, buffer_size=BLOCK_BYTES)
    except (pa.ArrowException, OSError) as error:
        raise ScorecraftError(f"{path}: not a Parquet file ({_short(error)})") from None


def _parquet_batches(file: PredictionFile, columns: list[str], progress: Progress) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    done = 0
    with _open_parquet(file.path) as opened:
        try:
            for batch in opened.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                yield batch.select(columns)
                done += batch.num_rows
                progress(done, file.rows or 0)
        except (pa.ArrowException, OSError) as error:
            raise ScorecraftError(f"{file.path}: unreadable after row {done} ({_short(error)})") from None


def _parquet_sample(file: PredictionFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with _open_parquet(file.path) as opened:
        groups = opened.num_row_groups
        chosen = sorted({place * groups // SAMPLED_GROUPS for place in range(SAMPLED_GROUPS)})
        rows = BATCH_ROWS if len(chosen) == 1 else BATCH_ROWS // 4
        for group in chosen:
            for batch in opened.iter_batches(batch_size=rows, row_groups=[group], columns=columns):
                yield batch.select(columns)
                break


def _open_csv(path: Path, stream: BinaryIO, columns: Sequence[str]) -> Any:
    """Return a reader of these columns as text, of all where there are none."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        return csv.open_csv(
            stream,
            read_options=csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(
                delimiter="\t" if path.suffix.lower() == ".tsv" else ",", newlines_in_values=True
            ),
            # Numbers are told from text later, where it is known which row a bad one is in.
            convert_options=csv.ConvertOptions(
                include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string())
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ScorecraftError(f"{path}: not a table of comma-separated texts in UTF-8 ({_short(error)})") from None


def _csv_batches(file: PredictionFile, columns: list[str], progress: Progress) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    done, size = 0, os.path.getsize(file.path)
    with file.path.open("rb") as stream, _open_csv(file.path, stream, columns) as reader:
        try:
            for batch in reader:
                yield batch
                done += batch.num_rows
                progress(stream.tell() >> 20, max(1, size >> 20))
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise ScorecraftError(f"{file.path}: unreadable after row {done} ({_short(error)})") from None


def _json_types(path: Path) -> pa.Schema:
    """Return the columns of a JSON Lines file, with their types, as its first rows have them."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    with path.open("rb") as stream:
        for block in _blocks(stream, FIRST_BYTES):
            try:
                found = arrow_json.read_json(
                    pa.BufferReader(block), read_options=arrow_json.ReadOptions(block_size=max(len(block), 1))
                )
                return found.schema
            except pa.ArrowException:
                return _plain_table(path, block, 0, None).schema
    raise _no_rows(path)


def _json_batches(file: PredictionFile, columns: list[str], progress: Progress) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import json as arrow_json

    types = _json_types(file.path)
    schema = pa.schema([types.field(name) for name in columns])
    options = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    done, size = 0, os.path.getsize(file.path)
    with file.path.open("rb") as stream:
        for block in _blocks(stream, BLOCK_BYTES):
            try:
                reading = arrow_json.ReadOptions(block_size=len(block))
                table = arrow_json.read_json(pa.BufferReader(block), read_options=reading, parse_options=options)
            except pa.ArrowException:
                # Not JSON, or another type than in the first rows, or NaN: read again by what says in which row.
                table = _plain_table(file.path, block, done, columns)
            yield from table.select(columns).combine_chunks().to_batches()
            done += table.num_rows
            progress(stream.tell() >> 20, max(1, size >> 20))


def _blocks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield whole lines, together about ``size`` bytes, without blank blocks and without a byte order mark."""
    rest = b""
    first = True
    while block := stream.read(size):
        block = block.removeprefix(_MARK) if first else block
        first = False
        end = block.rfind(b"\n") + 1
        if not end:
            rest += block
            continue
        whole, rest = rest + block[:end], block[end:]
        if whole.strip():
            yield whole
    if rest.strip():
        yield rest


def _plain_table(path: Path, block: bytes, before: int, columns: Sequence[str] | None) -> pa.Table:
    """Return lines of JSON as a table; a column of several types becomes text."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    for line in block.split(b"\n"):
        if not line.strip():
            continue
        number = before + len(rows) + 1
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ScorecraftError(f"{path}: row {number}: not JSON ({error}); expected one object a line") from None
        if not isinstance(row, dict):
            raise ScorecraftError(f"{path}: row {number}: expected an object, got {type(row).__name__}")
        rows.append(row)
    names = columns or list(dict.fromkeys(name for row in rows for name in row))
    held = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            held[name] = pa.array(values)
        except (pa.ArrowException, OverflowError):
            held[name] = pa.array([None if value is None else json.dumps(value).strip('"') for value in values])
    return pa.table(held)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
