"""What the wind-tunnel families share: a chain of operations is asked, its solution written and checked.

**Answers.** The answer stands after the last ``#`` of a completion and reaches to the end of that line; spaces
around it do not count, and lines after it are not read. It must be nothing but an integer (``#016`` is 16) or
``none``: with anything else on its line (``#16 apples``), or without a ``#``, the verdict is UNPARSED with score 0.

**Steps.** Each line that is not blank is a step, the answer line too; its span leaves out the line's end. The
labels are those of `scorecraft.tasks.chain_checker`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from random import Random

from pydantic import Field, field_validator

from scorecraft.problem import Outcome, Problem, StepLabel, StepVerdict, Verdict
from scorecraft.tasks.arithmetic import OPERATORS, Chain, Equation, draw_chain, read_equation, read_integer
from scorecraft.tasks.chain_checker import NONE, ChainFollower
from scorecraft.tasks.seeding import draw_for_split, stable_random
from scorecraft.tasks.task import Rate, Split, TunnelTask

ANSWER_MARK = "#"


def marked_answer(completion: str) -> str | None:
    """Return what follows the last ``#`` on its line, without spaces around it; None where there is no ``#``."""
    _, mark, rest = completion.rpartition(ANSWER_MARK)
    return rest.partition("\n")[0].strip(" ") if mark else None


def step_lines(completion: str) -> list[tuple[int, int]]:
    """Return the spans of the lines that are not blank."""
    spans, start = [], 0
    for line in completion.split("\n"):
        if line.strip():
            spans.append((start, start + len(line)))
        start += len(line) + 1
    return spans


class ChainTask(TunnelTask):
    """A family of chains, evaluated from left to right.

    operations: the fewest and most operations of a chain.
    largest: the largest operand; the smallest is 1.
    operators: which of ``+ - *`` occur, each as likely; repeat one to make it more likely.
    spare_steps: probability of a correct but redundant step after each step of a gold trace.
    flawed_steps, unanswerable: as for every wind-tunnel family.
    """

    operations: tuple[int, int] = (2, 4)
    largest: int = Field(20, ge=2, le=10**6)
    operators: str = "+-"
    spare_steps: Rate = 0.0

    @field_validator("operations")
    @classmethod
    def _operations_are_a_range(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1]:
            raise ValueError(f"expected the fewest and most operations, such as [2, 4], got {list(value)}")
        return value

    @field_validator("operators")
    @classmethod
    def _operators_are_known(cls, value: str) -> str:
        if not value or set(value) - set(OPERATORS):
            raise ValueError(f"expected one or more of {' '.join(OPERATORS)}, such as '+-', got '{value}'")
        return value

    def problem(self, split: Split, index: int) -> Problem:
        """Return problem ``index`` of a split, with its gold trace; raises where no problem falls in the split."""
        random = stable_random(self.name, self.seed, split, index)
        chain = draw_for_split(split, lambda: self.draw(random), lambda drawn: drawn.text)
        problem = self.pose(chain, random)
        return replace(problem, gold="".join(text for text, _ in self.trace(problem, self.flawed_steps, random)))

    def draw(self, random: Random) -> Chain:
        """Draw a chain."""
        return draw_chain(random, self.operations, self.largest, self.operators, self.unanswerable)

    @abstractmethod
    def pose(self, chain: Chain, random: Random) -> Problem:
        """Return the problem that asks for a chain, without a gold trace."""

    def check(self, problem: Problem, completion: str) -> Verdict:
        """Return whether the answer after the last ``#`` is the true one; UNPARSED where there is none."""
        answer = self.read_answer(marked_answer(completion) or "")
        if answer is None:
            return Verdict(0.0, Outcome.UNPARSED)
        return Verdict(float(answer == problem.answer), Outcome.SCORED, answer)

    def read_answer(self, text: str) -> str | None:
        """Return an answer's text in the form of ``problem.answer``; None where it is not an answer."""
        value = self.answer_value(text)
        return None if value is None else str(value)

    def answer_value(self, text: str) -> int | str | None:
        """Return the value of an answer's text, an integer or "none"; None where it is not an answer."""
        return NONE if text == NONE else read_integer(text)

    def check_steps(self, problem: Problem, completion: str) -> list[StepVerdict]:
        """Return the label of every line that is not blank."""
        return [verdict for verdict, _ in self._follow(problem, completion)]

    def gold_path(self, problem: Problem, completion: str) -> list[bool]:
        """Return for every step whether the running value after it is one that right steps lead to."""
        return [on_path for _, on_path in self._follow(problem, completion)]

    def _follow(self, problem: Problem, completion: str) -> list[tuple[StepVerdict, bool]]:
        follower = ChainFollower(Chain.from_metadata(problem.metadata))
        followed: list[tuple[StepVerdict, bool]] = []
        before: list[str] = []
        for index, (start, end) in enumerate(step_lines(completion)):
            line = completion[start:end]
            label = self.label(problem, line, before, follower)
            followed.append((StepVerdict(index, start, end, line, label), follower.on_gold_path))
            before.append(line)
        return followed

    def label(self, problem: Problem, line: str, before: list[str], follower: ChainFollower) -> StepLabel:
        """Return the label of one line, given the lines before it, and move the follower on."""
        del problem, before
        text = line.strip(" ")
        if text.startswith(ANSWER_MARK):
            value = self.answer_value(text[1:].strip(" "))
            return StepLabel.OFF_TOPIC if value is None else follower.answer(value)
        equation = self.read_step(text)
        return StepLabel.OFF_TOPIC if equation is None else follower.equation(equation)

    def read_step(self, line: str) -> Equation | None:
        """Return the equation that a line states; None where it is none."""
        return read_equation(line)


def chain_answer(chain: Chain) -> str:
    """Return the answer of a chain whose operands have at most one value: an integer, or "none"."""
    return str(next(iter(chain.reachable[-1]))) if chain.answerable else NONE


def answer_line(value: int | str | None) -> str:
    """Return the line that states an answer; None stands for "none"."""
    return f"{ANSWER_MARK}{NONE if value is None else value}"
