"""Runs a program that was answered against tests, in processes of its own without network, files or other processes.

The program is the last fenced block of the completion (```` ```python ````), else its marked answer. Tests are either
Python code that raises where the program is wrong, or a mapping with "inputs" and "outputs": texts that the program
reads and the ones it must then print, compared line by line without trailing spaces, here and not there.

Tests in Python run in a second process, and use what the program defines from there
(`scorecraft.rewards.verify.exchange`). So a program can neither read nor change the tests, their builtins, or what is
reported of them; leaving early passes nothing, and an object that says it equals everything equals nothing plain. What
only the program's own objects can say of themselves (``a == b`` where both are of its classes) is theirs to say. Names
of builtins are the builtins in tests, also where the program has a function of that name. Tests cannot derive from the
program's classes, nor run its coroutines.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.verify.extraction import find_answer
from scorecraft.rewards.verify.options import Options
from scorecraft.rewards.verify.program_process import NotStartedError, Process
from scorecraft.rewards.verify.verification import Ruling, Unreadable, Verification

_BLOCK = re.compile(r"```(?:[Pp]y(?:thon)?3?)?[ \t]*\n(.*?)```", re.DOTALL)
LONGEST_PROGRAM = 100_000


def find_program(completion: str) -> str:
    """Return the program in a completion; raises `Unreadable` where there is none."""
    blocks = _BLOCK.findall(completion)
    program = blocks[-1] if blocks else find_answer(completion, loose=False).text
    if len(program) > LONGEST_PROGRAM:
        raise Unreadable(f"a program of {len(program)} characters")
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


def _checked(tests: Any) -> str | list[tuple[str, str]]:
    """Return tests as code, or as pairs of input and expected output."""
    if isinstance(tests, str) and tests.strip():
        try:
            compile(tests, "<tests>", "exec", dont_inherit=True)
        except SyntaxError as error:
            raise ScorecraftError(f"verify: the tests are no Python code: {error}") from error
        return tests
    inputs, outputs = _texts(tests, "inputs"), _texts(tests, "outputs")
    if inputs and outputs and len(inputs) == len(outputs):
        return list(zip(inputs, outputs, strict=True))
    raise ScorecraftError(
        "verify: expected tests as Python code, or as {'inputs': [texts], 'outputs': [texts]} of equal length"
    )


def _texts(tests: Any, key: str) -> list[str]:
    texts = tests.get(key) if isinstance(tests, Mapping) else None
    return texts if isinstance(texts, list) and all(isinstance(text, str) for text in texts) else []


def _ruling(completion: str, tests: str | list[tuple[str, str]], options: Options) -> Verification:
    start = time.perf_counter()
    program = ""
    try:
        program = find_program(completion)
        verdict = _against_code(program, tests, options) if isinstance(tests, str) else _all(program, tests, options)
    except Unreadable as error:
        verdict = Verification(Ruling.UNPARSED, str(error))
    except NotStartedError as error:
        verdict = Verification(Ruling.ERROR, str(error))
    verdict.given, verdict.path, verdict.seconds = program[:200], "program", time.perf_counter() - start
    return verdict


def _against_code(program: str, tests: str, options: Options) -> Verification:
    """Return the ruling of tests in Python, which run in a process of their own."""
    with ExitStack() as stack, ExitStack() as pipes:
        to_tests, to_program = _pipe(pipes), _pipe(pipes)
        first = stack.enter_context(Process("program", program, options, pipes=(to_program[0], to_tests[1])))
        second = stack.enter_context(Process("tests", tests, options, pipes=(to_tests[0], to_program[1])))
        # With the ends here closed, a process sees when the other one has ended.
        pipes.close()
        second.await_start()
        first.await_start()
        try:
            report = second.report(options.seconds)
        except TimeoutError:
            return _timeout(options)
    if report.get("passed") is True:
        return Verification(Ruling.CORRECT, score=1.0)
    return Verification(Ruling.WRONG, report.get("raised", "the tests ended before their end"))


def _pipe(stack: ExitStack) -> tuple[int, int]:
    """Return the two ends of a pipe, closed at the latest when the stack is."""
    ends = os.pipe()
    for end in ends:
        stack.callback(os.close, end)
    return ends


def _all(program: str, tests: list[tuple[str, str]], options: Options) -> Verification:
    """Return the ruling of pairs of input and expected output, which share the time."""
    left = options.seconds
    for number, (given, expected) in enumerate(tests, start=1):
        place = f"test {number} of {len(tests)}: " if len(tests) > 1 else ""
        with Process("alone", program, options, given=given) as process:
            process.await_start()
            start = time.monotonic()
            try:
                output, failure = process.output(max(left, 0.1))
            except TimeoutError:
                return _timeout(options, place)
            left -= time.monotonic() - start
        if failure:
            return Verification(Ruling.WRONG, place + failure)
        if _lines(output) != _lines(expected):
            return Verification(Ruling.WRONG, f"{place}another output than expected")
    return Verification(Ruling.CORRECT, score=1.0)


def _timeout(options: Options, place: str = "") -> Verification:
    return Verification(Ruling.TIMEOUT, f"{place}no end after {options.seconds:g} s")


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]
