"""Scores a JSON Lines file of traces as a stream, and goes on where a stopped command was.

Records are added to one file, a line each, as soon as some traces are done, and put on the disk. A line that a kill cut
off is removed; every record holds the hash of the line that it is of, so that a changed file is noticed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import IO, Any

from scorecraft.distill.trace_encoding import EncodedTrace, Trace, TraceColumns, read_trace
from scorecraft.distill.trace_scoring import TraceScorer
from scorecraft.distill.trace_selection import TraceRecord
from scorecraft.errors import ScorecraftError

Progress = Callable[[int, int], None]

# So many rows, or tokens of so many batches, are read before they are sorted by length, scored and written: a kill
# loses no more.
ROWS_AT_ONCE, BATCHES_AT_ONCE = 256, 8


@dataclass(frozen=True, slots=True)
class DroppedTrace:
    """A row that has no score: its row in the file, from 1, and why."""

    row: int
    reason: str


@dataclass(frozen=True)
class ScoredTraces:
    """What a file of records holds: the scored traces and those that could not be, each in the order of their rows."""

    records: list[TraceRecord]
    dropped: list[DroppedTrace]


@dataclass(frozen=True, slots=True)
class _Line:
    row: int
    digest: str
    text: bytes


def score_trace_file(
    file: Path,
    out: Path,
    scorer: TraceScorer,
    *,
    columns: TraceColumns | None = None,
    rows: Collection[int] | None = None,
    progress: Progress = lambda done, total: None,
) -> ScoredTraces:
    """Score the traces of a JSON Lines file that ``out`` has no record of yet, and return all records that it has.

    Args:
        file: one JSON object a line; see `read_trace`.
        out: JSON Lines of records; made where it is not there.
        scorer: student and settings; they must be those of the records that are there already.
        columns: which column holds what.
        rows: rows to score, from 1; all where not given.
        progress: told how many rows of how many are done.

    Raises `ScorecraftError` where the file is not there or changed since its rows were scored, where ``out`` is of
    another student or other settings, where another process writes it, or for no room on the disk.
    """
    total = count_rows(file) if rows is None else len(rows)
    if not total:
        raise ScorecraftError(f"{file}: no rows; expected one JSON object a line")
    with _appending(out) as stream:
        known = _scored_already(out, stream, _settings_key(scorer))
        done = len(known) if rows is None else len(set(rows) & set(known))
        progress(done, total)
        window = _Window(stream, scorer)
        for line in _lines(file):
            if line.row in known:
                _check_unchanged(file, line, known[line.row], out)
                continue
            if rows is not None and line.row not in rows:
                continue
            window.add(line, columns)
            if window.full:
                done += window.close()
                progress(done, total)
        progress(done + window.close(), total)
    return read_records(out)


def read_records(path: Path) -> ScoredTraces:
    """Return what `score_trace_file` wrote; raises `ScorecraftError` where there is none or it is something else."""
    if not path.is_file():
        raise ScorecraftError(f"{path}: no such file; expected the records of scored traces")
    records, dropped = [], []
    for line in _lines(path):
        data = _parsed(line.text)
        if "dropped" in data:
            dropped.append(DroppedTrace(int(data["row"]), str(data["dropped"])))
        else:
            records.append(TraceRecord.from_data(data))
    return ScoredTraces(
        sorted(records, key=lambda record: record.row), sorted(dropped, key=lambda dropped: dropped.row)
    )


def write_rows(file: Path, rows: Collection[int], out: Path) -> int:
    """Write the given rows of a JSON Lines file, as they are, to another; return how many there were."""
    written, aside = 0, out.with_name(f".tmp-{os.getpid()}-{out.name}")
    try:
        with aside.open("wb") as stream:
            for line in _lines(file):
                if line.row in rows:
                    stream.write(line.text.rstrip(b"\r\n") + b"\n")
                    written += 1
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, out)
    finally:
        aside.unlink(missing_ok=True)
    return written


def count_rows(file: Path) -> int:
    """Return how many rows a JSON Lines file has, blank lines left out."""
    return sum(1 for _ in _lines(file))


def rows_per_teacher(file: Path, count: int, *, columns: TraceColumns | None = None, seed: int = 0) -> set[int]:
    """Return ``count`` random rows of each teacher, all where it has no more.

    Args:
        file: one JSON object a line.
        count: rows of each teacher, at least 1; 200 are enough to rank teachers.
        columns: which column holds what.
        seed: of the draw.

    Raises `ScorecraftError` for a count below 1. Rows that cannot be read are left out.
    """
    if count < 1:
        raise ScorecraftError(f"expected at least 1 row of each teacher, got {count}")
    by_teacher: dict[str, list[int]] = {}
    for line in _lines(file):
        try:
            teacher = read_trace(_parsed(line.text), columns, line.row).teacher
        except ScorecraftError:
            continue
        by_teacher.setdefault(teacher, []).append(line.row)
    chosen: set[int] = set()
    for teacher, rows in sorted(by_teacher.items()):
        chosen |= set(Random(f"{seed}/{teacher}").sample(rows, min(count, len(rows))))
    return chosen


def _lines(file: Path) -> Iterator[_Line]:
    if not file.is_file():
        raise ScorecraftError(f"{file}: no such file; expected JSON Lines with one trace a line")
    with file.open("rb") as stream:
        for row, text in enumerate(stream, start=1):
            if text.strip():
                yield _Line(row, hashlib.sha256(text.strip()).hexdigest()[:16], text)


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        row = json.loads(text.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise ScorecraftError(f"not JSON ({error})") from None
    if not isinstance(row, dict):
        raise ScorecraftError(f"expected an object, got {type(row).__name__}")
    return row


class _Window:
    """Rows that are read and not yet written."""

    def __init__(self, stream: IO[bytes], scorer: TraceScorer) -> None:
        self.stream, self.scorer = stream, scorer
        self.waiting: list[tuple[_Line, Trace, EncodedTrace]] = []
        self.dropped: list[tuple[_Line, str]] = []

    @property
    def full(self) -> bool:
        """Whether it is time to score."""
        tokens = sum(len(encoded.tokens) for *_, encoded in self.waiting)
        rows = len(self.waiting) + len(self.dropped)
        return rows >= ROWS_AT_ONCE or tokens >= BATCHES_AT_ONCE * self.scorer.settings.tokens_per_batch

    def add(self, line: _Line, columns: TraceColumns | None) -> None:
        """Take a row; one that cannot be read or has no response is dropped, with the reason."""
        try:
            trace = read_trace(_parsed(line.text), columns, line.row)
            self.waiting.append((line, trace, self.scorer.encode(trace)))
        except ScorecraftError as error:
            self.dropped.append((line, str(error)))

    def close(self) -> int:
        """Score and write what is there, and return how many rows that were."""
        scorer, key = self.scorer, _settings_key(self.scorer)
        scores = scorer.token_scores([encoded for *_, encoded in self.waiting])
        rows = [(line, {"row": line.row, "dropped": reason}) for line, reason in self.dropped]
        for (line, trace, encoded), own in zip(self.waiting, scores, strict=True):
            rows.append((line, scorer.record(trace, encoded, own, line.row).as_data()))
        rows.sort(key=lambda row: row[0].row)
        whole = [{**row, "line": line.digest, "settings": key} for line, row in rows]
        _append(self.stream, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in whole))
        self.waiting, self.dropped = [], []
        return len(rows)


def _append(stream: IO[bytes], text: str) -> None:
    try:
        stream.write(text.encode())
        stream.flush()
        os.fsync(stream.fileno())
    except OSError as error:
        raise ScorecraftError(f"{stream.name}: cannot be written ({error}); earlier records are intact") from error


def _settings_key(scorer: TraceScorer) -> str:
    """Return a hash of all that a record depends on besides its trace."""
    settings = scorer.settings
    parts = [scorer.student, settings.rank_clip, scorer.max_length, settings.chat, settings.turn_end]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@contextmanager
def _appending(out: Path) -> Iterator[IO[bytes]]:
    """Open the records for adding, held for this process alone."""
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        stream = out.open("ab+")
    except OSError as error:
        raise ScorecraftError(f"{out}: cannot be written ({error})") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ScorecraftError(
                f"{out}: another process is writing it; wait for it, or choose another --out"
            ) from None
        yield stream


def _scored_already(out: Path, stream: IO[bytes], key: str) -> dict[int, str]:
    """Return the hash of each scored row's line, after removing a record that a kill cut off."""
    stream.seek(0)
    found: dict[int, str] = {}
    whole = 0
    for text in stream:
        if not text.endswith(b"\n"):
            break
        whole += len(text)
        try:
            data = _parsed(text)
            row, line, settings = int(data["row"]), str(data["line"]), str(data["settings"])
        except (ScorecraftError, KeyError, TypeError, ValueError):
            raise ScorecraftError(f"{out}: not the records of scored traces; choose another --out") from None
        if settings != key:
            raise ScorecraftError(
                f"{out}: its records are of another student or other settings ({data.get('student', 'unknown')}, clip "
                f"{data.get('rank_clip', 'unknown')}); ratios of both would not be comparable: choose another --out"
            )
        found[row] = line
    stream.truncate(whole)
    stream.seek(0, os.SEEK_END)
    return found


def _check_unchanged(file: Path, line: _Line, digest: str, out: Path) -> None:
    if line.digest != digest:
        raise ScorecraftError(
            f"{file}:{line.row}: this row is not the one that {out} has a record of; the file has changed since: "
            "choose another --out"
        )
