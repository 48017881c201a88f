"""Runs one foreign program in this process, after all rights are given up; `program.py` starts it as a script.

The request is JSON in the file that the first argument numbers; what came of it is written to the file that the second
one numbers. A program passes only where the tests after it have run to their end: leaving early passes nothing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def _report(place: int, **message: Any) -> None:
    os.write(place, json.dumps(message).encode() + b"\n")


def _sandbox() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sandbox", Path(__file__).with_name("sandbox.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(request_file: int, report_file: int) -> None:
    """Run the program, then its tests."""
    with os.fdopen(request_file, encoding="utf-8") as file:
        request = json.load(file)
    sandbox = _sandbox()
    try:
        sandbox.limit_resources(request["memory_mb"], request["seconds"])
        sandbox.give_up_rights()
    except (sandbox.Refused, OSError, ValueError) as error:
        _report(report_file, refused=str(error))
        return
    secret = request.pop("secret")
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        exec(compile(request["program"], "<program>", "exec"), namespace)
        if request["tests"]:
            exec(compile(request["tests"], "<tests>", "exec"), namespace)
    except MemoryError:
        _report(report_file, raised="MemoryError")
        os._exit(1)
    except BaseException as error:  # SystemExit among them: the tests were not reached
        _report(report_file, raised=f"{type(error).__name__}: {str(error)[:200]}")
        os._exit(1)
    sys.stdout.flush()
    _report(report_file, passed=secret)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
