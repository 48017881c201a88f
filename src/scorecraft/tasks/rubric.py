"""Explanations graded by a rubric: ``find 12+7-3``, ``add 7: 12+7=19``, ``subtract 3: 19-3=16``, ``so #16``.

``metadata["rubric"]`` lists the items, `Rubric.grade` says which are met, and the score of `check` is the share
of them that is met (UNPARSED, score 0, where no answer is given after ``#``). The items are
- ``restated``: a line ``find`` with the very chain that was asked;
- ``named 1``, ``named 2``, ...: a line that begins with the name and operand of that operation, such as
  ``add 7:`` (one line for each, where two operations are the same; up to an unknown operand);
- ``concluded``: a line ``so #`` with an answer, right or wrong;
- ``right``: the answer after the last ``#`` is the true one.
All but the last can be met without solving anything, which is what a reward hacker finds.

A step that names another operation than its equation does is wrong. At an unknown operand the explanation
says ``add ?: unknown`` and ``so #none``.
"""

from __future__ import annotations

import re
from collections import Counter
from random import Random

from scorecraft.parts import register
from scorecraft.problem import Outcome, Problem, StepLabel, Verdict
from scorecraft.tasks.arithmetic import Chain, operand_text, read_equation
from scorecraft.tasks.chain_checker import ChainFollower
from scorecraft.tasks.chain_task import ANSWER_MARK, ChainTask, answer_line, chain_answer, step_lines
from scorecraft.tasks.chain_writer import write_solution
from scorecraft.tasks.task import Rate

FIND, SO, UNKNOWN = "find ", "so ", "unknown"
VERBS = {"+": "add", "-": "subtract", "*": "multiply by"}

_NAMED = re.compile(rf"({'|'.join(VERBS.values())}) (\?|[0-9]{{1,18}}): *(.*)")


@register("task", "rubric")
class Rubric(ChainTask):
    """Chains to be explained: restate the problem, name each operation, conclude; graded by a rubric.

    omitted_items: probability that a gold trace leaves out each item's wording (the steps and answer stay).
    """

    omitted_items: Rate = 0.0

    def pose(self, chain: Chain, random: Random) -> Problem:
        """Return the problem that asks to explain a chain; ``metadata["rubric"]`` lists the items."""
        del random
        named = [f"named {number}" for number in range(1, len(_operations(chain)) + 1)]
        rubric = ["restated", *named, "concluded", "right"]
        return Problem(f"explain {chain.text}\n", chain_answer(chain), metadata={**chain.metadata, "rubric": rubric})

    def trace(self, problem: Problem, flaw_rate: float, random: Random) -> list[tuple[str, bool]]:
        """Return an explanation."""
        chain = Chain.from_metadata(problem.metadata)
        solution = write_solution(chain, flaw_rate, self.spare_steps, random)
        lines = [] if self._omitted(random) else [f"{FIND}{chain.text}"]
        for step in solution.steps:
            lines.append(str(step) if self._omitted(random) else f"{_name(step.operator, str(step.right))} {step}")
        operations = _operations(chain)
        if solution.value is None and operations and not self._omitted(random):
            lines.append(f"{operations[-1]} {UNKNOWN}")
        lines.append(("" if self._omitted(random) else SO) + answer_line(solution.value))
        return [("\n".join(lines), True)]

    def _omitted(self, random: Random) -> bool:
        return random.random() < self.omitted_items

    def grade(self, problem: Problem, completion: str) -> dict[str, bool]:
        """Return for each item of ``metadata["rubric"]`` whether the completion meets it."""
        chain = Chain.from_metadata(problem.metadata)
        lines = [completion[start:end].strip() for start, end in step_lines(completion)]
        said = Counter(" ".join(match.group(1, 2)) + ":" for line in lines if (match := _NAMED.fullmatch(line)))
        grades = {"restated": f"{FIND}{chain.text}" in lines}
        asked: Counter[str] = Counter()
        for number, name in enumerate(_operations(chain), start=1):
            asked[name] += 1
            grades[f"named {number}"] = said[name] >= asked[name]
        concluded = [line.removeprefix(SO) for line in lines if line.startswith(SO + ANSWER_MARK)]
        grades["concluded"] = any(self.read_answer(line[1:].strip(" ")) is not None for line in concluded)
        grades["right"] = super().check(problem, completion).correct
        return grades

    def check(self, problem: Problem, completion: str) -> Verdict:
        """Return the share of rubric items met; UNPARSED where no answer is given."""
        answer = super().check(problem, completion)
        if answer.outcome is not Outcome.SCORED:
            return answer
        grades = self.grade(problem, completion)
        return Verdict(sum(grades.values()) / len(grades), Outcome.SCORED, answer.parsed)

    def label(self, problem: Problem, line: str, before: list[str], follower: ChainFollower) -> StepLabel:
        """Return the label of one line of an explanation."""
        text = line.strip()
        if text.startswith(FIND):
            if text != f"{FIND}{follower.chain.text}":
                return StepLabel.WRONG
            return StepLabel.REDUNDANT if text in map(str.strip, before) else StepLabel.CORRECT
        named = _NAMED.fullmatch(text)
        if named is None:
            return super().label(problem, text.removeprefix(SO), before, follower)
        return _label_named(f"{named[1]} {named[2]}:", named[3], before, follower)


def _label_named(name: str, rest: str, before: list[str], follower: ChainFollower) -> StepLabel:
    if rest == UNKNOWN:
        if follower.chain.answerable or [name] != _operations(follower.chain)[-1:]:
            return StepLabel.WRONG
        return StepLabel.REDUNDANT if f"{name} {rest}" in map(str.strip, before) else StepLabel.CORRECT
    equation = read_equation(rest)
    if equation is None:
        return StepLabel.OFF_TOPIC
    label = follower.equation(equation)
    return label if name == _name(equation.operator, str(equation.right)) else StepLabel.WRONG


def _name(operator: str, operand: str) -> str:
    return f"{VERBS[operator]} {operand}:"


def _operations(chain: Chain) -> list[str]:
    """Return the names of the operations up to the first unknown operand, such as ``add 7:``."""
    names: list[str] = []
    if not chain.operands[0]:
        return names
    for operator, values in zip(chain.operators, chain.operands[1:], strict=True):
        names.append(_name(operator, operand_text(values)))
        if not values:
            break
    return names
