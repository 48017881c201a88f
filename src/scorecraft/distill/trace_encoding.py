"""A trace as tokens: which of them are the response, through the student's chat template or as plain text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.segmentation import by_message

Chat = Literal["auto", "always", "never"]
Message = Mapping[str, Any]

PROMPTS = ("prompt", "question", "problem", "input", "query", "instruction")
RESPONSES = ("completion", "response", "output", "trace", "solution", "generation", "text")
TEACHERS = ("teacher", "source", "model", "generator")
NAMES = ("id", "_id", "uuid")


@dataclass(frozen=True, slots=True)
class TraceColumns:
    """Which column holds what; None to find it by its usual names."""

    prompt: str | None = None
    response: str | None = None
    teacher: str | None = None
    group: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """A conversation, the place of the message from which the assistant's turns are the response, and whose it is."""

    messages: tuple[Message, ...]
    response_from: int
    id: str
    group: str
    teacher: str


@dataclass(frozen=True, slots=True)
class EncodedTrace:
    """A trace as tokens, which of them are scored, and whether its end was cut off."""

    tokens: tuple[int, ...]
    response: tuple[bool, ...]
    truncated: bool = False


def read_trace(row: Mapping[str, Any], columns: TraceColumns | None = None, number: int = 0) -> Trace:
    """Return the trace of one row: "messages", or a prompt and a response, each a text or a list of messages.

    Args:
        row: such as ``{"messages": [...]}`` or ``{"prompt": ..., "completion": ..., "teacher": ...}``.
        columns: which column holds what.
        number: the trace's name where the row has none.

    Raises `ScorecraftError` for a row in which no response is found, or one of another form.
    """
    columns = columns or TraceColumns()
    response = _column(row, columns.response, RESPONSES, "--response-column")
    if columns.response is None and row.get("messages") is not None:
        messages, first = _messages(row["messages"], "messages", "assistant"), 0
    elif response is None:
        raise ScorecraftError(
            f"no response among the columns {', '.join(map(str, row)) or 'none'}; expected 'messages', or one of "
            f"{', '.join(RESPONSES)}, or name it with --response-column"
        )
    else:
        usual = [name for name in PROMPTS if name != response]
        prompt = _column(row, columns.prompt, usual, "--prompt-column")
        before = _messages(row[prompt], prompt, "user") if prompt and row[prompt] is not None else []
        messages, first = before + _messages(row[response], response, "assistant"), len(before)
    answered = next((at for at, said in enumerate(messages) if at >= first and said["role"] == "assistant"), None)
    if answered is None:
        raise ScorecraftError("no message of the assistant: there is no response to score")
    teacher = _column(row, columns.teacher, TEACHERS, "--teacher-column")
    name = _column(row, columns.id, NAMES, "--id-column")
    group = _column(row, columns.group, (), "--group-column")
    key = row[group] if group else [[said["role"], said.get("content")] for said in messages[:answered]]
    return Trace(
        tuple(messages), first, str(row[name]) if name else str(number), key if isinstance(key, str) else _digest(key),
        str(row[teacher]) if teacher and row[teacher] is not None else "",
    )  # fmt: skip


def encode_trace(
    trace: Trace, tokenizer: Any, *, max_length: int = 32768, chat: Chat = "auto", turn_end: bool = True
) -> EncodedTrace:
    """Return a trace as the tokens that the student is trained on, and which of them are the response.

    With a chat template the response is what the assistant's messages hold and the special token that ends each turn;
    what the template writes around them is not. Without one, the response follows the prompt as plain text and ends
    with the end-of-sequence token. The first token of all has nothing before it and is never scored.

    Args:
        trace: the conversation.
        tokenizer: the student's, a fast one, which tells where its tokens are in the text.
        max_length: tokens that are kept, from the beginning.
        chat: "always" renders the template, "never" gives plain text, "auto" renders where there is a template.
        turn_end: whether the token that ends a turn is scored, as it is trained on; the published code leaves it out.

    Raises `ScorecraftError` for a template that is not there or does not write the messages as they are, a tokenizer
    that is not fast, or plain text of several turns.
    """
    if chat not in ("auto", "always", "never"):
        raise ScorecraftError(f"unknown chat mode '{chat}': {nearest(chat, ('auto', 'always', 'never'))}")
    if not getattr(tokenizer, "is_fast", False):
        raise ScorecraftError(f"{type(tokenizer).__name__} is not a fast tokenizer; load it with use_fast=True")
    has_template = bool(tokenizer.chat_template)
    if chat == "always" and not has_template:
        raise ScorecraftError("the student's tokenizer has no chat template; set chat to 'never' (or 'auto')")
    render = has_template and chat != "never"
    tokens, response = (_rendered if render else _plain)(trace, tokenizer, turn_end)
    response[:1] = [False] * len(response[:1])
    cut = len(tokens) > max_length
    return EncodedTrace(tuple(tokens[:max_length]), tuple(response[:max_length]), cut)


def _rendered(trace: Trace, tokenizer: Any, turn_end: bool) -> tuple[list[int], list[bool]]:
    messages = [dict(message) for message in trace.messages]
    render = partial(tokenizer.apply_chat_template, tokenize=False)
    text = str(render(messages))
    try:
        spans = by_message(text, messages=messages, render=render)
    except ScorecraftError as error:
        raise ScorecraftError(
            f"the chat template does not write this conversation as it is ({error}); a template that drops or changes "
            "turns needs rows with one response each"
        ) from error
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    tokens, offsets = list(encoded["input_ids"]), encoded["offset_mapping"]
    own = [
        span for at, (span, said) in enumerate(zip(spans, messages, strict=True))
        if at >= trace.response_from and said["role"] == "assistant" and span.start < span.end
    ]  # fmt: skip
    response = [any(span.start <= start < span.end for span in own) for start, _ in offsets]
    if turn_end:
        special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
        for span in own:
            after = next((at for at, (start, _) in enumerate(offsets) if start >= span.end), None)
            while after is not None and after < len(tokens) and not text[slice(*offsets[after])].strip():
                after += 1
            if after is not None and after < len(tokens) and tokens[after] in special:
                response[after] = True
    return tokens, response


def _plain(trace: Trace, tokenizer: Any, turn_end: bool) -> tuple[list[int], list[bool]]:
    *before, last = trace.messages
    if any(said["role"] == "assistant" for said in before) or last["role"] != "assistant":
        raise ScorecraftError("several turns need a chat template, and this student renders none; give one response")
    ends = tokenizer.eos_token_id
    prompt = tokenizer.encode("\n".join(_text(said) for said in before), add_special_tokens=True)
    # Some tokenizers close a text as well as opening it; a prompt stays open.
    prompt = prompt[:-1] if prompt and prompt[-1] == ends else prompt
    own = tokenizer.encode(_text(last), add_special_tokens=False)
    if own and turn_end and isinstance(ends, int):
        own = [*own, ends]
    return [*prompt, *own], [False] * len(prompt) + [True] * len(own)


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, Mapping))
    return content or ""


def _messages(value: Any, column: str, role: str) -> list[Message]:
    """Return a column's messages; a text is one message of the given role."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, Sequence) or not value:
        raise ScorecraftError(f"'{column}': expected a text or a list of messages, got {value!r:.60}")
    for message in value:
        content = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise ScorecraftError(f"'{column}': expected messages with 'role' and 'content', got {message!r:.60}")
        if content is not None and not isinstance(content, str | list):
            raise ScorecraftError(f"'{column}': expected a text or a list of parts as content, got {content!r:.60}")
    return list(value)


def _column(row: Mapping[str, Any], named: str | None, usual: Sequence[str], option: str) -> str | None:
    if named is None:
        return next((name for name in usual if row.get(name) is not None), None)
    if named not in row:
        raise ScorecraftError(f"{option}: the row has no column '{named}'; {nearest(named, map(str, row))}")
    return named


def _digest(key: Any) -> str:
    """Return a short key: prompts may be long, and one is kept for each record."""
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:16]
