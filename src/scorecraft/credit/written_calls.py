"""Reads tool calls and answers off what a policy wrote."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from scorecraft.credit.tool_similarity import ToolCall
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem

CallForm = Literal["tags", "brackets"]

_TAGGED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_BRACKETED = re.compile(r"\[([^\[\]]*)\]")
_CALL = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*\((.*)\)\s*", re.DOTALL)
_NAMED = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)(.*)", re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def form_of(call_end: str | None) -> CallForm:
    """Return the form of calls that end with the given text: "]" for brackets, else tags."""
    return "brackets" if call_end == "]" else "tags"


def read_calls(text: str, form: CallForm) -> list[ToolCall]:
    """Return the calls in a text, in order; one that cannot be read has the name "", which no tool has.

    "tags": ``<tool_call>{"name": "search", "arguments": {"q": "a"}}</tool_call>``, also with "parameters". "brackets":
    ``[add(12, 7)]``, whose arguments without a name are called "0", "1", ...

    Args:
        text: of the policy alone, without what tools answered.
        form: how calls are written.
    """
    if form == "tags":
        return [_tagged(match[1]) for match in _TAGGED.finditer(text)]
    return [_bracketed(match[1]) for match in _BRACKETED.finditer(text)]


def read_answer(text: str) -> str | None:
    """Return what stands in the last ``<answer>...</answer>``, None where there is none."""
    found = _ANSWER.findall(text)
    return found[-1] if found else None


def golden_calls(problem: Problem, form: CallForm) -> list[ToolCall]:
    """Return the problem's golden calls: its metadata's ``tool_calls``, else those of its gold completion.

    Raises `ScorecraftError` for ``tool_calls`` that are not a list of objects with name and arguments.
    """
    listed = problem.metadata.get("tool_calls")
    if listed is None:
        return [call for call in read_calls(problem.gold, form) if call["name"]]
    if not isinstance(listed, list) or not all(_is_call(call) for call in listed):
        raise ScorecraftError(
            f"problem {problem.prompt!r:.60}: metadata 'tool_calls' is {listed!r:.100}; expected a list of objects "
            'such as {"name": "search", "arguments": {"q": "a"}}'
        )
    return [ToolCall(name=call["name"], arguments=call["arguments"]) for call in listed]


def _is_call(call: Any) -> bool:
    if not isinstance(call, dict) or not isinstance(call.get("arguments"), dict | str):
        return False
    return isinstance(call.get("name"), str) and call["name"] != ""


def _tagged(body: str) -> ToolCall:
    try:
        call = json.loads(body)
    except (ValueError, RecursionError):
        call = None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return ToolCall(name="", arguments={})
    arguments = call.get("arguments", call.get("parameters", {}))
    return ToolCall(name=call["name"], arguments=arguments if isinstance(arguments, dict | str) else {})


def _bracketed(body: str) -> ToolCall:
    match = _CALL.fullmatch(body)
    if match is None:
        return ToolCall(name="", arguments={})
    arguments: dict[str, Any] = {}
    for place, part in enumerate(match[2].split(",") if match[2].strip() else ()):
        named = _NAMED.fullmatch(part)
        key, value = (named[1], named[2]) if named else (str(place), part)
        arguments[key] = _value(value.strip())
    return ToolCall(name=match[1], arguments=arguments)


def _value(text: str) -> Any:
    if _INTEGER.fullmatch(text):
        return int(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
