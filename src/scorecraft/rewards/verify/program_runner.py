"""One half of running a foreign program, in a process that gives up its rights first; `program.py` starts it.

As "alone" it runs the program, which reads and prints. As "program" it runs the program and then lends its functions to
the other half, which as "tests" runs the tests with them, so that the program shares no memory with the tests, the
verdict, or the channel it is told through.

The request is JSON in the file that the second argument numbers; the third numbers the channel to the parent. Each half
first says that it is isolated and ready, or why it is not; the program's close the channel before the program runs.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import json
import os
import sys
import warnings
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

# What the tests mean by these names is the library, whether or not the program has imported it for them.
_LIBRARIES = {
    **{name: name for name in ("math", "cmath", "statistics", "itertools", "functools", "collections", "operator")},
    **{name: name for name in ("re", "json", "random", "copy", "numpy")},
    "np": "numpy",
}


def _sibling(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tell(channel: int, **message: Any) -> None:
    os.write(channel, json.dumps(message).encode() + b"\n")


class _Names(dict[str, Any]):
    """The variables of the tests; what they do not define is the program's, except the names of builtins."""

    def __init__(self, peer: Any, libraries: dict[str, ModuleType]) -> None:
        super().__init__(__name__="__main__", __builtins__=builtins)
        self._peer = peer
        names = peer.ask("names", None)
        self.update({name: value for name, value in names.items() if not _reserved(name)})
        self.update(libraries)

    def __missing__(self, name: str) -> Any:
        if _reserved(name):
            raise KeyError(name)
        (found,) = self._peer.ask("variable", None, name) or (None,)
        if found is None:
            raise KeyError(name)
        return found[0]


def _reserved(name: str) -> bool:
    return name.startswith("__") or hasattr(builtins, name)


def _module(code: CodeType) -> dict[str, Any]:
    """Run code as the main module, and return its variables."""
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    exec(code, module.__dict__)
    return module.__dict__


def _lend(code: CodeType, peer: Any) -> None:
    """Run the program, then let the tests use what it has defined."""
    try:
        variables, failure = _module(code), None
    except BaseException as error:  # SystemExit among them; the tests are told instead
        variables, failure = {}, error

    def names() -> dict[str, Any]:
        if failure is not None:
            raise failure
        lent = variables.items()
        return {name: value for name, value in lent if callable(value) or isinstance(value, ModuleType)}

    def variable(name: str) -> tuple[Any, ...]:
        return ((variables[name],),) if name in variables else ()

    peer.operations = {"names": names, "variable": variable}
    peer.serve()


def _test(tests: str, peer: Any, channel: int) -> None:
    """Run the tests, and tell the parent what came of them."""
    tree = ast.parse(tests, "<tests>")
    bases = [node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used = {base.id for base in bases if isinstance(base, ast.Name)}
    try:
        libraries = {name: importlib.import_module(_LIBRARIES[name]) for name in sorted(used & _LIBRARIES.keys())}
        exec(compile(tree, "<tests>", "exec"), _Names(peer, libraries))
    except BaseException as error:  # SystemExit among them: the tests have not come to their end
        try:
            text = str(error)
        except Exception:  # the text of an object of the program
            text = ""
        _tell(channel, raised=f"{type(error).__name__}: {text}".removesuffix(": ")[:200])
    else:
        _tell(channel, passed=True)


def main(role: str, request_file: int, channel: int, *pipes: int) -> None:
    """Give up all rights, then play the part."""
    with os.fdopen(request_file, encoding="utf-8") as file:
        request = json.load(file)
    sandbox, exchange = _sibling("sandbox"), _sibling("exchange")
    try:
        sandbox.limit_resources(request["memory_mb"], request["seconds"])
        sandbox.give_up_rights()
    except (sandbox.Refused, OSError, ValueError) as error:
        _tell(channel, refused=str(error))
        return
    _tell(channel, isolated=True)
    warnings.simplefilter("ignore", SyntaxWarning)
    if role == "tests":
        _tell(channel, ready=True)
        _test(request["source"], exchange.Peer(*pipes, strict=True), channel)
        os._exit(0)
    try:
        code = compile(request["source"], "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        _tell(channel, unreadable=type(error).__name__)
        return
    _tell(channel, ready=True)
    os.close(channel)
    if role == "program":
        _lend(code, exchange.Peer(*pipes))
        os._exit(0)
    _module(code)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
