"""Honest completions of a problem: worked and right, worked with a slip, and right work with a wrong answer.

They are built without a policy, from the task's gold solutions, and every one is held against the task's own checker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome, Problem, StepLabel
from scorecraft.tasks.task import Task, TunnelTask

# Forms of an answer, tried where a task has no gold solution; the first that the checker takes for right is used.
FORMS = ("#{}", "#### {}", "<answer>{}</answer>", "\\boxed{{{}}}", "The answer is {}", "{}")
# So many traces are tried for one with a slip.
SLIPS_TRIED = 20
MOST_WRONG_ANSWERS = 8


@dataclass(frozen=True, slots=True)
class HonestWork:
    """Honest completions of one problem, and the place where the answer stands.

    before, after: what stands around the answer in the right completion. wrong: worked, with a slip that leads to a
    wrong answer. wrong_answers: answers in the same form that the checker reads and calls wrong.
    """

    problem: Problem
    before: str
    answer: str
    after: str
    wrong: str
    wrong_answers: tuple[str, ...]

    @property
    def right(self) -> str:
        """The completion that is worked and right."""
        return self.stating(self.answer)

    @property
    def misstated(self) -> str:
        """The right work with a wrong answer."""
        return self.stating(self.wrong_answers[0])

    @property
    def work(self) -> str:
        """The right work up to the line of the answer."""
        return self.before[: self.before.rfind("\n") + 1]

    def stating(self, answer: str) -> str:
        """Return the right work with an answer of choice in the place of the right one."""
        return f"{self.before}{answer}{self.after}"

    def line(self, answer: str) -> str:
        """Return only the line that states an answer, in the form that the checker reads."""
        return self.before[self.before.rfind("\n") + 1 :] + answer + self.after.partition("\n")[0]

    @property
    def tail(self) -> str:
        """What the right work says after the line of the answer, such as a confidence; it begins with a line end."""
        _, end, rest = self.after.partition("\n")
        return end + rest


def honest_works(task: Task, problems: Sequence[Problem], random: Random) -> list[HonestWork]:
    """Return the honest completions of those problems for which there are any.

    Args:
        task: whose checker says what is right.
        problems: of the task; other problems' answers serve as wrong answers.
        random: draws the slips.

    Raises `ScorecraftError` where no problem has any.
    """
    answers = list(dict.fromkeys(problem.answer for problem in problems if problem.answer))
    works = [work for problem in problems if (work := _honest_work(task, problem, answers, random)) is not None]
    if not works:
        raise ScorecraftError(
            f"task '{task.name}': no right and wrong completion could be written for any of {len(problems)} problems; "
            "the task needs gold solutions, or answers that its own checker accepts"
        )
    return works


def _honest_work(task: Task, problem: Problem, answers: Sequence[str], random: Random) -> HonestWork | None:
    candidates = list(_other_answers(problem.answer, answers, random))
    for right in _right_completions(task, problem, random):
        place = right.rfind(problem.answer) if problem.answer else -1
        while place >= 0:
            before, after = right[:place], right[place + len(problem.answer) :]
            wrong = tuple(a for a in candidates if _reads_as_wrong(task, problem, f"{before}{a}{after}"))
            if wrong:
                misstated = f"{before}{wrong[0]}{after}"
                slip = _with_a_slip(task, problem, random) or misstated
                return HonestWork(problem, before, problem.answer, after, slip, wrong[:MOST_WRONG_ANSWERS])
            place = right.rfind(problem.answer, 0, place)
    return None


def _right_completions(task: Task, problem: Problem, random: Random) -> Iterator[str]:
    if problem.gold and task.check(problem, problem.gold).correct:
        yield problem.gold
    if isinstance(task, TunnelTask):
        trace = "".join(text for text, _ in task.trace(problem, 0.0, random))
        if task.check(problem, trace).correct:
            yield trace
    for form in FORMS:
        text = form.format(problem.answer)
        if task.check(problem, text).correct:
            yield text


def _other_answers(answer: str, answers: Sequence[str], random: Random) -> Iterator[str]:
    try:
        number = int(answer)
    except ValueError:
        near = []
    else:
        near = [str(number + offset) for offset in (1, -1, 2, 10)]
    others = [other for other in answers if other != answer and other not in near]
    yield from near
    yield from random.sample(others, min(len(others), MOST_WRONG_ANSWERS))


def _reads_as_wrong(task: Task, problem: Problem, text: str) -> bool:
    verdict = task.check(problem, text)
    return verdict.outcome is Outcome.SCORED and not verdict.correct


def _with_a_slip(task: Task, problem: Problem, random: Random) -> str | None:
    if not isinstance(task, TunnelTask):
        return None
    for _ in range(SLIPS_TRIED):
        text = "".join(text for text, _ in task.trace(problem, 0.5, random))
        if _reads_as_wrong(task, problem, text):
            return text
    return None


def right_step(task: Task, problem: Problem, text: str) -> tuple[int, int]:
    """Return the span of the first step that the task calls correct, else of the first line that is not blank.

    Args:
        task: whose step checker is asked.
        problem: that the text answers.
        text: a completion.
    """
    steps = task.check_steps(problem, text)
    for step in steps:
        if step.label is StepLabel.CORRECT:
            return step.start, step.end
    start = len(text) - len(text.lstrip())
    end = text.find("\n", start)
    return start, end if end >= 0 else len(text)
