"""Steps that are tool calls, or anything else between a text that opens it and one that closes it."""

from __future__ import annotations

from typing import Literal

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation.spans import Span, not_blank, outside

UnclosedCall = Literal["next", "end", "drop"]


def by_tool_call(
    text: str,
    *,
    start: str = "<tool_call>",
    end: str = "</tool_call>",
    content: bool = False,
    between: bool = False,
    unclosed: UnclosedCall = "next",
) -> list[Span]:
    """Return the tool calls, with the markers around them; blank ones are no steps.

    Calls do not nest. An end marker without a start is plain text.

    Args:
        text: to segment.
        start: what opens a call.
        end: what closes it; the same text may do both.
        content: whether a span is what is between the markers, without them.
        between: whether what is before, between and after the calls is a step too.
        unclosed: a call that is not closed before the next one starts ends there ("next"); only an end marker ends a
            call, even behind the next start ("end"); or it is no call, and plain text ("drop"). Without an end marker
            the first two end with the text.

    Raises `ScorecraftError` for an empty marker or an unknown ``unclosed``.
    """
    if not start or not end:
        raise ScorecraftError(f"tool-call: expected markers that are not empty, got start={start!r}, end={end!r}")
    if unclosed not in ("next", "end", "drop"):
        raise ScorecraftError(f"tool-call: expected unclosed to be 'next', 'end' or 'drop', got {unclosed!r}")
    calls, inside = [], []
    opened = text.find(start)
    while opened >= 0:
        first = opened + len(start)
        following = -1 if start == end or unclosed == "end" else text.find(start, first)
        # An end marker behind the next start is that call's.
        last = text.find(end, first, len(text) if following < 0 else following)
        closed = last >= 0
        if not closed:
            last = len(text) if following < 0 else following
        if closed or unclosed != "drop":
            calls.append(Span(opened, last + len(end) if closed else last))
            inside.append(Span(first, last))
        opened = following if not closed else text.find(start, last + len(end))
    shown = inside if content else calls
    return not_blank(text, sorted([*shown, *outside(calls, len(text))]) if between else shown)
