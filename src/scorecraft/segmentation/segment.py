"""`segment`: the one entry point to every way of finding steps and turns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.segmentation.delimiters import by_blank_line, by_delimiter, by_line
from scorecraft.segmentation.messages import by_message
from scorecraft.segmentation.sentences import by_sentence
from scorecraft.segmentation.spans import Span, TooLong, covering, ordered_spans, within_length
from scorecraft.segmentation.step_tokens import character_spans
from scorecraft.segmentation.tags import by_tag
from scorecraft.segmentation.tool_calls import by_tool_call

SEGMENTERS: dict[str, Callable[..., list[Span]]] = {
    "blank-line": by_blank_line,
    "delimiter": by_delimiter,
    "line": by_line,
    "message": by_message,
    "sentence": by_sentence,
    "tag": by_tag,
    "tool-call": by_tool_call,
}


def segment(
    text: str,
    by: str | Callable[[str], Iterable[Sequence[int]]] = "line",
    *,
    longest: int | None = None,
    too_long: TooLong = "split",
    cover: bool = False,
    **options: Any,
) -> list[Span]:
    """Return the spans of characters of the steps of a text, in order, apart from each other; none gives an empty list.

    Args:
        text: to segment.
        by: a name in `SEGMENTERS`, or a function of the text that returns pairs of start and end.
        longest: characters of a step; no limit where it is not given.
        too_long: what becomes of a longer one: "split" after whitespace where there is some, or "raise".
        cover: whether every step reaches up to the next, the first from the text's start and the last to its end.
        options: of that way of segmenting, such as ``delimiter`` or ``names``; for a function ``token_spans``, where it
            returns spans of tokens, the spans of their characters (see `token_spans`).

    Raises `ScorecraftError` for an unknown name or option, and where a function's spans are out of order or outside.
    """
    if not isinstance(text, str):
        raise ScorecraftError(f"segment: expected a text, got {type(text).__name__}")
    if not isinstance(by, str):
        if not callable(by):
            raise ScorecraftError(f"segment: expected a name or a function as 'by', got {by!r:.60}")
        _accept(_by_function, "a function", options)
        spans = _by_function(text, function=by, **options)
    elif by in SEGMENTERS:
        _accept(SEGMENTERS[by], f"'{by}'", options)
        spans = SEGMENTERS[by](text, **options)
    else:
        raise ScorecraftError(f"unknown way to segment {by!r}: {nearest(by, SEGMENTERS)}")
    if cover:
        spans = covering(spans, len(text))
    return spans if longest is None else within_length(text, spans, longest, too_long)


def _by_function(
    text: str,
    *,
    function: Callable[[str], Iterable[Sequence[int]]],
    token_spans: Sequence[tuple[int, int]] | None = None,
) -> list[Span]:
    name = f"segment by {getattr(function, '__name__', type(function).__name__)}"
    if token_spans is None:
        spans = ordered_spans(function(text), len(text), name)
    else:
        spans = character_spans(ordered_spans(function(text), len(token_spans), name), token_spans)
    return [span for span in spans if span.start < span.end]


def _accept(function: Callable[..., list[Span]], name: str, options: dict[str, Any]) -> None:
    """Raise for an option that the function does not have, or one that it needs and did not get."""
    known = {
        key: value
        for key, value in inspect.signature(function).parameters.items()
        if value.kind is value.KEYWORD_ONLY and key != "function"
    }
    for option in options:
        if option not in known:
            raise ScorecraftError(f"segment by {name} has no option '{option}': {nearest(option, known)}")
    for option, parameter in known.items():
        if parameter.default is parameter.empty and option not in options:
            raise ScorecraftError(f"segment by {name} needs the option '{option}'")
