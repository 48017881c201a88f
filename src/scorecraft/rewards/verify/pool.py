"""Worker processes with a hard limit on the time and the memory of every answer.

A worker is started when one is first needed and used again and again; one that exceeds a limit is killed, and the
next answer gets a new one. Nothing here needs signals, a main thread or `multiprocessing`, so it works in threads, in
forked and spawned processes, in daemons and in Ray actors; each process has workers of its own.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scorecraft.errors import ScorecraftError

# Importing the libraries can take this long on a slow machine.
START_SECONDS = 300.0
_SCRIPT = Path(__file__).with_name("worker.py")


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is asked: which comparison, and of which texts."""

    kind: Literal["mathematics", "pattern"]
    truth: str
    given: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a job.

    same: the verdict; None where there is none. values: the two as they were understood, given first.
    failure: "" or why there is no verdict: "timeout", "memory", "truth" or "given" (one of them cannot be read), or
    "error". message: more about it. seconds: wall-clock time, without waiting for a worker.
    """

    same: bool | None = None
    values: tuple[str, str] | None = None
    failure: Literal["", "timeout", "memory", "truth", "given", "error"] = ""
    message: str = ""
    seconds: float = 0.0


class _Ended(Exception):  # noqa: N818 - what happened, not whose fault it is
    """The worker's process has ended."""


class Worker:
    """The client's side of one worker process."""

    def __init__(self, memory_mb: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT), str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._replies, selectors.EVENT_READ)
        self._waiting = b""
        self.fresh = True

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def ask(self, job: Job, seconds: float) -> dict[str, Any]:
        """Return the worker's reply; raises `TimeoutError` or `_Ended`, after which the worker is of no more use."""
        request = {"job": job.kind, "truth": job.truth, "given": job.given, "seconds": seconds}
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise _Ended from error
        reply = self._reply(START_SECONDS)
        if "ready" in reply:
            self.fresh = False
            reply = self._reply(seconds)
        return reply

    def _reply(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._waiting:
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                raise TimeoutError
            received = os.read(self._replies.fileno(), 65536)
            if not received:
                raise _Ended
            self._waiting += received
        line, _, self._waiting = self._waiting.partition(b"\n")
        return json.loads(line)

    def stop(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        self._selector.close()
        self._requests.close()
        self._replies.close()


class Pool:
    """Up to ``workers`` processes, shared by all threads of this process.

    memory_mb: the address space of each.
    """

    def __init__(self, workers: int, memory_mb: int) -> None:
        self.memory_mb = memory_mb
        self._places = threading.Semaphore(workers)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self.workers = workers

    def run(self, jobs: Sequence[Job], seconds: float) -> list[Reply]:
        """Return the reply to every job, each within ``seconds`` of wall-clock time."""
        replies: list[Reply | None] = [None] * len(jobs)
        places = iter(range(len(jobs)))
        troubles: list[BaseException] = []

        def work() -> None:
            try:
                while not troubles:
                    with self._lock:
                        place = next(places, None)
                    if place is None:
                        return
                    with self._places:
                        replies[place] = self._run(jobs[place], seconds)
            except BaseException as error:  # it is raised again in the thread that asked
                troubles.append(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(self.workers, len(jobs)) - 1)]
        for thread in threads:
            thread.start()
        work()
        for thread in threads:
            thread.join()
        if troubles:
            raise troubles[0]
        return [reply for reply in replies if reply is not None]

    def _run(self, job: Job, seconds: float) -> Reply:
        """Ask a worker; where memory ran out or the process ended, a fresh one is asked once more."""
        reply, fresh = self._ask(job, seconds)
        if reply.failure == "memory" and not fresh:
            reply, _ = self._ask(job, seconds)
        return reply

    def _ask(self, job: Job, seconds: float) -> tuple[Reply, bool]:
        worker = self._take()
        fresh, start = worker.fresh, time.perf_counter()
        keep = False
        try:
            answer = worker.ask(job, seconds)
            keep = "memory" not in answer
        except TimeoutError:
            answer = {"timeout": True}
        except _Ended:
            answer = {"memory": True}
        finally:
            self._put(worker, keep=keep)
        return _understood(answer, seconds, self.memory_mb, time.perf_counter() - start), fresh

    def _take(self) -> Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        worker = Worker(self.memory_mb)
        with self._lock:
            self._all.add(worker)
        return worker

    def _put(self, worker: Worker, *, keep: bool) -> None:
        with self._lock:
            if keep:
                self._idle.append(worker)
                return
            self._all.discard(worker)
        worker.stop()

    def stop(self) -> None:
        """Kill all processes."""
        with self._lock:
            workers, self._all, self._idle = self._all, set(), []
        for worker in workers:
            worker.stop()


def _understood(answer: dict[str, Any], seconds: float, memory_mb: int, took: float) -> Reply:
    if "same" in answer:
        values = tuple(answer["values"]) if "values" in answer else None
        return Reply(answer["same"], values, seconds=took)
    if "timeout" in answer:
        return Reply(failure="timeout", message=f"no verdict after {seconds:g} s", seconds=took)
    if "memory" in answer:
        return Reply(failure="memory", message=f"more than {memory_mb} MB of memory", seconds=took)
    if "unreadable" in answer:
        return Reply(failure=answer["unreadable"], message="math-verify cannot read it", seconds=took)
    return Reply(failure="error", message=answer["trouble"], seconds=took)


_pools: dict[tuple[int, int, int], Pool] = {}
_pools_lock = threading.Lock()


def pool(workers: int, memory_mb: int) -> Pool:
    """Return this process's pool of that size; a fork gets pools of its own."""
    if os.name != "posix":
        raise ScorecraftError("verify: worker processes with a memory limit need Linux or macOS")
    key = (os.getpid(), workers, memory_mb)
    with _pools_lock:
        if key not in _pools:
            _pools[key] = Pool(workers, memory_mb)
        return _pools[key]


def _after_fork() -> None:
    global _pools_lock  # noqa: PLW0603 - another thread may have held it when the process was forked
    _pools_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def stop_workers() -> None:
    """End the worker processes of this process; the next answer starts new ones."""
    for key in [key for key in _pools if key[0] == os.getpid()]:
        _pools.pop(key).stop()
