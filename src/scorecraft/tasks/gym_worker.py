"""A process that runs scorers which evaluate answers, so that they can be stopped.

`score_in_worker` starts it when it is first needed and again after it was stopped. The two speak JSON, a line a
message: the request is an address and an answer; the replies are ``{"ready": true}`` when the data set is made
(which does not count against the time limit), then ``{"score": 0.5}`` or ``{"error": "..."}``.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from typing import Any, TextIO

from scorecraft.tasks.gym_data import gym_dataset
from scorecraft.tasks.gym_scoring import gym_score

MEMORY_LIMIT = 4 * 2**30
# Importing the library and making a large data set can take this long on a slow machine.
START_SECONDS = 300.0


class ScorerError(Exception):
    """The scorer raised, or its process ended."""


class GymWorker:
    """The client's side: one worker process."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scorecraft.tasks.gym_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        self._replies: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._replies.put(line)
        self._replies.put("")

    @property
    def usable(self) -> bool:
        """False once the process has ended, and in a fork of the process that started it."""
        return self.owner == os.getpid() and self._process.poll() is None

    def score(self, address: dict[str, Any], answer: str, seconds: float) -> float:
        """Return a score; raises `TimeoutError` or `ScorerError`, after which the worker may be of no more use."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([address, answer]) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ScorerError("the scoring process has ended") from error
        reply = self._reply(START_SECONDS)
        if "ready" in reply:
            reply = self._reply(seconds)
        if "error" in reply:
            raise ScorerError(reply["error"])
        return reply["score"]

    def _reply(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._replies.get(timeout=seconds)
        except queue.Empty:
            self.stop()
            raise TimeoutError(f"no score after {seconds:g} s") from None
        if not line:
            self.stop()
            raise ScorerError("the scoring process ended (out of memory?)")
        return json.loads(line)

    def stop(self) -> None:
        """End the process."""
        if self.owner == os.getpid():
            self._process.kill()
            self._process.wait()


_lock = threading.Lock()
_workers: list[GymWorker] = []


@atexit.register
def _stop_worker() -> None:
    while _workers:
        _workers.pop().stop()


def score_in_worker(address: dict[str, Any], answer: str, seconds: float) -> float:
    """Return the score of an answer, computed in the worker process.

    Raises `TimeoutError` after ``seconds``, and `ScorerError` where the scorer raised or its process ended.
    """
    with _lock:
        if not (_workers and _workers[0].usable):
            _workers[:] = [GymWorker()]
        return _workers[0].score(address, answer, seconds)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))


def _serve(requests: TextIO, replies: TextIO) -> None:
    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    for line in requests:
        address, answer = json.loads(line)
        try:
            gym_dataset(address)
            reply({"ready": True})
            reply({"score": gym_score(address, answer)})
        except Exception as error:  # a scorer may raise anything; the client counts it
            reply({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    _limit_memory()
    # Data sets may print; the replies keep the real standard output to themselves.
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _serve(sys.stdin, private)
