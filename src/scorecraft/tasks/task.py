"""The interface of every task: seeded problems by index, an exact answer checker, a step checker."""

from __future__ import annotations

from abc import abstractmethod
from random import Random
from typing import Annotated, Literal

from pydantic import Field

from scorecraft.errors import ScorecraftError
from scorecraft.parts import Part
from scorecraft.problem import Problem, StepVerdict, Verdict

Split = Literal["train", "test"]

# A probability that a recipe sets.
Rate = Annotated[float, Field(ge=0.0, le=1.0)]


class Task(Part):
    """A source of problems with a known truth.

    Problems are addressed by ``(split, index)`` and the task's ``seed``, so the position in the data is one
    number and a run resumes exactly. Generated tasks are endless; a file-backed task repeats its rows in a new
    seeded order each epoch for "train" and has a length for "test".
    """

    seed: int = 0

    @property
    def step_delimiter(self) -> str:
        """The text that ends a reasoning step in a completion."""
        return "\n"

    @property
    def test_size(self) -> int | None:
        """Number of different test problems, None where they are endless."""
        return None

    @abstractmethod
    def problem(self, split: Split, index: int) -> Problem:
        """Return problem ``index`` of a split; train and test never share a problem where the task can avoid it."""

    @abstractmethod
    def check(self, problem: Problem, completion: str) -> Verdict:
        """Return the exact verdict on the completion's answer; never raises for odd model output."""

    def check_steps(self, problem: Problem, completion: str) -> list[StepVerdict]:
        """Return the exact verdict on each step; empty where the task has no step checker."""
        del problem, completion
        return []

    @property
    def tool_call_end(self) -> str | None:
        """The text that ends a tool call in a completion; None for tasks without a tool."""
        return None

    def call_tool(self, problem: Problem, completion: str) -> str:
        """Return the text a tool puts after the call that ``completion`` just ended with.

        A malformed call is answered with an error text, as a real tool would.
        """
        del problem, completion
        raise ScorecraftError(f"task '{self.name}' has no tool; use the sampling part 'single-turn'")

    def follow_up(self, problem: Problem, turns: list[str]) -> str | None:
        """Return what the user says after the given turns of the policy; None ends the conversation."""
        del problem, turns
        return None

    def problems(self, split: Split, start: int, count: int) -> list[Problem]:
        """Return ``count`` problems from position ``start``."""
        return [self.problem(split, index) for index in range(start, start + count)]


class TunnelTask(Task):
    """A generated family whose truth is known step by step; the policy can be warm-started on its traces."""

    flawed_steps: Rate = 0.0
    unanswerable: Rate = 0.0

    @abstractmethod
    def trace(self, problem: Problem, flaw_rate: float, random: Random) -> list[tuple[str, bool]]:
        """Return a completion as segments ``(text, by_policy)``, each step wrong with probability ``flaw_rate``.

        A wrong step is carried on with (later steps use its result). ``by_policy`` is False for text that a tool
        or the user inserts, which supervised training must not learn to produce. A policy segment that does
        not end with ``tool_call_end`` ends its turn.
        """
