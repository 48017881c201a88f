"""Directories of checkpoints: complete or not there at all, and checked by their sums when they are read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.runs import files

MANIFEST = "MANIFEST.json"
_REPLACED = ".replaced"
_STEP = re.compile(r"step-(\d+)")


def step_name(step: int) -> str:
    """Return the name of a step's file or directory; names sort as steps do."""
    return f"step-{step:06d}"


def steps_in(directory: Path, suffix: str = "") -> list[int]:
    """Return the steps that have an entry ``step-NNNNNN<suffix>`` in the directory, in order."""
    if not directory.is_dir():
        return []
    found = [
        _STEP.fullmatch(entry.name.removesuffix(suffix)) for entry in directory.iterdir() if entry.name.endswith(suffix)
    ]
    return sorted(int(match[1]) for match in found if match)


def save(directory: Path, step: int, write: Callable[[Path], None], keep: int) -> Path:
    """Let ``write`` fill a new checkpoint; it appears under its name only when whole and on the disk.

    The newest ``keep`` checkpoints stay. Raises `ScorecraftError` where the disk is full; the older ones stay.
    """
    if keep < 1:
        raise ScorecraftError(f"checkpoints: keep must be at least 1, got {keep}")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / step_name(step)
    new = files.aside(path)
    files.remove(new)
    new.mkdir()
    try:
        with files.room_for(path):
            write(new)
            _seal(new)
            _put_in_place(new, path)
    finally:
        files.remove(new)
    for old in steps_in(directory)[:-keep]:
        if old != step:
            drop(directory, old)
    return path


def _seal(directory: Path) -> None:
    entries = sorted(path for path in directory.rglob("*") if path.is_file())
    manifest = {
        str(path.relative_to(directory)): {"bytes": path.stat().st_size, "sha256": _digest(path)} for path in entries
    }
    files.replace_text(directory / MANIFEST, files.json_text(manifest, indent=1))
    for path in entries:
        files.sync(path)
    for path in [*(child for child in directory.rglob("*") if child.is_dir()), directory]:
        files.sync(path)


def _put_in_place(new: Path, path: Path) -> None:
    replaced = path.with_name(path.name + _REPLACED)
    if path.exists():
        files.remove(replaced)
        os.rename(path, replaced)
    os.rename(new, path)
    files.sync(path.parent)
    files.remove(replaced)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recover(directory: Path) -> None:
    """Put back a checkpoint that a kill left half-way through being replaced."""
    for replaced in directory.glob(f"*{_REPLACED}"):
        path = replaced.with_name(replaced.name.removesuffix(_REPLACED))
        if path.exists():
            files.remove(replaced)
        else:
            os.rename(replaced, path)


def drop(directory: Path, step: int) -> None:
    """Remove a checkpoint; a kill meanwhile never leaves half of it under its name."""
    path = directory / step_name(step)
    gone = files.aside(path)
    os.rename(path, gone)
    files.remove(gone)


def fault(path: Path) -> str | None:
    """Return why a checkpoint cannot be used, None where every file has its size and its sum."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest.items()}
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return f"{MANIFEST} is not readable"
    for name, (size, digest) in expected.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes instead of {size}"
        if _digest(file) != digest:
            return f"{name} has changed since it was written (its SHA-256 differs)"
    return None


def newest(directory: Path) -> tuple[int, Path] | None:
    """Return the newest checkpoint whose sums hold, warning of each newer one passed over; None if there is none."""
    for step in reversed(steps_in(directory)):
        path = directory / step_name(step)
        reason = fault(path)
        if reason is None:
            return step, path
        warnings.warn(f"{path}: passed over, {reason}; the one before is used", ScorecraftWarning, stacklevel=3)
    return None
