"""Reasoning errors: a step whose arithmetic is true and that does what the problem does not ask for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Literal, get_args

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.problem import Problem
from scorecraft.sampling.repair_from_flawed.flaw import Flaw
from scorecraft.sampling.repair_from_flawed.injector import At, StepChecker, first_valid
from scorecraft.tasks.arithmetic import Equation, read_equation

ReasoningSlip = Literal["swap_operation", "wrong_order", "ignore_case", "wrong_formula", "overgeneralise"]
REASONING_SLIPS: tuple[ReasoningSlip, ...] = get_args(ReasoningSlip)

_EQUATION = re.compile(r"(-?\d{1,18})([ ]*)([+\-*])([ ]*)(\d{1,18})([ ]*=[ ]*)(-?\d{1,36})(?![\w.])")


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step: its text and, where it is an operation on two integers, its equation and where that stands."""

    text: str
    equation: Equation | None = None
    start: int = 0
    end: int = 0

    @classmethod
    def read(cls, text: str) -> TraceStep:
        """Read the last equation of a step.

        Args:
            text: such as ``subtract 3: 19-3=16``.
        """
        match = None
        for match in _EQUATION.finditer(text):  # noqa: B007 - the last one is used
            pass
        if match is None or re.search(r"\w$|[\d)][ ]*$|[-+*/^(][ ]*$", text[: match.start()]):
            return cls(text)
        return cls(text, read_equation(match[0]), match.start(), match.end())

    def rewritten(self, equation: Equation) -> str:
        """Return the step with another equation, spaces as they were."""
        match = _EQUATION.fullmatch(self.text[self.start : self.end])
        assert match is not None
        _, before, _, after, _, equals, _ = match.groups()
        written = f"{equation.left}{before}{equation.operator}{after}{equation.right}{equals}{equation.result}"
        return self.text[: self.start] + written + self.text[self.end :]


@dataclass(frozen=True, slots=True)
class StructuredTrace:
    """A worked solution, step by step, in which operations on integers are read."""

    steps: tuple[TraceStep, ...]

    @classmethod
    def read(cls, solution_steps: Sequence[str]) -> StructuredTrace:
        """Read a solution.

        Args:
            solution_steps: its steps, in order.
        """
        return cls(tuple(map(TraceStep.read, solution_steps)))

    @property
    def operations(self) -> tuple[tuple[int, Equation], ...]:
        """The steps that are true operations, with their places."""
        return tuple(
            (place, step.equation)
            for place, step in enumerate(self.steps)
            if step.equation is not None and step.equation.true
        )


@implements("repair-from-flawed")
def inject_reasoning(trace: StructuredTrace, rng: Random, subkind: ReasoningSlip, *, at: At = "any") -> Flaw | None:
    """Return one step that errs in what it does and calculates rightly; None where no step of the trace can.

    The paper's taxonomy is of proofs and word problems; on chains of operations these stand for it:

    - "swap_operation": the step adds where it should subtract, and so on.
    - "wrong_order": its two operands are exchanged where that matters, or the next operation is done first where
      that leads elsewhere.
    - "ignore_case": an operation is left out, and the next one is done instead.
    - "wrong_formula": the operation is applied to the operand written before it and not to the running value, as if
      it bound more tightly.
    - "overgeneralise": what the last step did is done once more.

    Args:
        trace: the right solution.
        rng: what draws, evenly from all steps that can err so.
        subkind: the error.
        at: "first" for the first operation only.

    Raises `ScorecraftError` for an unknown error.

    Source: Can Large Reasoning Models Improve Accuracy on Mathematical Tasks Using Flawed Thinking?, 2025,
    arXiv 2512.17079 (its reasoning errors, made here by rule).
    """
    if subkind not in REASONING_SLIPS:
        raise ScorecraftError(f"unknown reasoning error '{subkind}': {nearest(subkind, REASONING_SLIPS)}")
    operations = trace.operations
    candidates = [
        (place, equation)
        for order, (place, _) in enumerate(operations[:1] if at == "first" else operations)
        for equation in _slips([equation for _, equation in operations], order, subkind)
    ]
    if not candidates:
        return None
    place, equation = rng.choice(candidates)
    step = trace.steps[place]
    return Flaw(step.rewritten(equation), "reasoning", subkind, place, step.text)


def _slips(done: Sequence[Equation], order: int, subkind: ReasoningSlip) -> list[Equation]:
    """Return the flawed versions of operation ``order`` of those done that have another result."""
    right = done[order]
    before = done[order - 1 : order]  # empty for the first
    following = done[order + 1 : order + 2]
    if subkind == "swap_operation":
        found = [Equation.solved(right.left, operator, right.right) for operator in "+-" if operator != right.operator]
    elif subkind == "wrong_order":
        found = _out_of_order(right, following)
    elif subkind == "ignore_case":
        found = [Equation.solved(right.left, one.operator, one.right) for one in following if not right.neutral]
    elif subkind == "wrong_formula":
        found = [Equation.solved(one.right, right.operator, right.right) for one in before]
    else:
        found = [Equation.solved(right.left, one.operator, one.right) for one in before]
    return [equation for equation in found if equation.result != right.result]


def _out_of_order(right: Equation, following: Sequence[Equation]) -> list[Equation]:
    # A negative second operand would need parentheses that the steps do not have.
    found = [Equation.solved(right.right, right.operator, right.left)] if right.left >= 0 else []
    for one in following:
        first = Equation.solved(right.left, one.operator, one.right)
        if one.left == right.result and Equation.solved(first.result, right.operator, right.right).result != one.result:
            found.append(first)
    return found


@implements("repair-from-flawed")
@dataclass(frozen=True)
class ReasoningErrors:
    """Plants a reasoning error in a step of a solution.

    checker: what must refute it; it must know what the problem asks for, as a task's step checker does.
    subkinds: the errors to draw from. at: whether in the first operation or in any.
    """

    checker: StepChecker
    subkinds: tuple[ReasoningSlip, ...] = REASONING_SLIPS
    at: At = "any"

    def inject(self, problem: Problem, solution_steps: Sequence[str], answer: str, rng: Random) -> Flaw | None:
        """Return a valid flaw, errors in random order; None where the solution admits none."""
        trace = StructuredTrace.read(solution_steps)
        # Several tries each, since the place is drawn within.
        candidates = [
            partial(inject_reasoning, trace, rng, subkind, at=self.at)
            for subkind in self.subkinds
            for _ in range(max(1, len(trace.operations)))
        ]
        return first_valid(candidates, problem, solution_steps, answer, self.checker, rng)
