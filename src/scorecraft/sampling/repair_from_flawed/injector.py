"""What plants errors, and what says whether a step is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any, Literal, Protocol

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem, StepLabel
from scorecraft.rewards.written_equations import written_equations
from scorecraft.sampling.repair_from_flawed.flaw import Flaw, validate_flaw
from scorecraft.sampling.repair_from_flawed.written_sum import read_sum

# A problem and the steps of a solution in, a label for each step out.
StepChecker = Callable[[Problem, Sequence[str]], Sequence[StepLabel]]
# Whether only the first step that can err does, as in the paper, or any.
At = Literal["first", "any"]


class ErrorInjector(Protocol):
    """Plants one error in a solution."""

    def inject(self, problem: Problem, solution_steps: Sequence[str], answer: str, rng: Random) -> Flaw | None:
        """Return a valid flaw; None where the solution admits none."""
        ...


def equation_checker(problem: Problem, steps: Sequence[str]) -> list[StepLabel]:
    """Return what the written equations of every step say of it; one without an equation is off-topic.

    It refutes calculation errors only: a step that does the wrong thing rightly is correct to it.

    Args:
        problem: not read.
        steps: of a solution.
    """
    del problem
    return [_equation_label(step) for step in steps]


def _equation_label(step: str) -> StepLabel:
    truths = [equation.true for equation in written_equations(step)]
    if not truths:
        found = read_sum(step)
        truths = [] if found is None else [found.true]
    if not truths:
        return StepLabel.OFF_TOPIC
    return StepLabel.CORRECT if all(truths) else StepLabel.WRONG


def task_checker(task: Any) -> StepChecker:
    """Return the step checker of a task; where the task has none, its written equations are checked.

    Args:
        task: a `scorecraft.tasks.task.Task`.
    """
    return partial(_task_labels, task)


def _task_labels(task: Any, problem: Problem, steps: Sequence[str]) -> list[StepLabel]:
    labels = [verdict.label for verdict in task.check_steps(problem, task.step_delimiter.join(steps))]
    return labels or equation_checker(problem, steps)


def solution_steps(problem: Problem, delimiter: str = "\n") -> list[str]:
    """Return the steps of a problem's worked solution, blank ones left out.

    Args:
        problem: with its gold completion.
        delimiter: what ends a step.
    """
    return [step for step in problem.gold.split(delimiter) if step.strip()]


def first_valid(
    candidates: Sequence[Callable[[], Flaw | None]],
    problem: Problem,
    steps: Sequence[str],
    answer: str,
    checker: StepChecker,
    rng: Random,
) -> Flaw | None:
    """Return the first flaw of the candidates, in random order, that breaks no rule.

    Args:
        candidates: each makes a flaw, or None.
        problem, steps, answer: what is solved, and how.
        checker: what refutes a step.
        rng: of the order.

    Raises `ScorecraftError` for an empty answer.
    """
    if not answer.strip():
        raise ScorecraftError(f"no true answer of the problem '{problem.prompt[:60]}': a flaw must not give it away")
    for make in rng.sample(candidates, len(candidates)):
        flaw = make()
        if flaw is not None and not validate_flaw(flaw, steps, answer, partial(checker, problem)):
            return flaw
    return None
