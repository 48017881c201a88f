"""What is asked and what is true: one problem of a task, and the verdicts of its checkers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: the prompt as plain text, the true answer, a gold completion and whatever the checker needs.

    ``gold`` is empty where the task has no worked solution. ``metadata`` holds JSON values only.
    """

    prompt: str
    answer: str
    gold: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A stable hash of the content, the same in every process and on every machine."""
        content = json.dumps([self.prompt, self.answer, self.metadata], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


class Outcome(StrEnum):
    """How a score came about; a failure is counted under its own name and never becomes a silent 0."""

    SCORED = "scored"
    ABSTAINED = "abstained"
    UNPARSED = "unparsed"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer checker's verdict: a score in [0, 1], how it came about, and the answer it read."""

    score: float
    outcome: Outcome = Outcome.SCORED
    parsed: str | None = None

    @property
    def correct(self) -> bool:
        """True where the score is full."""
        return self.score >= 1.0


class StepLabel(StrEnum):
    """What the exact step checker says of one step."""

    CORRECT = "correct"
    WRONG = "wrong"
    REDUNDANT = "redundant"
    OFF_TOPIC = "off-topic"


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """The label of one step: its index, its span of characters in the completion, and its text."""

    index: int
    start: int
    end: int
    text: str
    label: StepLabel
