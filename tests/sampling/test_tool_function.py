"""Schemas from signatures and given ones, arguments against them, and results as text."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field

from scorecraft.errors import ScorecraftError
from scorecraft.sampling.tool_function import cut, make_tool, run_tool


@dataclass
class Point:
    x: int
    y: int = 0


def plan(
    when: date,
    where: Point,
    count: Annotated[int, Field(ge=1, description="how many")] = 1,
    *,
    mode: Literal["fast", "slow"] = "fast",
) -> str:
    """Plan a trip.

    More about it.
    """
    return f"{type(when).__name__} {when:%d.%m.%Y} {type(where).__name__} {where.x + where.y} {count} {mode}"


def run(function, arguments, schema=None, longest=500):
    return run_tool(make_tool("f", function, schema), arguments, longest)


def test_the_schema_comes_from_the_type_hints():
    spec = make_tool("plan", plan).spec
    assert spec.description == "Plan a trip.\n\nMore about it."
    assert spec.schema["type"] == "object"
    assert spec.schema["required"] == ["when", "where"]
    assert spec.schema["additionalProperties"] is False
    properties = spec.schema["properties"]
    assert (properties["when"]["type"], properties["when"]["format"]) == ("string", "date")
    assert properties["count"] == {
        "default": 1, "description": "how many", "minimum": 1, "title": "Count", "type": "integer",
    }  # fmt: skip
    assert properties["mode"]["enum"] == ["fast", "slow"]
    assert spec.schema["$defs"]["Point"]["required"] == ["x"]
    assert spec.as_function()["function"]["parameters"] == spec.schema
    assert make_tool("now", lambda: 0).spec.schema["properties"] == {}


def test_arguments_are_converted_to_what_the_hints_say():
    done = run(plan, '{"when": "2024-03-02", "where": {"x": 2, "y": 3}, "mode": "slow"}')
    assert (done.outcome, done.text) == ("ok", "date 02.03.2024 Point 5 1 slow")


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        ('{"when": "2024-03-02", "where": {"x": 2}, "count": "2"}', "count: Input should be a valid integer, got '2'"),
        ('{"when": "2024-03-02", "where": {"x": 2}, "count": 2.5}', "count: Input should be a valid integer"),
        ('{"when": "2024-03-02", "where": {"x": 2}, "count": 0}', "count: Input should be greater than or equal to 1"),
        ('{"when": "2024-03-02", "where": {}}', "where.x: "),
        ('{"when": "Monday", "where": {"x": 2}}', "when: Input should be a valid date"),
        ('{"where": {"x": 2}}', "when: Missing required argument"),
        ('{"when": "2024-03-02", "where": {"x": 2}, "mode": "x"}', "mode: Input should be 'fast' or 'slow', got 'x'"),
        ('{"when": "2024-03-02", "where": {"x": 2}, "who": 1}', "who: Unexpected keyword argument;"),
    ],
)
def test_what_violates_them_is_named_with_all_that_is_expected(arguments, faults):
    done = run(plan, arguments)
    assert done.outcome == "bad-arguments"
    assert done.text.startswith("error: bad arguments for 'f': ")
    assert faults in done.text
    assert done.text.endswith(
        'it takes when (string, required), where (object, required), count (integer), mode (one of "fast", "slow")'
    )


def test_many_faults_are_counted():
    done = run(lambda: 0, '{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}')
    assert done.text.endswith("c: Unexpected keyword argument; and 2 more; it takes no arguments")


def test_a_given_schema_decides_and_values_are_handed_over_as_written():
    pytest.importorskip("jsonschema")
    schema = {
        "type": "object",
        "properties": {"when": {"type": "string", "pattern": "^[0-9-]+$"}, "sizes": {"type": ["array", "null"]}},
        "required": ["when"],
        "additionalProperties": False,
    }

    def take(when: date, sizes=None):
        return [when, sizes]

    assert run(take, '{"when": "2024-03-02", "sizes": [1]}', schema).text == '["2024-03-02",[1]]'
    done = run(take, '{"when": "x", "more": 1, "sizes": 3}', schema)
    assert done.outcome == "bad-arguments"
    assert done.text == (
        "error: bad arguments for 'f': arguments: Additional properties are not allowed ('more' was unexpected); "
        "sizes: 3 is not of type 'array', 'null'; when: 'x' does not match '^[0-9-]+$'; "
        "it takes when (string, required), sizes (array or null)"
    )
    assert make_tool("f", take, schema).spec.schema is schema
    # Nothing is fetched from elsewhere.
    away = {"type": "object", "properties": {"when": {"$ref": "http://localhost:1/x.json"}}}
    assert run(take, '{"when": 1}', away).outcome == "raised"


def test_given_schemas_are_checked():
    pytest.importorskip("jsonschema")
    for schema, message in (
        ({"type": "objekt"}, "is no JSON schema"),
        ({"type": "string"}, "expected a schema with type: object"),
        ({"type": "object", "properties": {"c": {}}}, "does not fit its signature"),
        ({"type": "object"}, "missing a required argument: 'a'"),
    ):
        with pytest.raises(ScorecraftError, match=message):
            make_tool("f", lambda a, b=1: a, schema)
    make_tool("f", lambda **values: values, {"type": "object", "properties": {"c": {}}})


def test_signatures_without_a_schema_are_named():
    class Odd:
        pass

    def takes_odd(a: Odd):
        return a

    takes_odd.__annotations__ = {"a": Odd}

    def takes_nowhere(a: Nowhere):
        return a

    for function in (takes_odd, takes_nowhere):
        with pytest.raises(ScorecraftError, match="tool 'f': its signature gives no JSON schema"):
            make_tool("f", function)
    for function in (math.sqrt, lambda *values: 0, lambda a, /: a):
        with pytest.raises(ScorecraftError, match="cannot be given by name"):
            make_tool("f", function)


def test_results_are_texts_or_json():
    def constant(value):
        return lambda: value

    def circle():
        found = []
        found.append(found)
        return found

    for result, text in (
        ("a\nb", "a\nb"),
        ("", ""),
        (None, "null"),
        (True, "true"),
        (0.5, "0.5"),
        (math.nan, "NaN"),
        ({"ä": (1, 2)}, '{"ä":[1,2]}'),
        (Point(1, 2), '{"x":1,"y":2}'),
        (date(2024, 3, 2), '"2024-03-02"'),
        (np.arange(3), "[0,1,2]"),
        ({"n": np.int64(3)}, '{"n":3}'),
    ):
        assert run(constant(result), "{}").text == text
    assert run(circle, "{}").text == "[[...]]"

    async def later(n: int):
        await asyncio.sleep(0)
        return n

    assert run(later, '{"n": 3}').text == "3"


def test_whatever_is_raised_becomes_the_result():
    class SilentError(Exception):
        def __str__(self):
            raise ValueError

    def throw(error):
        def function():
            raise error

        return run(function, "{}")

    assert throw(ValueError("x")).text == "error: 'f' raised ValueError: x"
    assert throw(KeyError()).text == "error: 'f' raised KeyError"
    assert throw(SilentError()).text == "error: 'f' raised SilentError"
    assert throw(SystemExit(3)).text == "error: 'f' raised SystemExit: 3"
    assert throw(MemoryError()).memory
    assert throw(ValueError("x" * 10_000)).text.endswith("... (cut, 10030 characters in all)")
    # The user may still interrupt.
    with pytest.raises(KeyboardInterrupt):
        throw(KeyboardInterrupt())


def test_cut():
    assert cut("x" * 100, 100) == "x" * 100
    assert cut("x" * 101, 100) == "x" * 68 + "... (cut, 101 characters in all)"
    assert len(cut("x" * 101, 100)) == 100
    assert cut(cut("x" * 101, 100), 100) == cut("x" * 101, 100)
    assert cut("x" * 101, 3) == "..."
