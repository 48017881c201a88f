"""A reward function of the user's own, with the signature that TRL uses, from a Python file."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import math
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from scorecraft.errors import ScorecraftError, TrainingStopped, nearest
from scorecraft.rollouts import Rollouts

RewardFunction = Callable[..., Any]


def load_function(path: str, name: str) -> RewardFunction:
    """Return the function of that name from a Python file; the file is run once, and again after it changes.

    Args:
        path: of the file, relative to the working directory or absolute.
        name: of the function in it.

    Raises `ScorecraftError` where the file or the function is missing, or the file cannot be run.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ScorecraftError(f"reward function: no file '{path}'; expected a Python file that holds '{name}'")
    module = _run_file(str(file.resolve()), file.stat().st_mtime_ns)
    function = getattr(module, name, None)
    if not callable(function):
        functions = [known for known, value in vars(module).items() if inspect.isfunction(value)]
        raise ScorecraftError(f"reward function: '{path}' has no function '{name}'; {nearest(name, functions)}")
    return function


@lru_cache(maxsize=32)
def _run_file(path: str, modified: int) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scorecraft_reward_{abs(hash((path, modified)))}", path)
    if spec is None or spec.loader is None:
        raise ScorecraftError(f"reward function: '{path}' is not a Python file (expected a name ending in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise ScorecraftError(f"reward function: '{path}' cannot be run: {_explain(error, path)}") from error
    return module


def function_columns(rollouts: Rollouts) -> dict[str, list[Any]]:
    """Return what a reward function is called with, one entry per rollout.

    ``prompts``, ``completions`` (texts), ``completion_ids`` (tokens without padding), ``answer``, ``gold``, and
    one column for each metadata key of the problems, None where a problem lacks it.

    Args:
        rollouts: the completions.
    """
    problems = rollouts.problem_of
    keys = sorted({key for problem in rollouts.problems for key in problem.metadata})
    lengths = rollouts.lengths.tolist()
    return {key: [problem.metadata.get(key) for problem in problems] for key in keys} | {
        "prompts": [problem.prompt for problem in problems],
        "completions": list(rollouts.texts),
        "completion_ids": [row[:n] for row, n in zip(rollouts.tokens.tolist(), lengths, strict=True)],
        "answer": [problem.answer for problem in problems],
        "gold": [problem.gold for problem in problems],
    }


def call_function(function: RewardFunction, columns: dict[str, list[Any]], label: str) -> list[float | None]:
    """Call a reward function by keyword and check what it returns: one number per rollout, or None to abstain.

    A function without ``**kwargs`` gets the columns it names. A coroutine is awaited.

    Args:
        function: the user's.
        columns: see `function_columns`.
        label: "file:function", for the messages.

    Raises `ScorecraftError` where the function raises, wants an unknown column, or returns the wrong number of
    values or values that are no numbers; `TrainingStopped` where a value is NaN or infinite.
    """
    arguments = _accepted(function, columns, label)
    try:
        result = function(**arguments)
        if inspect.isawaitable(result):
            result = asyncio.run(_wait_for(result))
    except Exception as error:
        file = inspect.getsourcefile(inspect.unwrap(function)) or ""
        raise ScorecraftError(f"reward function {label} raised {_explain(error, file)}") from error
    values = result.tolist() if hasattr(result, "tolist") else result
    expected = len(columns["completions"])
    if not isinstance(values, list | tuple):
        raise ScorecraftError(
            f"reward function {label}: expected a list of {expected} numbers, got {type(values).__name__}"
        )
    if len(values) != expected:
        raise ScorecraftError(
            f"reward function {label}: expected {expected} values, one per rollout, got {len(values)}"
        )
    return [_number(value, row, label) for row, value in enumerate(values)]


def _accepted(function: RewardFunction, columns: dict[str, list[Any]], label: str) -> dict[str, list[Any]]:
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        wanted = columns
    else:
        wanted = {parameter.name: columns[parameter.name] for parameter in parameters if parameter.name in columns}
    for parameter in parameters:
        named = parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        if named and parameter.default is inspect.Parameter.empty and parameter.name not in columns:
            raise ScorecraftError(
                f"reward function {label} wants an argument '{parameter.name}' that this task does not have; "
                f"{nearest(parameter.name, columns)}"
            )
    return wanted


async def _wait_for(result: Any) -> Any:
    return await result


def _number(value: Any, row: int, label: str) -> float | None:
    if value is None:
        return None
    try:
        number = None if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise ScorecraftError(
            f"reward function {label}: expected a number or None for rollout {row}, "
            f"got {type(value).__name__} {value!r}"
        )
    if not math.isfinite(number):
        raise TrainingStopped(
            f"reward function {label} gave {number} for rollout {row}; return None to abstain, or a finite number"
        )
    return number


def _explain(error: Exception, path: str) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{place}"
