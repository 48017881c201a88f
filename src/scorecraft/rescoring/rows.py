"""One row of a file of completions, and how the formats of the trainers write it.

A format is known by its columns. What it does not say (a true answer, a group) is empty, and the reward that needs it
says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scorecraft.columns import ANSWERS, COMPLETIONS, PROMPTS
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.integrations.composition import conversation_text, key_of, message_text


@dataclass(frozen=True, slots=True)
class CompletionRow:
    """A completion with what it answers. ``key`` is equal for completions of one prompt; ``length`` is in tokens."""

    prompt: str
    completion: str
    answer: str = ""
    gold: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    key: Any = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what; None to find it by its usual names, and for ``group`` to go by the prompt."""

    prompt: str | None = None
    completion: str | None = None
    answer: str | None = None
    group: str | None = None


# What is called a label here is the answer; where a person judges answers, it is the judgement.
TRUTHS = (*ANSWERS, "label")

ReadRow = Callable[[Mapping[str, Any]], CompletionRow]


@dataclass(frozen=True, slots=True)
class Format:
    """A format's name, whether it knows answers, the columns that are read, and how a row becomes a `CompletionRow`."""

    name: str
    has_answers: bool
    columns: tuple[str, ...]
    read: ReadRow


def find_format(names: Sequence[str], columns: Columns) -> Format:
    """Return how rows with these columns are read.

    Args:
        names: the columns of the file.
        columns: what the user named.

    Raises `ScorecraftError` for a named column that is not there, or a file in which no completion can be found.
    """
    for option in ("prompt", "completion", "answer", "group"):
        named = getattr(columns, option)
        if named is not None and named not in names:
            raise ScorecraftError(f"--{option}-column: the file has no column '{named}'; {nearest(named, names)}")
    chosen = any(getattr(columns, option) for option in ("prompt", "completion", "answer", "group"))
    has = set(names)
    if not chosen and {"tokens", "text", "problem", "prompt", "group"} <= has:
        own = ("tokens", "text", "prompt", "answer", "gold", "problem", "group")
        return Format("scorecraft", True, own, _scorecraft)
    if not chosen and {"input", "output", "gts"} <= has:
        return Format("verl", True, ("input", "output", "gts"), _verl)
    if not chosen and {"task", "nodes", "rewards"} <= has:
        return Format("verifiers", True, ("task", "nodes", "root_reply"), _verifiers)
    if not columns.completion and "messages" in has:
        return _messages(names, columns)
    return _plain(names, columns)


def _pick(names: Sequence[str], usual: Sequence[str], named: str | None) -> str | None:
    return named or next((name for name in usual if name in names), None)


def _plain(names: Sequence[str], columns: Columns) -> Format:
    completion = _pick(names, COMPLETIONS, columns.completion)
    prompt = _pick([name for name in names if name != completion], PROMPTS, columns.prompt)
    answer = _pick([name for name in names if name not in (completion, prompt)], TRUTHS, columns.answer)
    if completion is None:
        raise ScorecraftError(
            f"no column of completions among {', '.join(names) or 'none'}; expected one of {', '.join(COMPLETIONS)}, "
            "or name it with --completion-column"
        )
    metadata, group = ("metadata" if "metadata" in names else None), columns.group
    trl = {"step", "advantage"} <= set(names)

    def read(row: Mapping[str, Any]) -> CompletionRow:
        asked = conversation_text(row[prompt]) if prompt and row.get(prompt) is not None else ""
        told = row.get(answer) if answer else None
        key = row.get(group) if group else (row.get("step"), asked, str(told)) if trl else (asked, str(told))
        return CompletionRow(
            asked, _completion(row.get(completion), completion), "" if told is None else str(told), "",
            _mapping(row.get(metadata), "metadata") if metadata else {}, key,
        )  # fmt: skip

    used = [prompt, completion, answer, metadata, group, "step" if trl else None]
    return Format("trl" if trl else "plain", answer is not None, tuple(filter(None, used)), read)


def _completion(value: Any, column: str) -> str:
    if value is None:
        raise ScorecraftError(f"'{column}' is empty (null); expected a text or a list of messages")
    return conversation_text(value, last=True)


def _messages(names: Sequence[str], columns: Columns) -> Format:
    answer = _pick(names, TRUTHS, columns.answer)

    def read(row: Mapping[str, Any]) -> CompletionRow:
        messages = row["messages"]
        if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
            raise ScorecraftError(f"'messages': expected a list of messages, got {messages!r:.60}")
        *before, last = messages
        if not isinstance(last, Mapping) or last.get("role") != "assistant":
            raise ScorecraftError("'messages': expected the assistant's message last, since that is what is scored")
        asked = conversation_text(before)
        told = row.get(answer) if answer else None
        key = row.get(columns.group) if columns.group else (asked, str(told))
        return CompletionRow(asked, message_text(last.get("content")), "" if told is None else str(told), key=key)

    used = tuple(filter(None, ("messages", answer, columns.group)))
    return Format("messages", answer is not None, used, read)


def _scorecraft(row: Mapping[str, Any]) -> CompletionRow:
    return CompletionRow(
        row["prompt"], row["text"], row["answer"] or "", row["gold"] or "", _mapping(row["problem"], "problem"),
        row["group"], len(row["tokens"]),
    )  # fmt: skip


def _verl(row: Mapping[str, Any]) -> CompletionRow:
    truth = row["gts"]
    told = "" if truth is None else truth if isinstance(truth, str) else key_of(truth).strip("[]")
    return CompletionRow(row["input"], _completion(row["output"], "output"), told, key=(row["input"], told))


def _verifiers(row: Mapping[str, Any]) -> CompletionRow:
    """Read a trace: the last sampled message is the completion, the task's data hold the prompt and the answer."""
    task = row["task"]
    data = task.get("data", task) if isinstance(task, Mapping) else {}
    sampled = [node["message"] for node in row["nodes"] if node.get("sampled")]
    text = row.get("root_reply") or (message_text(sampled[-1].get("content")) if sampled else None)
    if text is None:
        raise ScorecraftError("the trace has no sampled message")
    prompt = data.get("prompt")
    asked = conversation_text(prompt) if prompt is not None else ""
    told = next((data[name] for name in TRUTHS if data.get(name) is not None), None)
    known = {"idx", "id", "name", "description", "prompt", "system_prompt", *TRUTHS}
    metadata = {name: value for name, value in data.items() if name not in known}
    key = next((data[name] for name in ("id", "idx") if data.get(name) is not None), (asked, str(told)))
    return CompletionRow(asked, text, "" if told is None else str(told), metadata=metadata, key=key)


def _mapping(value: Any, column: str) -> Mapping[str, Any]:
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ScorecraftError(f"'{column}': expected JSON text of a mapping ({error})") from None
    if not isinstance(value, Mapping):
        raise ScorecraftError(f"'{column}': expected a mapping, or JSON text of one, got {value!r:.60}")
    return value
