"""A rubric that needs no judge: exact checks of the steps that a solution writes down.

Every equation must be exactly true; every number it works on must be given in the problem or derived before, and the
answer must be derived too, else it is a miracle step; results that a derivation has to pass must be there. What is
written in words alone counts as not derived.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.miracle_steps import MIRACLE_STEP
from scorecraft.problem import Problem
from scorecraft.rewards.rubric_reward import Rubric, RubricItem
from scorecraft.rewards.written_equations import WrittenEquation, written_equations, written_numbers
from scorecraft.tasks.arithmetic import Chain

Number = int | Fraction
NONE: Literal["none"] = "none"
Answer = Fraction | Literal["none"] | None
POINTS = (3.0, 3.0, 2.0, 2.0)

_NUMBER = r"-?(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d{1,36}(?!\d))(?:[./]\d{1,36}(?!\d))?"
_ANSWER = re.compile(
    rf"\\boxed\{{\s*\$?(?P<boxed>{_NUMBER}|none)\s*\}}"
    rf"|#+[ \t]*\$?(?P<marked>{_NUMBER}|none)[ \t]*$"
    rf"|\banswer\b(?:\s+is|\s*[:=])?\s*\**\$?(?P<said>{_NUMBER}|none)\b",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a sound solution of one problem rests on.

    given: numbers that need no reason. required: results that must be derived, each any one of several numbers.
    unanswerable: whether the right answer is "none", which may need no equation.
    """

    given: frozenset[Number]
    required: tuple[frozenset[Number], ...] = ()
    unanswerable: bool = False


@dataclass(frozen=True, slots=True)
class StepAudit:
    """What the checks find, each a share in [0, 1] or a truth value; repeated equations count once.

    exact: equations that are true. grounded: equations on given or derived numbers, and the answer, if it is derived.
    required: results that are there. answer_follows: the answer is the last derived number (or "none", where it must
    be). answer: as it is stated, None without one. answer_derived: some step derives it. errs: an equation is false.
    divides_by_zero: a step does.
    """

    exact: float
    grounded: float
    required: float
    answer_follows: bool
    answer: Answer
    answer_derived: bool
    errs: bool
    divides_by_zero: bool

    @property
    def sound(self) -> bool:
        """True where nothing is missing and nothing is wrong: the reasoning counts as right."""
        return self.exact == self.grounded == self.required == 1.0 and self.answer_follows

    def modes(self, answer_ok: bool) -> tuple[str, ...]:
        """Return the failure modes that equations can show, of `FALSE_POSITIVE_MODES`.

        Args:
            answer_ok: whether the answer is right.
        """
        found = [MIRACLE_STEP] if self.grounded < 1 else []
        if self.divides_by_zero:
            found.append("ignored operation premise")
        if answer_ok and self.errs:
            found.append("outcome-irrelevant error" if self.answer_derived else "numerical coincidence")
        return tuple(found)


def final_answer(text: str) -> Answer:
    """Return the last answer that a text states after ``#``, in ``\\boxed{}`` or after "answer"; None without one.

    Args:
        text: a solution.
    """
    stated = list(_ANSWER.finditer(text))
    if not stated:
        return None
    said = next(group for group in stated[-1].groups() if group is not None)
    if said.lower() == NONE:
        return NONE
    try:
        return Fraction(said.replace(",", ""))
    except ZeroDivisionError:
        return None


@lru_cache(maxsize=1024)
def _read(solution: str) -> tuple[tuple[WrittenEquation, ...], Answer]:
    return tuple(dict.fromkeys(written_equations(solution))), final_answer(solution)


@implements("rubric-reward")
def audit_steps(solution: str, requirements: Requirements) -> StepAudit:
    """Return what the exact checks say of a solution's written steps.

    A number is derived where an equation is exactly true and one of its sides works on given and derived numbers only.

    Args:
        solution: the whole text.
        requirements: of its problem.

    Source: after Curing Miracle Steps in LLM Mathematical Reasoning with Rubric Rewards, 2025, arXiv 2510.07774; the
    checks are this library's own.
    """
    equations, answer = _read(solution)
    known: set[Number] = set(requirements.given)
    derived: list[Fraction] = []
    grounded = 0
    for equation in equations:
        follows = equation.follows_from(known)
        grounded += follows
        if follows and equation.true and equation.value is not None:
            known.add(equation.value)
            derived.append(equation.value)
    if requirements.unanswerable:
        answer_derived = follows_last = answer == NONE
    else:
        answer_derived = answer in derived
        follows_last = bool(derived) and answer == derived[-1]
    written = bool(equations) or (requirements.unanswerable and not requirements.required)
    count = len(equations)
    met = sum(not choices.isdisjoint(derived) for choices in requirements.required)
    return StepAudit(
        exact=(sum(equation.true for equation in equations) / count if count else 1.0) if written else 0.0,
        grounded=(grounded + answer_derived) / (count + 1) if written else 0.0,
        required=met / len(requirements.required) if requirements.required else 1.0,
        answer_follows=follows_last,
        answer=answer,
        answer_derived=answer_derived,
        errs=not all(equation.true for equation in equations),
        divides_by_zero=any(equation.divides_by_zero for equation in equations),
    )


@implements("rubric-reward")
def programmatic_rubric(
    given: str | Collection[Number],
    required: Sequence[Number | Collection[Number]] = (),
    *,
    unanswerable: bool = False,
    points: tuple[float, float, float, float] = POINTS,
) -> Rubric:
    """Return a rubric out of 10 whose items are exact checks of the written steps; see `audit_steps`.

    Its items are: equations are exact; numbers are given or derived; required results are derived (left out where
    there are none); the answer is the last derived number.

    Args:
        given: the problem's text, or the numbers that need no reason.
        required: results that a derivation must pass, each a number or any one of several.
        unanswerable: whether the right answer is "none".
        points: of the four items, scaled to 10 in all.

    Raises `ScorecraftError` for negative points or none.
    """
    choices = tuple(frozenset([one] if isinstance(one, int | Fraction) else one) for one in required)
    numbers = written_numbers(given) if isinstance(given, str) else given
    return rubric_for(Requirements(frozenset(numbers), choices, unanswerable), points)


def rubric_for(requirements: Requirements, points: tuple[float, float, float, float] = POINTS) -> Rubric:
    """Return the rubric of `programmatic_rubric` for requirements that are known already."""

    def checked(part: str) -> Any:
        return lambda solution, context: float(getattr(audit_steps(solution, requirements), part))

    items = (
        RubricItem("every equation is exactly true", points[0], checked("exact")),
        RubricItem("every number is given or derived", points[1], checked("grounded"), MIRACLE_STEP),
        RubricItem("the results on the way are derived", points[2], checked("required"), MIRACLE_STEP),
        RubricItem("the answer is the last derived number", points[3], checked("answer_follows"), MIRACLE_STEP),
    )
    used = items if requirements.required else (*items[:2], items[3])
    total = sum(item.points for item in used)
    if min(points) < 0 or total <= 0:
        raise ScorecraftError(f"programmatic_rubric: points are {points}; expected four numbers from 0, not all 0")
    return Rubric(tuple(RubricItem(i.text, 10 * i.points / total, i.check, i.tag) for i in used))


def problem_requirements(problem: Problem) -> Requirements:
    """Return what a solution of a problem rests on: the numbers in its prompt, and, for a chain, its running values.

    Args:
        problem: of any task.
    """
    given = frozenset(written_numbers(problem.prompt))
    metadata: Mapping[str, Any] = problem.metadata
    if "operands" not in metadata or "operators" not in metadata:
        return Requirements(given)
    chain = Chain.from_metadata(dict(metadata))
    passed = [frozenset[Number](values) for values in chain.reachable[1:] if values]
    return Requirements(given, tuple(passed), not chain.answerable)
