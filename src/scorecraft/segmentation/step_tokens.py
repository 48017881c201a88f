"""Between steps in characters and steps in tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Literal

import numpy as np

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation.spans import Span

Gaps = Literal["previous", "outside"]


def steps_of_tokens(
    spans: Sequence[tuple[int, int]],
    token_spans: Sequence[tuple[int, int]],
    *,
    gaps: Gaps = "previous",
    delimiter_length: int = 1,
) -> list[int]:
    """Return the index of the step that each token is in, -1 outside any.

    A token belongs to the first step that it has a character of. One of a delimiter alone belongs to the step that it
    ends: up to the next step, and behind the last one for ``delimiter_length`` characters. A special token has no
    characters and belongs to none, as does everything before the first step.

    Args:
        spans: of the steps, in order, in characters.
        token_spans: of the tokens, as `token_spans` gives them.
        gaps: "previous" gives all that is between two steps to the first of them; "outside" only its delimiter, as for
            tool calls and tags, where other text is in between.
        delimiter_length: characters of the delimiter.

    Raises `ScorecraftError` for an unknown ``gaps`` or a length below 0.
    """
    if gaps not in ("previous", "outside"):
        raise ScorecraftError(f"steps_of_tokens: expected gaps to be 'previous' or 'outside', got {gaps!r}")
    if delimiter_length < 0:
        raise ScorecraftError(f"steps_of_tokens: expected a delimiter of 0 characters or more, got {delimiter_length}")
    steps, tokens = _table(spans), _table(token_spans)
    # An empty step has no tokens.
    numbers = np.flatnonzero(steps[:, 0] < steps[:, 1])
    if not len(numbers) or not len(tokens):
        return [-1] * len(tokens)
    starts, ends = steps[numbers].T
    first, end = tokens.T
    # The first step that ends behind the token's first character, if the token reaches it; else the one before.
    candidate = np.searchsorted(ends, first, side="right")
    inside = np.append(starts, np.iinfo(np.int64).max)[candidate] < end
    before = candidate - 1
    behind = first - ends[np.maximum(before, 0)]
    kept = behind < delimiter_length
    if gaps == "previous":
        kept |= candidate < len(ends)
    place = np.where(inside, candidate, np.where(kept, before, -1))
    held = (first < end) & (place >= 0)
    return np.where(held, numbers[np.maximum(place, 0)], -1).tolist()


def token_ranges(spans: Sequence[tuple[int, int]], token_spans: Sequence[tuple[int, int]]) -> list[Span]:
    """Return for each step its first token and its end, exclusive; tokens of delimiters alone are in none.

    A token that has characters of two steps is the first one's. A step without a token of its own has an empty range.

    Args:
        spans: of the steps, in order, in characters.
        token_spans: of the tokens, as `token_spans` gives them.
    """
    labels = np.asarray(steps_of_tokens(spans, token_spans, gaps="outside", delimiter_length=0), dtype=np.int64)
    ranges: list[Span] = []
    held = np.flatnonzero(labels >= 0)
    firsts = np.searchsorted(labels[held], np.arange(len(spans)), side="left")
    lasts = np.searchsorted(labels[held], np.arange(len(spans)), side="right")
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        if first < last:
            ranges.append(Span(int(held[first]), int(held[last - 1]) + 1))
        else:
            end = ranges[-1].end if ranges else 0
            ranges.append(Span(end, end))
    return ranges


def character_spans(ranges: Sequence[tuple[int, int]], token_spans: Sequence[tuple[int, int]]) -> list[Span]:
    """Return the spans of characters of ranges of tokens.

    A character whose tokens are in two ranges is the first one's. A range without characters has an empty span.

    Args:
        ranges: first token and end, exclusive, in order.
        token_spans: of the tokens, as `token_spans` gives them.

    Raises `ScorecraftError` for a range outside the tokens.
    """
    spans: list[Span] = []
    end = 0
    for first, last in ranges:
        if not 0 <= first <= last <= len(token_spans):
            raise ScorecraftError(f"character_spans: range ({first}, {last}) is not in {len(token_spans)} tokens")
        held = [span for span in token_spans[first:last] if span[0] < span[1]]
        start = max(end, held[0][0]) if held else end
        end = max(start, held[-1][1]) if held else end
        spans.append(Span(start, end))
    return spans


def _table(spans: Sequence[tuple[int, int]]) -> np.ndarray:
    # Far faster than an array of a list of pairs.
    return np.fromiter(chain.from_iterable(spans), dtype=np.int64, count=2 * len(spans)).reshape(-1, 2)
