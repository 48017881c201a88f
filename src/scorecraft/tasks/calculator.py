"""Chain arithmetic with a calculator: ``[add(12,7)]`` is a call, and the tool writes ``=19`` after it.

Tools are ``add``, ``sub`` and ``mul``, each with two integers of at most 18 digits. A call ends with ``]``. The
tool answers a malformed call with an error text: ``=error: call`` where it is not ``name(arguments)``,
``=error: name`` for an unknown tool, ``=error: arguments`` where they are not two integers.

A call with its answer is a step like the equation it states, so a right call is a correct step; a call that was
answered with an error does not parse as a step and is off-topic. Equations written without the tool count too.
The calculator does not slip, so a flawed step in a trace calls it with a misread running value.
"""

from __future__ import annotations

import re
from random import Random

from scorecraft.parts import register
from scorecraft.problem import Problem
from scorecraft.tasks.arithmetic import Chain, Equation, apply, read_equation, read_integer
from scorecraft.tasks.chain_task import ChainTask, answer_line, chain_answer
from scorecraft.tasks.chain_writer import write_solution

CALL_START, CALL_END = "[", "]"
TOOLS = {"add": "+", "sub": "-", "mul": "*"}

_NAMES = {operator: name for name, operator in TOOLS.items()}
_CALL = re.compile(r" *([A-Za-z_]+) *\((.*)\) *")
_ANSWERED = re.compile(r" *\[([^\[\]]*)\] *=(.*)")


def written_call(equation: Equation) -> str:
    """Return the call that computes an equation's left-hand side, such as ``[add(12,7)]``."""
    return f"{CALL_START}{_NAMES[equation.operator]}({equation.left},{equation.right}){CALL_END}"


def read_call(call: str) -> tuple[str, int, int] | str:
    """Return the operator and arguments of a call's text (without brackets), or what is wrong with it."""
    match = _CALL.fullmatch(call)
    if match is None:
        return "call"
    name, arguments = match.groups()
    if name not in TOOLS:
        return "name"
    numbers = [read_integer(argument.strip(" ")) for argument in arguments.split(",")]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        return "arguments"
    return TOOLS[name], numbers[0], numbers[1]


@register("task", "calculator")
class Calculator(ChainTask):
    """Chains of operations solved by calling a calculator, which answers in place."""

    def pose(self, chain: Chain, random: Random) -> Problem:
        """Return the problem that asks for a chain."""
        del random
        return Problem(f"{chain.text}=?\n", chain_answer(chain), metadata=chain.metadata)

    def trace(self, problem: Problem, flaw_rate: float, random: Random) -> list[tuple[str, bool]]:
        """Return a solution in which the policy writes the calls and the tool their answers."""
        chain = Chain.from_metadata(problem.metadata)
        solution = write_solution(chain, flaw_rate, self.spare_steps, random, exact_results=True)
        segments: list[tuple[str, bool]] = []
        for step in solution.steps:
            segments += [(written_call(step), True), (f"={step.result}\n", False)]
        return [*segments, (answer_line(solution.value), True)]

    @property
    def tool_call_end(self) -> str:
        """The text that ends a tool call."""
        return CALL_END

    def call_tool(self, problem: Problem, completion: str) -> str:
        """Return ``=`` and the result of the call that ends the completion, or ``=error:`` and what is wrong."""
        del problem
        body, closed, after = completion.rpartition(CALL_END)
        line = body.rpartition("\n")[2]
        _, opened, call = line.rpartition(CALL_START)
        read = read_call(call) if closed and opened and not after else "call"
        return f"=error: {read}\n" if isinstance(read, str) else f"={apply(*read)}\n"

    def read_step(self, line: str) -> Equation | None:
        """Return the equation that an answered call, or a line without the tool, states."""
        match = _ANSWERED.fullmatch(line)
        if match is None:
            return read_equation(line)
        read = read_call(match[1])
        if isinstance(read, str):
            return None
        operator, left, right = read
        return read_equation(f"{left}{operator}{right}={match[2]}")
