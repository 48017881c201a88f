"""Saying that code is being compiled, which happens once and is kept on the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_told: ContextVar[bool] = ContextVar("told", default=False)


@contextmanager
def compiling_told(tell: Callable[[str], None] | None = None) -> Iterator[None]:
    """Tell when numba compiles, so that nobody wonders what the first call is waiting for.

    Within another of these, nothing is told twice.

    Args:
        tell: given one sentence, once at most; written to the log of "scorecraft", as a warning, where not given.
    """
    if _told.get():
        yield
        return
    from numba.core import event

    say = tell or logging.getLogger("scorecraft").warning

    class Listener(event.Listener):
        told = False

        def on_start(self, event: Any) -> None:
            del event
            if not self.told:
                self.told = True
                say("compiling, which takes some seconds, once")

        def on_end(self, event: Any) -> None:
            del event

    token = _told.set(True)
    try:
        with event.install_listener("numba:compile", Listener()):
            yield
    finally:
        _told.reset(token)
