"""The rows that the stages hand on: a failed attempt, and one that an intervention guides."""

from __future__ import annotations

from dataclasses import dataclass

from scorecraft.credit.intervention_training.interventions import Intervention
from scorecraft.problem import Problem


@dataclass(frozen=True, slots=True)
class Attempt:
    """A failed attempt at a problem.

    steps: its substeps. reference: a right solution, empty where there is none. problem_index, attempt_index: which
    problem it is of, and which of that problem's attempts it is.
    """

    problem: Problem
    steps: tuple[str, ...]
    reference: str = ""
    problem_index: int = 0
    attempt_index: int = 0


@dataclass(frozen=True, slots=True)
class GuidedAttempt:
    """An attempt up to its first error, with the intervention in the error's place.

    prefix: the attempt's own substeps that are kept, joined. text: the guided prefix. correct: how many of the
    continuations from there were right. suffix: the first right continuation.
    """

    attempt: Attempt
    intervention: Intervention
    prefix: str
    text: str
    correct: int = 0
    suffix: str = ""
