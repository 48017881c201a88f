"""One writer per run: a lock that the system gives back when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scorecraft.errors import ScorecraftError

_held: set[int] = set()


def _forget_in_child() -> None:
    # A forked worker would share the lock, and hold it after the run itself was killed.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; raises `ScorecraftError` with the pid of the process that holds it already."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise ScorecraftError(
            f"{path.parent}: process {holder} is writing this run; wait until it ends, stop it, or choose another --run"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise ScorecraftError(
            f"{path}: this file system gives no locks ({error}); choose a --run directory on a local disk"
        ) from error
    _held.add(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        if descriptor in _held:
            _held.remove(descriptor)
            os.close(descriptor)
