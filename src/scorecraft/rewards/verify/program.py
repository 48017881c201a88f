"""Runs a program that was answered against tests, in a process of its own without network, files or other processes.

The program is the last fenced block of the completion (```` ```python ````), else its marked answer. Tests are either
Python code that follows the program and raises where it is wrong, or a mapping with "inputs" and "outputs": texts that
the program reads and the ones it must then print, compared line by line without trailing spaces.

A program that knows it is tested can cheat tests of the first kind, since it shares the process with them: an
object that equals everything passes ``==``. Leaving early does not. The second kind is compared outside.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.verify.extraction import find_answer
from scorecraft.rewards.verify.options import Options
from scorecraft.rewards.verify.verification import Ruling, Unreadable, Verification

_RUNNER = Path(__file__).with_name("program_runner.py")
_BLOCK = re.compile(r"```(?:[Pp]y(?:thon)?3?)?[ \t]*\n(.*?)```", re.DOTALL)
LONGEST_PROGRAM = 100_000
_MOST_OUTPUT = 2**20
# Starting Python and giving up rights is not the program's own time.
START_SECONDS = 1.0


def find_program(completion: str) -> str:
    """Return the program in a completion; raises `Unreadable` where there is none."""
    blocks = _BLOCK.findall(completion)
    program = blocks[-1] if blocks else find_answer(completion, loose=False).text
    if len(program) > LONGEST_PROGRAM:
        raise Unreadable(f"a program of {len(program)} characters")
    try:
        compile(program, "<program>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(f"no Python program ({type(error).__name__})") from error
    return program


def run_programs(completions: Sequence[str], tests: Sequence[Any], options: Options) -> list[Verification]:
    """Return the ruling on the program in every completion, see the module.

    Raises `ScorecraftError` unless ``options.run_code`` is set, for tests of another form, and where this machine
    cannot keep a program from network and files.
    """
    if not options.run_code:
        raise ScorecraftError("verify: kind 'code' runs what the model wrote; set run_code=True to allow it")
    checked = [_checked(test) for test in tests]
    with ThreadPoolExecutor(max_workers=options.workers) as threads:
        return list(threads.map(partial(_ruling, options=options), completions, checked))


def _checked(tests: Any) -> list[tuple[str, str | None, str]]:
    """Return tests as (code that follows the program, expected output, input)."""
    if isinstance(tests, str) and tests.strip():
        try:
            compile(tests, "<tests>", "exec")
        except SyntaxError as error:
            raise ScorecraftError(f"verify: the tests are no Python code: {error}") from error
        return [(tests, None, "")]
    inputs, outputs = _texts(tests, "inputs"), _texts(tests, "outputs")
    if inputs and outputs and len(inputs) == len(outputs):
        return [("", expected, given) for given, expected in zip(inputs, outputs, strict=True)]
    raise ScorecraftError(
        "verify: expected tests as Python code, or as {'inputs': [texts], 'outputs': [texts]} of equal length"
    )


def _texts(tests: Any, key: str) -> list[str]:
    texts = tests.get(key) if isinstance(tests, Mapping) else None
    return texts if isinstance(texts, list) and all(isinstance(text, str) for text in texts) else []


def _ruling(completion: str, tests: list[tuple[str, str | None, str]], options: Options) -> Verification:
    start = time.perf_counter()
    try:
        program = find_program(completion)
        verdict = _run_all(program, tests, options)
        verdict.given = program[:200]
    except Unreadable as error:
        verdict = Verification(Ruling.UNPARSED, str(error))
    verdict.path, verdict.seconds = "program", time.perf_counter() - start
    return verdict


def _run_all(program: str, tests: list[tuple[str, str | None, str]], options: Options) -> Verification:
    deadline = time.monotonic() + options.seconds
    for number, (code, expected, given) in enumerate(tests, start=1):
        place = f"test {number} of {len(tests)}: " if len(tests) > 1 else ""
        report, output = _run(program, code, given, max(deadline - time.monotonic(), 0.1), options.memory_mb)
        if report is None:
            return Verification(Ruling.TIMEOUT, f"{place}no end after {options.seconds:g} s")
        if "refused" in report:
            raise ScorecraftError(f"verify: programs cannot be run safely here: {report['refused']}")
        if "passed" not in report:
            return Verification(Ruling.WRONG, place + report["raised"])
        if expected is not None and _lines(output) != _lines(expected):
            return Verification(Ruling.WRONG, f"{place}another output than expected")
    return Verification(Ruling.CORRECT, score=1.0)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _run(program: str, tests: str, given: str, seconds: float, memory_mb: int) -> tuple[dict[str, Any] | None, str]:
    """Run the program once; return its report (None where time ran out) and what it printed."""
    secret = secrets.token_hex(16)
    request = {"program": program, "tests": tests, "secret": secret, "seconds": seconds, "memory_mb": memory_mb}
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile() as asked,
        tempfile.TemporaryFile() as told,
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as stdout,
    ):
        asked.write(json.dumps(request).encode())
        stdin.write(given.encode("utf-8", "surrogatepass"))
        for file in (asked, stdin):
            file.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(_RUNNER), str(asked.fileno()), str(told.fileno())],
            stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, cwd=folder, start_new_session=True,
            pass_fds=(asked.fileno(), told.fileno()),
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        try:
            process.wait(seconds + START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None, ""
        told.seek(0)
        stdout.seek(0)
        if process.returncode == -signal.SIGXCPU:
            return None, ""
        report = _last_report(told.read(_MOST_OUTPUT), secret)
        if report is None:
            report = {"raised": f"the process ended with {process.returncode} before the tests did"}
        return report, stdout.read(_MOST_OUTPUT).decode("utf-8", "replace")


def _last_report(written: bytes, secret: str) -> dict[str, Any] | None:
    """Return the runner's own report; a "passed" without the secret is the program's, and counts as none."""
    for line in reversed(written.splitlines()):
        try:
            report = json.loads(line)
        except ValueError:
            continue
        if isinstance(report, dict) and (report.get("passed") == secret or "raised" in report or "refused" in report):
            return report
    return None
