"""A worker process that runs the functions of a user's Python file, with a limit on their time and memory.

It is started when a tool is first needed and used again and again; a call that takes too long or runs out of memory
ends it, with all processes that the tool has started, and the next call gets a new one. The limits keep training
alive; they are no wall against a tool that means harm: it can do whatever the user's own programs can.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scorecraft.errors import ScorecraftError
from scorecraft.sampling.tool_function import Run, ToolSpec, cut
from scorecraft.sampling.toolbox import check_schema_names

# Running the user's file may import large libraries, or load an index.
START_SECONDS = 300.0


class _EndedError(Exception):
    """The process has ended."""


class _Process:
    """The client's side of one process of `scorecraft.sampling.tool_process`."""

    def __init__(self, memory_mb: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "scorecraft.sampling.tool_process", str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # so that what a tool has started ends with it
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._replies, selectors.EVENT_READ)
        self._waiting = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """Write a request. Raises `_EndedError`."""
        left = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while left:
                left = left[self._requests.write(left) :]
        except OSError as error:
            raise _EndedError from error

    def receive(self, seconds: float) -> dict[str, Any]:
        """Return the next reply. Raises `TimeoutError` or `_EndedError`."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._waiting:
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                raise TimeoutError
            received = os.read(self._replies.fileno(), 65536)
            if not received:
                raise _EndedError
            self._waiting += received
        line, _, self._waiting = self._waiting.partition(b"\n")
        return json.loads(line)

    def stop(self) -> None:
        """Kill the process and those that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # what macOS says of a dead process
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._selector.close()
        self._requests.close()
        self._replies.close()


class ToolWorker:
    """Runs the named functions of a Python file, one call at a time, in a process of their own.

    What a function keeps in memory may be gone at the next call, so it should keep nothing but caches. What it prints
    is thrown away.

    Args:
        path: of the file, relative to the working directory or absolute.
        functions: names of functions in it.
        schemas: JSON schemas of arguments, by name of a function; otherwise its type hints give them.
        seconds: wall-clock time of each call.
        memory_mb: address space of the process, Python and all libraries that the file imports included.

    Raises `ScorecraftError` for a file that is missing, a schema without a function, or a system without processes
    that can be limited; and at the first use where the file cannot be run or lacks a function.
    """

    def __init__(
        self,
        path: str,
        functions: Sequence[str],
        schemas: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        seconds: float = 5.0,
        memory_mb: int = 1024,
    ) -> None:
        if os.name != "posix":
            raise ScorecraftError("tools: worker processes with a memory limit need Linux or macOS")
        file = Path(path).expanduser()
        if not file.is_file():
            names = ", ".join(f"'{name}'" for name in functions)
            raise ScorecraftError(f"tools: no file '{path}'; expected a Python file that holds {names}")
        check_schema_names(schemas or {}, functions)
        self._path, self.seconds, self.memory_mb = str(file.resolve()), seconds, memory_mb
        self._request = {"path": self._path, "functions": list(functions), "schemas": dict(schemas or {})}
        self._process: _Process | None = None
        self._tools: dict[str, ToolSpec] = {}
        self._lock = threading.Lock()

    @property
    def tools(self) -> dict[str, ToolSpec]:
        """The tools by name."""
        with self._lock:
            self._loaded()
            return dict(self._tools)

    @property
    def pid(self) -> int | None:
        """The number of the process; None where none is running."""
        return self._process.pid if self._process is not None else None

    def run(self, name: str, arguments: dict[str, Any], max_characters: int) -> Run:
        """Call a function; one that takes too long is killed.

        Args:
            name: of one of the tools.
            arguments: JSON values by name.
            max_characters: of the result's text.
        """
        limits = {"seconds": self.seconds, "max_characters": max_characters}
        request = {"name": name, "arguments": json.dumps(arguments), **limits}
        with self._lock:
            try:
                done = Run(**self._sent(request).receive(self.seconds))
            except TimeoutError:
                self._stop()
                said = f"error: '{name}' took longer than {self.seconds:g} s and was stopped; ask for less"
                return Run("timeout", cut(said, max_characters))
            except _EndedError:
                self._stop()
                return Run("raised", cut(f"error: the process of '{name}' ended before it answered", max_characters))
            except BaseException:  # an interrupt: the reply to come would be taken for that to the next call
                self._stop()
                raise
            if done.memory:
                self._stop()
                said = f"error: '{name}' ran out of its {self.memory_mb} MB of memory and was stopped; ask for less"
                return Run("raised", cut(said, max_characters), memory=True)
            return done

    def stop(self) -> None:
        """End the process; the next call starts a new one."""
        with self._lock:
            self._stop()

    def __enter__(self) -> ToolWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _sent(self, request: dict[str, Any]) -> _Process:
        """Return the process that was sent a request: a new one where the old one has ended since the last call."""
        process = self._loaded()
        try:
            process.send(request)
        except _EndedError:
            self._stop()
            process = self._loaded()
            process.send(request)
        return process

    def _loaded(self) -> _Process:
        """Return the process, started and with the file run."""
        if self._process is None:
            self._process = _Process(self.memory_mb)
            try:
                self._tools = self._load(self._process)
            except BaseException:
                self._stop()
                raise
        return self._process

    def _load(self, process: _Process) -> dict[str, ToolSpec]:
        try:
            process.send(self._request)
            reply = process.receive(START_SECONDS)
        except TimeoutError:
            trouble = f"tools: '{self._path}' was not loaded after {START_SECONDS:g} s"
        except _EndedError:
            trouble = (
                f"tools: the process that runs '{self._path}' ended before it was loaded; "
                f"memory_mb {self.memory_mb} may be too little for what it imports"
            )
        else:
            if "tools" in reply:
                return {tool["name"]: ToolSpec(**tool) for tool in reply["tools"]}
            trouble = reply["trouble"]
        raise ScorecraftError(trouble)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.stop()


_workers: dict[tuple[Any, ...], tuple[int, ToolWorker]] = {}


def shared_worker(
    path: str,
    functions: Sequence[str],
    schemas: Mapping[str, Mapping[str, Any]],
    *,
    seconds: float,
    memory_mb: int,
) -> ToolWorker:
    """Return this process's worker with these options, the same one until the file changes; see `ToolWorker`."""
    schemas_text = json.dumps(schemas, sort_keys=True)
    # A fork has workers of its own.
    key = (os.getpid(), str(Path(path).expanduser().resolve()), tuple(functions), schemas_text, seconds, memory_mb)
    file = Path(path).expanduser()
    modified = file.stat().st_mtime_ns if file.is_file() else 0
    if key in _workers and _workers[key][0] != modified:
        _workers.pop(key)[1].stop()
    if key not in _workers:
        worker = ToolWorker(path, functions, schemas, seconds=seconds, memory_mb=memory_mb)
        _workers.setdefault(key, (modified, worker))
    return _workers[key][1]


@atexit.register
def stop_workers() -> None:
    """End the shared workers of this process."""
    for key in [key for key in _workers if key[0] == os.getpid()]:
        _workers.pop(key)[1].stop()
