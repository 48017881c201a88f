"""A process that holds the functions of a Python file and calls them, one call at a time.

Its client is `scorecraft.sampling.tool_worker`. The two speak JSON, a line a message. The first request names the file
and the functions, and is answered with ``{"tools": [...]}`` or ``{"trouble": "..."}``; each further one is a call, and
is answered with what came of it. Memory is limited when the process starts. An alarm ends the process where a call
takes too long and nobody is there to end it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import json
import os
import resource
import signal
import sys
import traceback
from typing import Any, TextIO

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.sampling.tool_function import Tool, make_tool, run_tool

_GRACE = 2.0
_MODULE = "scorecraft_tools"


def load_tools(request: dict[str, Any]) -> dict[str, Tool]:
    """Run the file and return its functions as tools.

    Raises `ScorecraftError` where the file cannot be run, lacks a function, or a function gives no schema.
    """
    path = request["path"]
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise ScorecraftError(f"tools: '{path}' is not a Python file (expected a name ending in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # dataclasses and type hints look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # SystemExit among them
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        place = f" (line {lines[-1]})" if lines else ""
        raise ScorecraftError(f"tools: '{path}' cannot be run: {type(error).__name__}: {error}{place}") from error
    tools: dict[str, Tool] = {}
    for name in request["functions"]:
        function = getattr(module, name, None)
        if not callable(function):
            known = [found for found, value in vars(module).items() if inspect.isfunction(value)]
            raise ScorecraftError(f"tools: '{path}' has no function '{name}'; {nearest(name, known)}")
        tools[name] = make_tool(name, function, request["schemas"].get(name))
    return tools


def serve(requests: TextIO, replies: TextIO) -> None:
    """Load the tools, then run calls until there are no more."""

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    first = requests.readline()
    if not first:
        return
    try:
        tools = load_tools(json.loads(first))
        reply({"tools": [dataclasses.asdict(tool.spec) for tool in tools.values()]})
    except ScorecraftError as error:
        reply({"trouble": str(error)})
        return
    for line in requests:
        request = json.loads(line)
        # A tool may have set an alarm, or a handler, of its own.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, request["seconds"] + _GRACE)
        done = run_tool(tools[request["name"]], request["arguments"], request["max_characters"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        reply(dataclasses.asdict(done))


def main(memory_mb: int) -> None:
    """Limit the memory, keep the two channels from what tools read and print, and serve."""
    limit = memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    serve(requests, replies)
    os._exit(0)  # whatever threads a tool has left running


if __name__ == "__main__":
    main(int(sys.argv[1]))
