"""Where converted and warm-started policies are kept, and how a folder gets there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is to do."""


def cache_folder() -> Path:
    """Return ``$SCORECRAFT_CACHE``, or ``~/.cache/scorecraft`` where it is not set."""
    named = os.environ.get("SCORECRAFT_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "scorecraft"


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes ``target`` in one rename when the block ends without an error.

    A kill at any instant leaves either no ``target`` or a complete one. Where another process put its own
    ``target`` there first, that one stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".tmp", dir=target.parent))
    try:
        yield aside
        for file in aside.rglob("*"):
            if file.is_file():
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
        aside.chmod(0o755)
        try:
            aside.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
