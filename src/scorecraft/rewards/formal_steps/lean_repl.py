"""Lean 4 through the community's REPL: JSON commands separated by blank lines, one JSON answer each.

Source: leanprover-community/repl, README (command mode, environments, sorries, messages).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from scorecraft.rewards.formal_steps.line_process import LineProcess, ProcessEndedError, TooSlowError

# Words that let a proof pass without proving, or run code while Lean reads it.
FORBIDDEN = (
    "sorry", "admit", "axiom", "native_decide", "implemented_by", "extern", "unsafe", "#eval", "#reduce", "run_cmd",
    "run_tac", "run_elab", "run_meta", "by_elab", "elab", "macro", "syntax", "notation", "initialize", "import",
    "opaque", "skipKernelTC", "debug.", "ofReduce", "trustCompiler", "IO.",
)  # fmt: skip
AXIOMS = frozenset({"propext", "Classical.choice", "Quot.sound"})
_START_SECONDS = 300.0
_DEPENDS = re.compile(r"depends on axioms: \[([^\]]*)\]")


class LeanRepl:
    """A running REPL with a header read once.

    command: such as ``["lake", "exe", "repl"]``. folder: the Lean project to run it in. header: what every theorem
    stands under. Raises `ProcessEndedError` from `ask` where it does not start or the header fails.
    """

    def __init__(self, command: Sequence[str], folder: str | None, header: str) -> None:
        self.header = header
        self._process = LineProcess(command, whole_answer, folder=folder)
        self._environment: int | None = None

    def ask(self, code: str, seconds: float, environment: int | None = None) -> dict[str, Any] | None:
        """Return the answer to Lean code under the header (or in a later environment); None if it took too long."""
        with self._process.lock:
            if not self._process.running:
                self._start()
            at = self._environment if environment is None else environment
            try:
                return self._send({"cmd": code, "env": at}, seconds)
            except TooSlowError:
                return None

    def _start(self) -> None:
        self._process.start()
        try:
            answer = self._send({"cmd": self.header}, _START_SECONDS)
        except TooSlowError as error:
            raise ProcessEndedError(f"the REPL did not read '{self.header}' in {_START_SECONDS:.0f} s") from error
        failed = errors_of(answer)
        if failed or "env" not in answer:
            self.close()
            said = failed[0] if failed else str(answer.get("message", answer))
            raise ProcessEndedError(f"'{self.header}' fails: {said[:300]}")
        self._environment = int(answer["env"])

    def _send(self, command: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        text = self._process.ask(json.dumps(command, ensure_ascii=False) + "\n\n", seconds)
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise ProcessEndedError(f"the REPL answered {text[:200]!r}") from error
        return answer if isinstance(answer, dict) else {}

    def close(self) -> None:
        """End the REPL; the next question starts it again."""
        self._process.stop()


def whole_answer(read: bytes) -> bool:
    """Return whether bytes are one whole JSON value, spread over any number of lines."""
    if not read.rstrip().endswith(b"}"):
        return False
    try:
        json.loads(read)
    except ValueError:
        return False
    return True


def errors_of(answer: Mapping[str, Any]) -> list[str]:
    """Return the messages of severity "error"."""
    return [str(m.get("data", "")) for m in answer.get("messages", []) if m.get("severity") == "error"]


def passes(answer: Mapping[str, Any]) -> bool:
    """Return whether Lean took the code without an error, which it also does where ``sorry`` is in the proof."""
    return not errors_of(answer) and ("env" in answer or "messages" in answer)


def is_complete(answer: Mapping[str, Any]) -> bool:
    """Return whether Lean took the code without an error and nothing in it is left unproved."""
    said = [str(m.get("data", "")) for m in answer.get("messages", []) if m.get("severity") == "warning"]
    open_ends = any(re.search("declaration uses ['`]sorry['`]", text) or "failed" in text for text in said)
    return passes(answer) and not answer.get("sorries") and not open_ends


def forbidden_word(text: str) -> str:
    """Return the first of `FORBIDDEN` in a text, "" where there is none; a part of a longer word counts."""
    return next((word for word in FORBIDDEN if word in text), "")


def foreign_axioms(answer: Mapping[str, Any]) -> set[str] | None:
    """Return which axioms, beyond Lean's own three, ``#print axioms`` named; None where it did not say."""
    for message in answer.get("messages", []):
        text = str(message.get("data", ""))
        if "does not depend on any axioms" in text:
            return set()
        if found := _DEPENDS.search(text):
            return {name.strip() for name in found[1].split(",")} - AXIOMS
    return None
