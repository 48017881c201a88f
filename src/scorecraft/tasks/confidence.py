"""Answers with a stated confidence: ``12+[7|9]-3=?`` ends in ``#18`` and ``@0.5``.

An operand written ``[7|9]`` is one of the listed values, drawn evenly and not told, so the best attainable
probability of a right answer is known exactly (``metadata["attainable"]``: here 0.5). Together with chains of
mixed length this makes confidence meaningful: certain, uncertain and merely hard problems occur side by side.
Where an operand is ``?`` the right answer is ``none``.

Gold traces take the drawn value and state ``attainable * (1 - flaw_rate) ** steps``, the confidence that
somebody should have who slips at that rate; ``overconfidence`` moves it towards 1. The step checker accepts any
of the listed values; a valid confidence line is correct the first time and redundant after that.
"""

from __future__ import annotations

import re
from random import Random

from pydantic import field_validator

from scorecraft.parts import register
from scorecraft.problem import Problem, StepLabel
from scorecraft.tasks.arithmetic import Chain
from scorecraft.tasks.chain_checker import NONE, ChainFollower
from scorecraft.tasks.chain_task import ChainTask, answer_line
from scorecraft.tasks.chain_writer import write_solution
from scorecraft.tasks.task import Rate

CONFIDENCE_MARK = "@"

_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})(?!\.?[0-9])[ ]?(%?)"
_STATED = re.compile(rf"(?:@[ ]?|confidence[>\s:=]{{0,4}}){_NUMBER}", re.IGNORECASE)
_LINE = re.compile(rf"@[ ]?{_NUMBER}")


def stated_confidence(completion: str) -> float | None:
    """Return the confidence that a completion states last, in [0, 1]; None where it states none.

    It is read from ``@0.8``, and for chat models from ``confidence: 0.8``, ``Confidence: 80%`` and
    ``<confidence>0.8</confidence>``. A number outside [0, 1] is no confidence: it is not clipped.
    """
    statements = _STATED.findall(completion)
    return _probability(*statements[-1]) if statements else None


def _probability(number: str, percent: str) -> float | None:
    value = float(number) / (100.0 if percent else 1.0)
    return value if value <= 1.0 else None


@register("task", "confidence")
class Confidence(ChainTask):
    """Chains in which an operand may be uncertain: written steps, the answer, and the confidence in it.

    choices: the fewest and most values that one operand may have; 1 means that nothing is uncertain.
    overconfidence: what share of the way to 1 the confidence of gold traces is moved.
    """

    operations: tuple[int, int] = (1, 4)
    choices: tuple[int, int] = (1, 4)
    overconfidence: Rate = 0.0

    @field_validator("choices")
    @classmethod
    def _choices_are_a_range(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1] <= 10:
            raise ValueError(f"expected the fewest and most values, from 1 to 10, such as [1, 4], got {list(value)}")
        return value

    def draw(self, random: Random) -> Chain:
        """Draw a chain in which one operand may have several values, each leading to another answer."""
        chain = super().draw(random)
        count = min(random.randint(*self.choices), self.largest)
        if count == 1 or not chain.answerable:
            return chain
        values = tuple(sorted(random.sample(range(1, self.largest + 1), count)))
        place = random.randrange(len(chain.operands))
        uncertain = _with_operand(chain, place, values)
        # Multiplying a running value of 0 hides the operand; the first operand always shows.
        return uncertain if len(uncertain.reachable[-1]) == count else _with_operand(chain, 0, values)

    def pose(self, chain: Chain, random: Random) -> Problem:
        """Return the problem that asks for a chain; the values of its operands are drawn here."""
        drawn = [[random.choice(values)] if values else [] for values in chain.operands]
        truth = Chain(tuple(map(tuple, drawn)), chain.operators)
        answer = str(next(iter(truth.reachable[-1]))) if chain.answerable else NONE
        attainable = 1 / len(chain.reachable[-1]) if chain.answerable else 1.0
        metadata = {**chain.metadata, "drawn": drawn, "attainable": attainable}
        return Problem(f"{chain.text}=?\n", answer, metadata=metadata)

    def trace(self, problem: Problem, flaw_rate: float, random: Random) -> list[tuple[str, bool]]:
        """Return a written solution that ends with the answer and the confidence in it."""
        truth = Chain(tuple(map(tuple, problem.metadata["drawn"])), problem.metadata["operators"])
        asked = Chain.from_metadata(problem.metadata)
        solution = write_solution(truth, flaw_rate, self.spare_steps, random, asked=asked)
        honest = problem.metadata["attainable"] * (1 - flaw_rate) ** len(truth.operators)
        stated = f"{CONFIDENCE_MARK}{round(honest + self.overconfidence * (1 - honest), 2):g}"
        return [("\n".join([*map(str, solution.steps), answer_line(solution.value), stated]), True)]

    def label(self, problem: Problem, line: str, before: list[str], follower: ChainFollower) -> StepLabel:
        """Return the label of one line, the line that states the confidence included."""
        if not line.strip(" ").startswith(CONFIDENCE_MARK):
            return super().label(problem, line, before, follower)
        if _line_confidence(line) is None:
            return StepLabel.OFF_TOPIC
        again = any(_line_confidence(earlier) is not None for earlier in before)
        return StepLabel.REDUNDANT if again else StepLabel.CORRECT


def _line_confidence(line: str) -> float | None:
    match = _LINE.fullmatch(line.strip(" "))
    return _probability(*match.groups()) if match else None


def _with_operand(chain: Chain, place: int, values: tuple[int, ...]) -> Chain:
    operands = list(chain.operands)
    operands[place] = values
    return Chain(tuple(operands), chain.operators)
