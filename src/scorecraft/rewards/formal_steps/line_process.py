"""A child process that is asked and answers in text, with a hard limit on the time of every answer.

It is started when first asked, used again and again, and killed with all that it started when it is too slow; the next
question starts it anew.
"""

from __future__ import annotations

import atexit
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

MOST_BYTES = 64 * 2**20


class ProcessEndedError(Exception):
    """The process has ended by itself, or could not be started."""


class TooSlowError(Exception):
    """No answer within the time; the process was killed."""


class LineProcess:
    """Hands text to a process and returns what it answers.

    complete: whether what has been read so far is a whole answer.
    """

    def __init__(
        self,
        command: Sequence[str],
        complete: Callable[[bytes], bool],
        *,
        folder: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.command = list(command)
        self.complete = complete
        self.folder = folder
        self.environment = environment
        self.lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._kept = b""

    @property
    def running(self) -> bool:
        """Whether a process is there, started by this process (not by the one it was forked from)."""
        return self._process is not None and self._owner == os.getpid() and self._process.poll() is None

    def start(self) -> None:
        """Start the process; raises `ProcessEndedError` where that cannot be done."""
        self.stop()
        try:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                cwd=self.folder, env=self.environment, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ProcessEndedError(f"{self.command[0]} cannot be started: {error}") from error
        self._owner, self._kept = os.getpid(), b""
        atexit.register(self.stop)

    def ask(self, text: str, seconds: float) -> str:
        """Return the answer to a text; raises `ProcessEndedError`, `TooSlowError`."""
        with self.lock:
            if not self.running:
                raise ProcessEndedError("the process is not running")
            return self.exchange(text.encode("utf-8", "replace"), seconds)

    def exchange(self, data: bytes, seconds: float) -> str:
        """Write bytes (none to only read) and return the next whole answer."""
        process, until = self._process, time.monotonic() + seconds
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        source, sink = process.stdout.fileno(), process.stdin.fileno()
        os.set_blocking(sink, False)
        read, self._kept = self._kept, b""
        with selectors.DefaultSelector() as ready:
            ready.register(source, selectors.EVENT_READ)
            if data:
                ready.register(sink, selectors.EVENT_WRITE)
            while not self.complete(read):
                left = until - time.monotonic()
                events = ready.select(left) if left > 0 else []
                if not events or len(read) > MOST_BYTES:
                    self.stop()
                    raise TooSlowError
                for key, _ in events:
                    if key.fd == source:
                        read += self._read(source)
                        continue
                    try:
                        data = data[os.write(sink, data[:65_536]) :]
                    except BlockingIOError:
                        continue
                    except OSError as error:
                        self.stop()
                        raise ProcessEndedError("the process takes no input any more") from error
                    if not data:
                        ready.unregister(sink)
        return read.decode("utf-8", "replace")

    def _read(self, source: int) -> bytes:
        piece = os.read(source, 65_536)
        if not piece:
            self.stop()
            raise ProcessEndedError("the process has ended")
        return piece

    def stop(self) -> None:
        """End the process and all that it started."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        atexit.unregister(self.stop)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
