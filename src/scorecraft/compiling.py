"""Saying that code is being compiled, which happens once and is kept on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def compiling_told(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell when numba compiles, so that nobody wonders what the first call is waiting for.

    Args:
        tell: given one sentence, once at most.
    """
    from numba.core import event

    class Listener(event.Listener):
        told = False

        def on_start(self, event: Any) -> None:
            del event
            if not self.told:
                self.told = True
                tell("compiling, which takes some seconds, once")

        def on_end(self, event: Any) -> None:
            del event

    with event.install_listener("numba:compile", Listener()):
        yield
