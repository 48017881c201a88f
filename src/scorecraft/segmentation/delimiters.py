"""Steps that end with a delimiter: any given text, a line break, a blank line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation.spans import Span, not_blank

# A lone carriage return is a break as well, but never the first half of another one.
_BREAK = r"(?:\r\n|\n|\r(?!\n))"
LINE = re.compile(_BREAK)
BLANK_LINE = re.compile(rf"{_BREAK}(?:[^\S\r\n]*{_BREAK})+")


def by_delimiter(text: str, *, delimiter: str | Sequence[str] = "\n") -> list[Span]:
    """Return the spans between delimiters, without them; blank ones are no steps.

    Args:
        text: to segment.
        delimiter: what ends a step, or several of which the longest that fits counts.

    Raises `ScorecraftError` for an empty delimiter, or none.
    """
    delimiters = [delimiter] if isinstance(delimiter, str) else list(delimiter)
    if not delimiters or not all(isinstance(one, str) and one for one in delimiters):
        raise ScorecraftError(f"delimiter: expected a text that is not empty, or several, got {delimiter!r}")
    pattern = "|".join(re.escape(one) for one in sorted(delimiters, key=len, reverse=True))
    return not_blank(text, pieces(text, re.compile(pattern)))


def by_line(text: str) -> list[Span]:
    r"""Return the lines that are not blank, without the breaks (``\n``, ``\r\n`` or ``\r``) that end them."""
    return not_blank(text, pieces(text, LINE))


def by_blank_line(text: str) -> list[Span]:
    """Return the paragraphs: what blank lines, one or several, are between."""
    return not_blank(text, pieces(text, BLANK_LINE))


def pieces(text: str, delimiter: re.Pattern[str]) -> list[Span]:
    """Return every span between matches of a delimiter, empty ones included."""
    start, found = 0, []
    for match in delimiter.finditer(text):
        found.append(Span(start, match.start()))
        start = match.end()
    return [*found, Span(start, len(text))]
