"""Chain arithmetic with written steps: ``12+7-3=?`` is solved as ``12+7=19``, ``19-3=16``, ``#16``.

One step a line, evaluated from left to right (no precedence), the answer after ``#``. Where an operand is ``?``
the right answer is ``#none``, given as soon as the steps reach it.
"""

from __future__ import annotations

from random import Random

from scorecraft.parts import register
from scorecraft.problem import Problem
from scorecraft.tasks.arithmetic import Chain
from scorecraft.tasks.chain_task import ChainTask, answer_line, chain_answer
from scorecraft.tasks.chain_writer import write_solution


@register("task", "chain-arithmetic")
class ChainArithmetic(ChainTask):
    """Chains of operations with written steps, one a line, and the answer after ``#``."""

    def pose(self, chain: Chain, random: Random) -> Problem:
        """Return the problem that asks for a chain."""
        del random
        return Problem(f"{chain.text}=?\n", chain_answer(chain), metadata=chain.metadata)

    def trace(self, problem: Problem, flaw_rate: float, random: Random) -> list[tuple[str, bool]]:
        """Return a written solution."""
        solution = write_solution(Chain.from_metadata(problem.metadata), flaw_rate, self.spare_steps, random)
        return [("\n".join([*map(str, solution.steps), answer_line(solution.value)]), True)]
