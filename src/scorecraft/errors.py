"""Errors that a user can mend: each names the thing, says what was expected and how to put it right."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable


class ScorecraftError(Exception):
    """A mistake in what the user gave; the command line prints it without a traceback and exits with 2."""


class TrainingStopped(ScorecraftError):  # noqa: N818 - it is a stop, asked for by the loop
    """Training met a state it must not go on from (a NaN loss or reward); what was saved is intact."""


class ScorecraftWarning(UserWarning):
    """Something is not as it should be, but the work goes on; the message says what was done instead."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the sentence that helps after an unknown name: the nearest valid one, and all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}known: {', '.join(names) if names else 'none'}"


def require(module: str, extra: str, purpose: str) -> None:
    """Raise a `ScorecraftError` that says what to install when an optional library is absent."""
    if importlib.util.find_spec(module) is None:
        raise ScorecraftError(f"{purpose} needs '{module}': pip install 'scorecraft[{extra}]'")
