"""`Span`, and what can be done with the spans of any segmentation: check, cover the text, keep below a length."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from scorecraft.errors import ScorecraftError

TooLong = Literal["split", "raise"]

_JOINER = "\u200d"
_SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


class Span(NamedTuple):
    """A stretch of a text: its first character and its end, exclusive."""

    start: int
    end: int


def not_blank(text: str, spans: Iterable[tuple[int, int]]) -> list[Span]:
    """Return the spans that hold more than whitespace."""
    return [Span(start, end) for start, end in spans if text[start:end].strip()]


def outside(spans: Sequence[tuple[int, int]], length: int) -> list[Span]:
    """Return what is before, between and after the spans of a text, empty stretches left out."""
    edges = [0, *(edge for span in spans for edge in span), length]
    return [Span(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


def ordered_spans(spans: Iterable[Sequence[int]], length: int, what: str) -> list[Span]:
    """Return spans from outside as `Span`s; raises `ScorecraftError` unless they are in order, apart and in the text.

    Args:
        spans: pairs of start and end.
        length: of what they are spans of.
        what: made them, for the message.
    """
    checked: list[Span] = []
    for place, span in enumerate(spans):
        if not isinstance(span, Sequence) or isinstance(span, str) or len(span) != 2:
            raise ScorecraftError(f"{what}: expected pairs (start, end), got {span!r:.60} at place {place}")
        start, end = span
        before = checked[-1].end if checked else 0
        if not before <= start <= end <= length:
            raise ScorecraftError(
                f"{what}: span {place} is ({start}, {end}); expected spans in order that do not overlap, from {before} "
                f"to {length} at most"
            )
        checked.append(Span(int(start), int(end)))
    return checked


def covering(spans: Sequence[tuple[int, int]], length: int) -> list[Span]:
    """Return spans that cover the text: each reaches up to the next, the first from the start and the last to the end.

    Args:
        spans: in order; none gives none.
        length: of the text.
    """
    starts = [0, *(start for start, _ in spans[1:]), length]
    return [Span(*pair) for pair in pairwise(starts)] if spans else []


def within_length(text: str, spans: Iterable[tuple[int, int]], longest: int, too_long: TooLong = "split") -> list[Span]:
    """Return the spans with those of more than ``longest`` characters split, after whitespace where there is some.

    A cut is never put before a combining character or inside an emoji of several characters, unless nothing else fits.

    Args:
        text: that the spans are of.
        spans: in order.
        longest: characters of a step.
        too_long: "split", or "raise" to refuse such a step.

    Raises `ScorecraftError` for a limit below 1, or for a longer step where ``too_long`` is "raise".
    """
    if longest < 1:
        raise ScorecraftError(f"longest: expected a limit of 1 character or more, got {longest}")
    if too_long not in ("split", "raise"):
        raise ScorecraftError(f"too_long: expected 'split' or 'raise', got {too_long!r}")
    pieces: list[Span] = []
    for place, (start, end) in enumerate(spans):
        if end - start > longest and too_long == "raise":
            raise ScorecraftError(
                f"step {place} has {end - start} characters, more than longest={longest}: {text[start:end]!r:.60}; "
                "raise the limit, or set too_long='split'"
            )
        begin = start
        while end - begin > longest:
            cut = _cut(text, begin, begin + longest)
            pieces.append(Span(begin, cut))
            begin = cut
        pieces.append(Span(begin, end))
    return pieces


def _cut(text: str, start: int, limit: int) -> int:
    """Return the best place to cut in the second half of a window, at the limit where none is better."""
    half = max(start + 1, start + (limit - start) // 2)
    for place in range(limit, half - 1, -1):
        if text[place - 1].isspace() and not text[place].isspace() and not _joined(text, place):
            return place
    return next((place for place in range(limit, half - 1, -1) if not _joined(text, place)), limit)


def _joined(text: str, place: int) -> bool:
    """Return whether the character at a place is shown as one with the character before it."""
    before, after = text[place - 1], text[place]
    mark = unicodedata.category(after) in ("Mn", "Me") or after in _SKIN_TONES
    return mark or _JOINER in (before, after)
