"""One tool: a Python function with the JSON schema of its arguments, and what came of calling it.

Worker processes read this file too, so it imports no heavy library.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import to_json

from scorecraft.errors import ScorecraftError, require

RunOutcome = Literal["ok", "bad-arguments", "raised", "timeout"]
# Takes the JSON object of arguments as text; returns what to call the function with.
Check = Callable[[str], tuple[tuple[Any, ...], dict[str, Any]]]
_MOST_FAULTS = 3


class BadArgumentsError(Exception):
    """The arguments of a call violate the tool's schema; the message says where."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What is known of a tool without running it: its name, what it does, and the JSON schema of its arguments."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)

    def as_function(self) -> dict[str, Any]:
        """Return the tool as chat templates list it."""
        told = {"name": self.name, "description": self.description, "parameters": dict(self.schema)}
        return {"type": "function", "function": told}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that can be called with arguments written as JSON."""

    spec: ToolSpec
    function: Callable[..., Any]
    check: Check


@dataclass(frozen=True, slots=True)
class Run:
    """What came of running a tool: its result as text, or what went wrong. memory: whether that ran out."""

    outcome: RunOutcome
    text: str
    memory: bool = False


def make_tool(name: str, function: Callable[..., Any], schema: Mapping[str, Any] | None = None) -> Tool:
    """Return a function as a tool.

    Without a schema it is derived from the type hints of the signature, by which arguments are then both checked and
    converted (a date, a dataclass). With one, arguments are checked by it and handed over as they are written.

    Args:
        name: what a policy calls it.
        function: called with its arguments by name.
        schema: JSON schema (draft 2020-12) of the object of arguments.

    Raises `ScorecraftError` where the signature gives no schema, or the given one is not valid or does not fit it.
    """
    if schema is None:
        derived, check = _derive(name, function)
    else:
        derived, check = schema, _check_of_schema(name, function, schema)
    return Tool(ToolSpec(name, inspect.getdoc(function) or "", derived), function, check)


def run_tool(tool: Tool, arguments: str, max_characters: int) -> Run:
    """Check the arguments and call the function; whatever it raises becomes the text of the result.

    A coroutine is awaited. A text is the result as it stands, everything else is written as JSON.

    Args:
        tool: see `make_tool`.
        arguments: a JSON object.
        max_characters: of the text; see `cut`.
    """
    name = tool.spec.name
    try:
        try:
            values, named = tool.check(arguments)
        except BadArgumentsError as fault:
            text = f"error: bad arguments for '{name}': {fault}; {_takes(tool.spec)}"
            return Run("bad-arguments", cut(text, max_characters))
        result = tool.function(*values, **named)
        if inspect.isawaitable(result):
            result = asyncio.run(_wait_for(result))
        return Run("ok", cut(_written(result), max_characters))
    except MemoryError:
        return Run("raised", cut(f"error: '{name}' ran out of memory", max_characters), memory=True)
    except (Exception, SystemExit, asyncio.CancelledError) as error:  # an interrupt of the user's goes on
        return Run("raised", cut(f"error: '{name}' raised {_told(error)}", max_characters))


def cut(text: str, max_characters: int) -> str:
    """Return a text of at most so many characters, which says so where it was longer."""
    if len(text) <= max_characters:
        return text
    note = f"... (cut, {len(text)} characters in all)"
    return (text[: max(max_characters - len(note), 0)] + note)[:max_characters]


def _derive(name: str, function: Callable[..., Any]) -> tuple[dict[str, Any], Check]:
    # The adapter sees the function's signature and hints, but what it calls only hands the arguments back.
    @functools.wraps(function)
    def collect(*values: Any, **named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return values, named

    collect.__annotations__ = dict(getattr(function, "__annotations__", {}))  # wraps() leaves its own where it has none
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(cast(Any, collect))
        schema = adapter.json_schema()
    except (PydanticUserError, NameError, TypeError, ValueError) as error:
        raise ScorecraftError(
            f"tool '{name}': its signature gives no JSON schema ({str(error).splitlines()[0]}); "
            "give its parameters types that JSON can hold, or give the schema yourself"
        ) from error
    if schema.get("type") != "object":
        raise ScorecraftError(
            f"tool '{name}': {inspect.signature(function)} has parameters that cannot be given by name; "
            "tools are called with named arguments, so give every parameter a name"
        )

    def check(arguments: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        try:
            # Strict: "12" is no integer, but a date may be written as a text.
            return adapter.validate_json(arguments, strict=True)
        except ValidationError as error:
            faults = [_fault(fault["loc"], fault["msg"], fault) for fault in error.errors(include_url=False)]
        raise BadArgumentsError(_listed(faults))

    return schema, check


def _fault(place: tuple[int | str, ...], message: str, fault: Mapping[str, Any]) -> str:
    at = ".".join(map(str, place)) or "arguments"
    given = "" if fault["type"] in ("missing_argument", "missing", "unexpected_keyword_argument") else fault["input"]
    return f"{at}: {message}" + (f", got {given!r:.60}" if given != "" else "")


def _check_of_schema(name: str, function: Callable[..., Any], schema: Mapping[str, Any]) -> Check:
    require("jsonschema", "tools", f"the given schema of tool '{name}'")
    from jsonschema import Draft202012Validator, SchemaError
    from referencing import Registry

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ScorecraftError(f"tool '{name}': its schema is no JSON schema ({error.message})") from error
    if schema.get("type") != "object":
        raise ScorecraftError(
            f"tool '{name}': expected a schema with type: object, whose properties are the arguments, "
            f"got type {schema.get('type')!r}"
        )
    _check_names(name, function, schema)
    # An empty registry keeps the validator from looking references up on the network.
    validator = Draft202012Validator(schema, registry=Registry())

    def check(arguments: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = json.loads(arguments)
        faults = sorted(validator.iter_errors(given), key=lambda fault: [str(part) for part in fault.absolute_path])
        if faults:
            places = (".".join(map(str, fault.absolute_path)) or "arguments" for fault in faults)
            raise BadArgumentsError(
                _listed([f"{at}: {fault.message:.200}" for at, fault in zip(places, faults, strict=True)])
            )
        return (), given

    return check


def _check_names(name: str, function: Callable[..., Any], schema: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions that are written in C
        return
    try:
        signature.bind(**dict.fromkeys(schema.get("properties", {})))
    except TypeError as error:
        raise ScorecraftError(f"tool '{name}': its schema does not fit its signature {signature}: {error}") from error


def _listed(faults: list[str]) -> str:
    more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
    return "; ".join(faults[:_MOST_FAULTS]) + more


def _takes(spec: ToolSpec) -> str:
    """Return the sentence that says which arguments a tool takes."""
    required = spec.schema.get("required", ())
    named = [
        f"{argument} ({_type_of(schema)}{', required' if argument in required else ''})"
        for argument, schema in spec.schema.get("properties", {}).items()
    ]
    return f"it takes {', '.join(named)}" if named else "it takes no arguments"


def _type_of(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return "any"
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type_of(option) for option in schema["anyOf"])
    kind = schema.get("type", "object" if "$ref" in schema else "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


async def _wait_for(result: Any) -> Any:
    return await result


def _written(result: Any) -> str:
    if isinstance(result, str):
        return result
    try:
        return to_json(result, fallback=_plain, inf_nan_mode="constants").decode()
    except (ValueError, TypeError, RecursionError):  # a circle, or bytes that are no text
        return str(result)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _told(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # the text of an exception of the tool's own
        text = ""
    return f"{type(error).__name__}: {text}".removesuffix(": ")
