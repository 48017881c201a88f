"""Turns: where the messages of a conversation are in its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation.spans import Span

Message = Mapping[str, Any]


def by_message(
    text: str,
    *,
    messages: Sequence[Message],
    render: Callable[[list[dict[str, Any]]], str] | None = None,
    roles: Sequence[str] | None = None,
) -> list[Span]:
    """Return where each message's content is, one span per message; a message without content has an empty one.

    With ``render`` this is exact: the conversation is rendered once more with a placeholder for every content, and what
    the template writes around them is passed over. Without it each content is looked for behind the one before, which
    may find a short one too early, such as "user" in the header of its own turn.

    Args:
        text: of the whole conversation. It may go on behind the last message, or be stripped around contents.
        messages: with "role" and "content", a text or a list of parts with "text".
        render: gives the text of messages, such as ``partial(tokenizer.apply_chat_template, tokenize=False)``.
        roles: of the messages to return, such as ``["assistant"]``; all where it is not given.

    Raises `ScorecraftError` for messages of another form, one that cannot be found, or a template that leaves one out,
    repeats it or changes their order.
    """
    contents = [_content(message, place) for place, message in enumerate(messages)]
    headers = [""] * len(contents) if render is None else _headers(messages, contents, render)
    spans, position = [], 0
    for place, content in enumerate(contents):
        if not content.strip():
            spans.append(Span(position, position))
            continue
        if render is not None and not text.startswith(headers[place], position):
            raise ScorecraftError(
                f"message {place}: expected {headers[place]!r:.60} before it in the text, got {text[position:]!r:.60}; "
                "pass the text that 'render' gives for these messages"
            )
        position += len(headers[place])
        start, held = _found(text, content, position, exact=render is not None)
        if start < 0:
            raise ScorecraftError(f"message {place}: its content {content!r:.60} is not in the text after the last one")
        position = start + len(held)
        spans.append(Span(start, position))
    return [span for span, one in zip(spans, messages, strict=True) if roles is None or one["role"] in roles]


def _found(text: str, content: str, position: int, *, exact: bool) -> tuple[int, str]:
    """Return where a content is, as it stands or stripped, and which of these; -1 where it is not."""
    for held in (content, content.lstrip(), content.rstrip(), content.strip()):
        start = position if exact and text.startswith(held, position) else -1
        start = start if exact else text.find(held, position)
        if start >= 0:
            return start, held
    return -1, content


def _headers(
    messages: Sequence[Message], contents: Sequence[str], render: Callable[[list[dict[str, Any]]], str]
) -> list[str]:
    """Return what the template writes between the content before and each message's own, "" without content."""
    masked, marks = [], []
    for place, (message, content) in enumerate(zip(messages, contents, strict=True)):
        # Private-use characters, which no template looks for.
        mark = f"\ue000{place}\ue001" if content.strip() else ""
        held = mark if isinstance(message["content"], str) else [{"type": "text", "text": mark}]
        masked.append({**message, "content": held} if mark else dict(message))
        marks.append(mark)
    rendered = str(render(masked))
    headers, position = [], 0
    for place, mark in enumerate(marks):
        start = rendered.find(mark, position) if mark else position
        if mark and (start < 0 or rendered.count(mark) != 1):
            raise ScorecraftError(
                f"message {place}: the template does not write its content once, in order; leave 'render' out"
            )
        headers.append(rendered[position:start])
        position = start + len(mark)
    return headers


def _content(message: Message, place: int) -> str:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise ScorecraftError(f"message {place}: expected a dictionary with 'role' and 'content', got {message!r:.60}")
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        content = "".join(part for part in parts if isinstance(part, str))
    if content is not None and not isinstance(content, str):
        raise ScorecraftError(f"message {place}: expected a text or a list of parts as content, got {content!r:.60}")
    return content or ""
