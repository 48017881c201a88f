"""Errors that a language model is asked to write, for problems whose solutions have no structure to work on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftWarning
from scorecraft.problem import Problem
from scorecraft.sampling.repair_from_flawed.flaw import Flaw, FlawKind, strip_boxed
from scorecraft.sampling.repair_from_flawed.injector import StepChecker, first_valid

REASONING_FAULTS = (
    "taking an implication for an equivalence",
    "ignoring a valid case",
    "assuming independence",
    "counting twice or too few",
    "generalising from small cases",
    "assuming linear or otherwise nice behaviour",
    "an unjustified symmetry, or loss of generality",
)
_CALCULATION = "one calculation slip, such as a flipped sign, a slightly wrong coefficient or a dropped term"


def error_request(problem: Problem, answer: str, kind: FlawKind, rng: Random) -> str:
    """Return what a language model is asked, so that it writes the first step of a solution with one error.

    Args:
        problem: what is to be solved.
        answer: the true one, so that it can be avoided.
        kind: of the error.
        rng: draws the fault of a reasoning error.
    """
    fault = _CALCULATION if kind == "calculation" else f"exactly one fault of reasoning: {rng.choice(REASONING_FAULTS)}"
    return (
        f"Problem: {problem.prompt.strip()}\nCorrect answer: {answer}\n\n"
        f"Write the first step of a solution as a student would, with ONE subtle error: {fault}. Go on logically from "
        "it, towards an answer that is not the correct one. Write a single concise step. Do not mention the error, do "
        "not state the correct answer, and give no boxed answer."
    )


@implements("repair-from-flawed")
@dataclass(frozen=True)
class AskedErrors:
    """Plants a first step that ``ask`` wrote; boxed answers are taken out of it, with a warning.

    ask: from a request to the reply, such as a call of a model (the paper's samples at temperature 0.8).
    checker: what must refute the step. kind: of the error asked for. tries: how often it may be asked.
    """

    ask: Callable[[str], str]
    checker: StepChecker
    kind: FlawKind = "reasoning"
    tries: int = 3

    def inject(self, problem: Problem, solution_steps: Sequence[str], answer: str, rng: Random) -> Flaw | None:
        """Return a valid flaw at the first step; None where no reply within ``tries`` is one."""
        if not solution_steps:
            return None

        def write() -> Flaw:
            reply = self.ask(error_request(problem, answer, self.kind, rng)).strip()
            text = strip_boxed(reply).strip()
            if text != reply:
                warnings.warn(
                    f"a boxed answer was taken out of the flawed step of '{problem.prompt.strip()[:60]}'",
                    ScorecraftWarning,
                    stacklevel=2,
                )
            return Flaw(text, self.kind, "asked", 0, solution_steps[0])

        return first_valid([write] * self.tries, problem, solution_steps, answer, self.checker, rng)
