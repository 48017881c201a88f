"""Lean 4 by itself: ``lean --json --stdin`` reads a header with some code, and reports a JSON message in each line.

A process for every question, which reads the header anew: slower than the REPL, and needs nothing but Lean.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

from scorecraft.rewards.formal_steps.lean_repl import errors_of
from scorecraft.rewards.formal_steps.line_process import MOST_BYTES, ProcessEndedError, TooSlowError

_START_SECONDS = 300.0
# What is taken of a message, as the REPL's answers have it.
_TAKEN = ("severity", "pos", "endPos", "data")


class LeanCommand:
    """Lean, started for every question, with the answers of `LeanRepl`.

    command: such as ``["lean"]``, or ``["lake", "env", "lean"]``. folder: where to run it, such as a Lean project.
    header: what every question stands under. `ask` raises `ProcessEndedError` where Lean does not start, says nothing
    that is understood, or finds an error in the header.
    """

    def __init__(self, command: Sequence[str], folder: str | None, header: str) -> None:
        self.command, self.folder, self.header = [*command, "--json", "--stdin"], folder, header
        # The code of each environment that was given out; 0 is the header alone.
        self._codes = [""]
        self._read_header = False

    def ask(self, code: str, seconds: float, environment: int | None = None) -> dict[str, Any] | None:
        """Return the answer to Lean code under the header (or in a later environment); None if it took too long."""
        try:
            if not self._read_header:
                failed = errors_of(self._answer("", _START_SECONDS))
                if failed:
                    raise ProcessEndedError(f"'{self.header}' fails: {failed[0][:300]}")
                self._read_header = True
            before = self._codes[environment or 0]
            whole = f"{before}\n{code}".strip("\n")
            answer = self._answer(whole, seconds)
        except TooSlowError:
            return None
        self._codes.append(whole)
        return {**answer, "env": len(self._codes) - 1}

    def close(self) -> None:
        """Forget the environments; nothing runs between questions."""
        self._codes = [""]

    def _answer(self, code: str, seconds: float) -> dict[str, Any]:
        said = self._run(f"{self.header}\n{code}\n", seconds)
        messages = [message for line in said.splitlines() if (message := _message(line)) is not None]
        # Every declaration that has one is told once.
        sorries = [{"pos": message.get("pos")} for message in messages if "declaration uses" in message["data"]]
        answer: dict[str, Any] = {"messages": messages}
        return {**answer, "sorries": sorries} if sorries else answer

    def _run(self, text: str, seconds: float) -> str:
        try:
            process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ProcessEndedError(f"{self.command[0]} cannot be started: {error}") from error
        try:
            said, _ = process.communicate(text.encode(), seconds)
        except subprocess.TimeoutExpired:
            raise TooSlowError from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        # 1 is an error in the code; anything else is one of Lean itself.
        if process.returncode not in (0, 1):
            raise ProcessEndedError(f"{self.command[0]} ended with {process.returncode}")
        return said[:MOST_BYTES].decode("utf-8", "replace")


def _message(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or "severity" not in found:
        return None
    return {name: found.get(name) for name in _TAKEN} | {"data": str(found.get("data", ""))}
