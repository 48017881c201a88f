"""Files that a kill at any instant cannot tear: written aside, synced, then renamed into place."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scorecraft.errors import ScorecraftError

ASIDE = ".tmp-"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Writers in native code (safetensors, torch) report a full disk in words, not as an OSError.
_NO_ROOM_WORDS = ("No space left on device", "StorageFull", "Disk quota exceeded", "File too large", "FileTooLarge")


def aside(path: Path) -> Path:
    """Return the name a file or directory is written under before it is renamed to ``path``."""
    return path.with_name(f"{ASIDE}{os.getpid()}-{path.name}")


def remove(path: Path) -> None:
    """Remove a file or a whole directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Put a file's content, or a directory's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def out_of_room(error: BaseException) -> bool:
    """Return True where an error means a full disk, a quota or a limit on the size of files."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return True
    return any(words in str(error) for words in _NO_ROOM_WORDS)


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Turn the failure of a write for want of room into a `ScorecraftError`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ScorecraftError) or not out_of_room(error):
            raise
        raise ScorecraftError(
            f"{path}: no room left to write it ({error}); what was saved before is intact. "
            "Make room on the disk, then go on with --resume"
        ) from error


def replace(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a new file beside ``path``, then put it in the place of ``path`` in one instant."""
    new = aside(path)
    try:
        with room_for(path):
            write(new)
            sync(new)
            os.replace(new, path)
            sync(path.parent)
    finally:
        remove(new)


def replace_text(path: Path, text: str) -> None:
    """Put ``text`` in the place of the file in one instant."""

    def write(new: Path) -> None:
        new.write_bytes(text.encode())

    replace(path, write)


def to_json(value: Any) -> Any:
    """Return the value as JSON has it: numbers of torch and numpy unwrapped, NaN and infinities as None."""
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if not isinstance(value, str | int | float | bool | None) and hasattr(value, "item"):
        return to_json(value.item())
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def json_text(value: Any, indent: int | None = None) -> str:
    """Return the value as JSON text."""
    return json.dumps(to_json(value), ensure_ascii=False, allow_nan=False, indent=indent)
