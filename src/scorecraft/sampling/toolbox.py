"""Reads the tool call that ends a text, runs the tool, and gives what to put into the text after it.

A call is a JSON object between two markers::

    <tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>

Whatever is wrong with a call, its answer is a text that says so and how to mend it.
"""

from __future__ import annotations

import json
import string
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.sampling.tool_function import Run, ToolSpec, cut, make_tool, run_tool

Outcome = Literal["ok", "malformed", "unknown-tool", "bad-arguments", "raised", "timeout"]
# Called with a tool's name, its arguments and the most characters of the result.
Runner = Callable[[str, dict[str, Any], int], Run]

CALL_START, CALL_END = "<tool_call>", "</tool_call>"
LEAST_CHARACTERS = 64

_FORM = '{"name": "...", "arguments": {...}}'
_OF_ESCAPES = frozenset("\\u" + string.hexdigits)


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it was written."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Malformed:
    """Why a call cannot be read, and what of it could be."""

    reason: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call led to.

    name: of the tool that was asked for, "" where none could be read. arguments: as they were read. text: the tool's
    result, or an error message for the policy. outcome: what happened. seconds: wall-clock time.
    """

    name: str
    arguments: dict[str, Any]
    text: str
    outcome: Outcome
    seconds: float


@dataclass(frozen=True)
class ToolBox:
    """Named tools, and the markers between which calls to them are written.

    Args:
        tools: by name.
        run: runs a tool; `ToolBox.of_functions` has one that runs it in this process, and
            `scorecraft.sampling.tool_worker.ToolWorker` one that limits its time and memory.
        call_start: what a call begins with.
        call_end: what a call ends with.
        reserved: further texts that no result may contain, such as the markers of results and special tokens. They
            are escaped like the markers of calls, see `escape`.
        max_characters: of a result; a longer one is cut.

    Raises `ScorecraftError` for a marker that is empty or cannot be escaped, and for ``max_characters`` below 64.
    """

    tools: Mapping[str, ToolSpec]
    run: Runner
    call_start: str = CALL_START
    call_end: str = CALL_END
    reserved: tuple[str, ...] = ()
    max_characters: int = 1000

    def __post_init__(self) -> None:
        if not self.call_start.strip() or not self.call_end.strip():
            raise ScorecraftError("tools: call_start and call_end must hold more than white space")
        for marker in (self.call_start, self.call_end, *self.reserved):
            check_marker(marker)
        if self.max_characters < LEAST_CHARACTERS:
            raise ScorecraftError(
                f"tools: max_characters is {self.max_characters}; an error message needs at least {LEAST_CHARACTERS}"
            )

    @classmethod
    def of_functions(
        cls,
        functions: Mapping[str, Callable[..., Any]],
        schemas: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> ToolBox:
        """Return a box of functions that run in this process, with no limit on their time or memory.

        Args:
            functions: by the name that a policy calls them by.
            schemas: JSON schemas of arguments; where there is none it comes from the function's type hints.
            options: the other fields of `ToolBox`.

        Raises `ScorecraftError` as `make_tool` does.
        """
        schemas = schemas or {}
        check_schema_names(schemas, functions)
        tools = {name: make_tool(name, function, schemas.get(name)) for name, function in functions.items()}

        def run(name: str, arguments: dict[str, Any], max_characters: int) -> Run:
            return run_tool(tools[name], json.dumps(arguments), max_characters)

        return cls({name: tool.spec for name, tool in tools.items()}, run, **options)

    def call(self, text: str) -> ToolResult:
        """Read the last call in a text, run it, and return its result; never raises for what the text holds.

        Args:
            text: that ends with a call. Give only what the policy wrote since the last result, so that nothing that
                a tool has said can become part of a call.
        """
        started = time.perf_counter()
        call = read_call(text, self.call_start, self.call_end)
        arguments: dict[str, Any] = {}
        if isinstance(call, Malformed):
            outcome, said = "malformed", f"error: the call cannot be read: {call.reason}; write {_FORM}"
        elif call.name not in self.tools:
            arguments = call.arguments
            outcome, said = (
                "unknown-tool",
                f"error: no tool is named {call.name!r:.80}; {nearest(call.name, self.tools)}",
            )
        else:
            arguments = call.arguments
            done = self.run(call.name, arguments, self.max_characters)
            outcome, said = done.outcome, done.text
        return ToolResult(call.name, arguments, self._safe(said), outcome, time.perf_counter() - started)

    def _safe(self, text: str) -> str:
        """Return a text without half characters, of the longest length, and with no marker in it."""
        text = cut(text.encode("utf-8", "replace").decode("utf-8"), self.max_characters)
        return escape(text, (self.call_start, self.call_end, *self.reserved))[: self.max_characters]


def read_call(text: str, call_start: str = CALL_START, call_end: str = CALL_END) -> Call | Malformed:
    """Return the last call in a text: what stands between the last end marker and the start marker before it.

    ``arguments`` is a JSON object, also as a text that holds one, or is absent; "parameters" means the same. Other
    keys do not matter. NaN, infinities and halves of a character are not JSON.

    Args:
        text: whatever was written.
        call_start: what a call begins with.
        call_end: what a call ends with.
    """
    before, closed, _ = text.rpartition(call_end)
    if not closed:
        return Malformed("it has no end")
    before = before.rpartition(call_end)[2]
    parts = before.split(call_start)
    if len(parts) == 1:
        return Malformed("it has no beginning")
    fault = ""
    # A start marker may stand inside an argument, so the shortest text that is JSON counts.
    for first in range(len(parts) - 1, 0, -1):
        value, reason = _json(call_start.join(parts[first:]))
        if not reason:
            return _call(value)
        fault = fault or reason
    return Malformed(fault)


def _call(value: Any) -> Call | Malformed:
    if not isinstance(value, dict):
        return Malformed("it is no JSON object")
    name = value.get("name")
    if not isinstance(name, str) or not name:
        return Malformed('it has no "name", which is a text')
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        arguments, reason = _json(arguments)
        if reason:
            return Malformed(f'its "arguments" are a text, and {reason}', name)
    if not isinstance(arguments, dict):
        return Malformed('its "arguments" are no JSON object', name)
    return Call(name, arguments)


def _json(text: str) -> tuple[Any, str]:
    """Return the value that a text holds, and "" or why it holds none."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # 1e999 is read as infinity
    except json.JSONDecodeError as error:
        return None, f"it is no JSON ({error.msg}, character {error.pos})"
    except UnicodeEncodeError:
        return None, "it holds half a character"
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, deep nesting
        return None, f"it is no JSON ({str(error).partition(';')[0]:.80})"
    return value, ""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def can_escape(marker: str) -> bool:
    """Return whether a marker holds a character that JSON escapes are not written with."""
    return not _OF_ESCAPES.issuperset(marker.strip())


def check_marker(marker: str) -> None:
    """Raise `ScorecraftError` for a marker that is more than white space and that `escape` cannot make disappear."""
    if marker.strip() and not can_escape(marker):
        raise ScorecraftError(
            f"tools: the marker {marker!r} is made up of characters that escapes are written with; "
            f"choose another, such as {CALL_START!r}"
        )


def check_schema_names(schemas: Iterable[str], functions: Iterable[str]) -> None:
    """Raise `ScorecraftError` for a schema of a function that is not among the tools."""
    for name in schemas:
        if name not in set(functions):
            raise ScorecraftError(f"tools: a schema is given for '{name}'; {nearest(name, functions)}")


def escape(text: str, markers: Iterable[str]) -> str:
    """Return a text in which none of the markers stands, white space around them aside.

    One character of each is written as its JSON escape: ``</tool_call>`` becomes ``\\u003c/tool_call>``, which still
    reads the same inside a JSON text.

    Args:
        text: any.
        markers: none of which is made up of the characters of escapes alone; see `check_marker`.
    """
    found = {marker.strip(): _escaped(marker.strip()) for marker in markers if marker.strip()}
    # Every round takes away a character that escapes are not written with, so that there is a last one.
    while any(marker in text for marker in found):
        for marker, escaped in found.items():
            text = text.replace(marker, escaped)
    return text


def _escaped(marker: str) -> str:
    place = next(place for place, character in enumerate(marker) if character not in _OF_ESCAPES)
    units = marker[place].encode("utf-16-be").hex(" ", 2).split()
    return marker[:place] + "".join(f"\\u{unit}" for unit in units) + marker[place + 1 :]
