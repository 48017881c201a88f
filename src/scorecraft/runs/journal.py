"""A file of JSON lines that only grows, and that a kill in the middle of a line does not spoil."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.runs import files


class Journal:
    """One JSON object a line, each with its ``step``.

    sync_every: number of lines after which the file is put on the disk; 1 survives a loss of power at once,
        a larger number is faster on slow disks (a killed process loses nothing either way).
    """

    def __init__(self, path: Path, sync_every: int = 1) -> None:
        self.path = path
        self.sync_every = sync_every
        self._unsynced = 0

    def append(self, row: dict[str, Any]) -> None:
        """Add one line; NaN becomes null.

        Raises `ScorecraftError` where the row has no whole number under ``step`` or the disk is full; the file
        is then as it was.
        """
        if not isinstance(row.get("step"), int):
            raise ScorecraftError(f"{self.path.name}: expected a whole number under 'step', got {row.get('step')!r}")
        line = (files.json_text(row) + "\n").encode()
        new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            end = _end_of_whole_lines(descriptor)
            os.ftruncate(descriptor, end)
            try:
                with files.room_for(self.path):
                    _write_all(descriptor, line, end)
            except BaseException:
                os.ftruncate(descriptor, end)
                raise
            self._unsynced += 1
            if self._unsynced >= self.sync_every:
                os.fsync(descriptor)
                self._unsynced = 0
        finally:
            os.close(descriptor)
        if new:
            files.sync(self.path.parent)

    def rows(self) -> list[dict[str, Any]]:
        """Return all whole lines; a last line that a kill cut off is passed over in silence."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")[:-1]
        rows: list[dict[str, Any]] = []
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                    raise ValueError("not an object with a step")
            except ValueError as error:
                warnings.warn(
                    f"{self.path}, line {number}: passed over, it is not readable ({error})",
                    ScorecraftWarning,
                    stacklevel=3,
                )
                continue
            rows.append(row)
        return rows

    def drop_after(self, step: int) -> None:
        """Drop the lines of all later steps."""
        rows = self.rows()
        kept = [row for row in rows if row["step"] <= step]
        if len(kept) < len(rows):
            files.replace_text(self.path, "".join(files.json_text(row) + "\n" for row in kept))


def _end_of_whole_lines(descriptor: int, block: int = 1 << 16) -> int:
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - block)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
