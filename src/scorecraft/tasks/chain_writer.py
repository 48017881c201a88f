"""Writes the steps of a chain's solution, with flaws and spare steps at chosen rates."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from scorecraft.tasks.arithmetic import Chain, Equation
from scorecraft.tasks.chain_checker import RunningState

# How far off a slip is: a small miscount, or a forgotten carry.
SLIPS = (-10, -2, -1, 1, 2, 10)


@dataclass(frozen=True, slots=True)
class Solution:
    """Written steps and the value they end with; None where they stop at an unknown operand.

    states: the running states before the first step and after each step that is not a spare one.
    """

    steps: tuple[Equation, ...]
    value: int | None
    states: tuple[RunningState, ...]


def write_solution(
    chain: Chain,
    flaw_rate: float,
    spare_rate: float,
    random: Random,
    *,
    start: RunningState | None = None,
    flaw_at: int | None = None,
    exact_results: bool = False,
    asked: Chain | None = None,
) -> Solution:
    """Write out a chain whose operands have at most one value, from ``start`` or from its beginning.

    Each operation is a wrong step with probability ``flaw_rate`` (and for certain at position ``flaw_at``), and
    its result is carried on with. A wrong step miscounts the result or misreads the running value; only the
    latter where ``exact_results`` (a calculator computes them). ``asked`` is the chain as it was asked, where its
    operands may have several values: a misread value is none that right steps could have. At an unknown operand
    the solution stops; a flaw there invents the operand instead. After each step comes, with probability
    ``spare_rate``, a spare one: the same step again if it was right, or adding 0.
    """
    value = start.value if start else (chain.operands[0][0] if chain.operands[0] else None)
    first = start.position if start else 0
    steps: list[Equation] = []
    states = [RunningState(value, first)]
    for position in range(first, len(chain.operators)):
        flawed = random.random() < flaw_rate or position == flaw_at
        choices = chain.operands[position + 1]
        if value is None or not choices:
            if not flawed:
                return Solution(tuple(steps), None, tuple(states))
            step = _invented(chain, position, value, random)
        else:
            step = Equation.solved(value, chain.operators[position], choices[0])
            if flawed:
                possible = (asked or chain).reachable[position]
                step = _slip(step, steps, possible, exact_results, random)
        steps.append(step)
        value = step.result
        states.append(RunningState(value, position + 1))
        if random.random() < spare_rate:
            repeat = not flawed and random.random() < 0.5
            steps.append(step if repeat else Equation.solved(value, "+", 0))
    return Solution(tuple(steps), value, tuple(states))


def _slip(
    right: Equation, earlier: list[Equation], possible: frozenset[int], exact_results: bool, random: Random
) -> Equation:
    """Return a wrong version of a right step: a miscounted result or a misread running value."""
    read = [right.left + slip for slip in SLIPS]
    misread = [Equation.solved(value, right.operator, right.right) for value in read if value not in possible]
    # A misreading that happens to repeat an earlier step would count as redundant, not as wrong.
    misread = [step for step in misread if step not in earlier]
    if not misread and exact_results:
        beyond = max(right.left, *(step.left for step in earlier)) + SLIPS[-1]
        misread = [Equation.solved(beyond, right.operator, right.right)]
    if exact_results or (misread and random.random() < 0.25):
        return random.choice(misread)
    return Equation(right.left, right.operator, right.right, right.result + random.choice(SLIPS))


def _invented(chain: Chain, position: int, value: int | None, random: Random) -> Equation:
    """Return a step that fills in what is unknown (the running value, the operand or both)."""
    operator, choices = chain.operators[position], chain.operands[position + 1]
    known = [number for values in chain.operands for number in values]
    numbers = range(2, max([*known, 2]) + len(known) + 2)
    left = random.choice(numbers) if value is None else value
    # An operand of another operation would look like a misplaced step instead of an invented one.
    free = [number for number in numbers if number not in known]
    return Equation.solved(left, operator, choices[0] if choices else random.choice(free))
