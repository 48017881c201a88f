"""Printing to a terminal: foreign text made harmless, figures in the units a reader expects."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeGuard

from rich.console import Console
from rich.text import Text

# Everything that steers a terminal or reorders a line, newline and tab excepted; lone surrogates cannot be printed.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHARES = re.compile(
    r"^(accuracy(_low|_high)?|truncated|unparsed|clip_fraction|zero_advantage_groups|(pass|mean)@\d+)$"
)
_BARS = "▁▂▃▄▅▆▇█"
MISSING = "-"


def clean(text: str) -> str:
    """Return the text without the characters that steer a terminal (escape sequences, bidirectional marks)."""
    return _STEERING.sub("", text)


def plain(text: str, style: str = "") -> Text:
    """Return foreign text for rich to print as it stands: cleaned, and never read as markup."""
    return Text(clean(text), style=style)


def output() -> Console:
    """Return the console for results."""
    return Console(highlight=False, markup=False)


def errors() -> Console:
    """Return the console for errors and progress."""
    return Console(stderr=True, highlight=False, markup=False)


def known(value: float | None) -> TypeGuard[float]:
    """Return True where a metric has a value."""
    return value is not None and not math.isnan(value)


def figure(name: str, value: float | None) -> str:
    """Return a metric's value for reading: shares in percent, the rest to three significant digits."""
    if not known(value):
        return MISSING
    if _SHARES.match(name):
        return f"{100 * value:.1f} %"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Return a length of time as '48 s', '2 min 20 s' or '3 h 05 min'."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """Return the course of a metric as at most ``width`` bars, each the mean of its share of the values."""
    course = [value for value in values if known(value)]
    if not course:
        return ""
    count = min(width, len(course))
    edges = [index * len(course) // count for index in range(count + 1)]
    means = [sum(course[start:end]) / (end - start) for start, end in pairwise(edges)]
    low, high = min(means), max(means)
    if high == low:
        return _BARS[0] * count
    return "".join(_BARS[round((mean - low) / (high - low) * (len(_BARS) - 1))] for mean in means)
