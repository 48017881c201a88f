"""What a verifier says of an answer: one of five rulings, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scorecraft.problem import Outcome


class Ruling(StrEnum):
    """What became of an answer; what could not be judged is never called wrong."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TIMEOUT = "timeout"
    ERROR = "error"

    @property
    def outcome(self) -> Outcome:
        """How a score of this ruling came about."""
        return Outcome.SCORED if self in (Ruling.CORRECT, Ruling.WRONG) else Outcome(self.value)


@dataclass(slots=True)
class Verification:
    """The ruling on one completion, and why.

    verdict: what became of the answer. reason: one clause; empty where the verdict speaks for itself.
    form: where the answer stood: "boxed", "hash" (after ``####``), "tag", "phrase", "math", "number" or "whole".
    given, truth: the two answers as they are written, decoration removed.
    values: the two as they were understood, where they were.
    path: what decided: "fast", "math-verify", "worker" (regular expressions), "program" or "reasoning-gym".
    seconds: wall-clock time it took. score: in [0, 1]; only reasoning-gym's scorers give what lies between.
    """

    verdict: Ruling
    reason: str = ""
    form: str = ""
    given: str = ""
    truth: str = ""
    values: tuple[object, object] | None = None
    path: str = "fast"
    seconds: float = 0.0
    score: float = 0.0

    @property
    def correct(self) -> bool:
        """True where the answer is right."""
        return self.verdict is Ruling.CORRECT

    def as_json(self) -> Mapping[str, Any]:
        """Return everything as JSON values."""
        return {
            "verdict": str(self.verdict),
            "reason": self.reason,
            "form": self.form,
            "given": self.given,
            "truth": self.truth,
            "values": None if self.values is None else [str(value) for value in self.values],
            "path": self.path,
            "seconds": self.seconds,
            "score": self.score,
        }


class Unreadable(Exception):  # noqa: N818 - not an error: the answer's own fault, and it is counted
    """No answer can be read; the message says why."""


class Undecided(Exception):  # noqa: N818 - not an error: the next verifier is asked
    """The fast path cannot tell; a computer algebra system is to be asked."""


class TooLarge(Unreadable):
    """A value too large to be worked out, which no verifier is asked to try."""
