"""A process for a foreign program or for its tests: started, awaited, read and ended."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Literal

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.verify.options import Options
from scorecraft.rewards.verify.verification import Unreadable

_RUNNER = Path(__file__).with_name("program_runner.py")
_MOST_OUTPUT = 2**20
# Starting Python and giving up rights is not the program's own time, and can take long on a busy machine.
START_SECONDS = 60.0


class NotStartedError(Exception):
    """The machine was too busy to start a process."""


class Process:
    """One half of a run, see `program_runner`; it is killed at the end of the ``with`` block.

    given: what it reads, with the role "alone". pipes: where it reads from and writes to the other half.
    """

    def __init__(
        self,
        role: Literal["alone", "program", "tests"],
        source: str,
        options: Options,
        *,
        given: str = "",
        pipes: tuple[int, ...] = (),
    ) -> None:
        self._stack = ExitStack()
        try:
            self._start(role, source, options, given, pipes)
        except BaseException:
            self._stack.close()
            raise

    def _start(self, role: str, source: str, options: Options, given: str, pipes: tuple[int, ...]) -> None:
        request = {"source": source, "seconds": options.seconds, "memory_mb": options.memory_mb}
        asked = self._file(json.dumps(request).encode())
        stdin = self._file(given.encode("utf-8", "surrogatepass"))
        self._stdout, self._stderr = self._file(), self._file()
        self._channel, channel = os.pipe()
        self._stack.callback(os.close, self._channel)
        self._waiting = b""
        self._poll = select.poll()  # which takes any number of open files, as ``select`` does not
        self._poll.register(self._channel, select.POLLIN)
        passed = (asked.fileno(), channel, *pipes)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(_RUNNER), role, *map(str, passed)],
                stdin=stdin, stdout=self._stdout if role == "alone" else subprocess.DEVNULL,
                stderr=self._stderr if role == "alone" else subprocess.DEVNULL,
                cwd=self._stack.enter_context(tempfile.TemporaryDirectory()), start_new_session=True, pass_fds=passed,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        finally:
            os.close(channel)
        self._stack.callback(self._kill)

    def _file(self, content: bytes = b"") -> IO[bytes]:
        file = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        file.write(content)
        file.seek(0)
        return file

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def await_start(self) -> None:
        """Wait until the foreign code is about to run.

        Raises `Unreadable` where it is no Python or cannot be compiled within the limits, `NotStartedError`, and
        `ScorecraftError` where this machine cannot take rights away.
        """
        try:
            report = self.report(START_SECONDS)
        except TimeoutError:
            raise NotStartedError(f"no process for it started in {START_SECONDS:g} s") from None
        if "isolated" not in report:
            reason = report.get("refused", "the process ended before it began")
            raise ScorecraftError(f"verify: programs cannot be run safely here: {reason}")
        try:
            report = self.report(START_SECONDS)
        except TimeoutError:
            report = {}
        if "ready" not in report:
            raise Unreadable(f"no Python program ({report.get('unreadable', 'the compiler gave up')})")

    def report(self, seconds: float) -> dict[str, Any]:
        """Return the next report; an empty one where the process has ended. Raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._waiting:
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise TimeoutError
            received = os.read(self._channel, 65536)
            if not received:
                return {}
            self._waiting += received
        line, _, self._waiting = self._waiting.partition(b"\n")
        return json.loads(line)

    def output(self, seconds: float) -> tuple[str, str]:
        """Return what the program printed, and "" or why it failed. Raises `TimeoutError`."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        if status == -signal.SIGXCPU:
            raise TimeoutError
        self._stdout.seek(0)
        output = self._stdout.read(_MOST_OUTPUT + 1)
        if len(output) > _MOST_OUTPUT:
            return "", f"more than {_MOST_OUTPUT} bytes of output"
        return output.decode("utf-8", "replace"), self._failure(status) if status else ""

    def _failure(self, status: int) -> str:
        """Return the last line of the traceback, or the exit status."""
        self._stderr.seek(max(self._stderr.seek(0, os.SEEK_END) - 4096, 0))
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else f"the process ended with {status}"
