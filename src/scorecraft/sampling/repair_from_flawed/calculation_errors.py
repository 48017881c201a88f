"""Calculation errors: a step whose left side stays and whose result is off by one controlled slip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from random import Random
from typing import Literal, get_args

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.problem import Problem
from scorecraft.sampling.repair_from_flawed.flaw import Flaw
from scorecraft.sampling.repair_from_flawed.injector import At, StepChecker, equation_checker, first_valid
from scorecraft.sampling.repair_from_flawed.written_sum import WrittenSum, read_sum, value

CalculationSlip = Literal["sign", "coefficient", "drop_term", "digit", "off_by_one"]
CALCULATION_SLIPS: tuple[CalculationSlip, ...] = get_args(CalculationSlip)


@implements("repair-from-flawed")
def inject_calculation(step: str, rng: Random, subkind: CalculationSlip, *, step_index: int = 0) -> Flaw | None:
    """Return a step with one slip in its result, evenly drawn from those possible; None where there is none.

    - "off_by_one": the result plus or minus 1.
    - "digit": one of its digits one too high or too low, carried: plus or minus 10^k.
    - "sign": the result with one plus and minus of the left side exchanged.
    - "drop_term": the result with one summand, not the first, left out.
    - "coefficient": of ``5x`` the number plus or minus 1; of a product the result with one factor off by 1.

    Args:
        step: such as ``12 + 7 = 19``; its last calculation must be true.
        rng: what draws.
        subkind: the slip.
        step_index: the step's place in its solution, for the flaw.

    Raises `ScorecraftError` for an unknown slip.

    Source: Can Large Reasoning Models Improve Accuracy on Mathematical Tasks Using Flawed Thinking?, 2025,
    arXiv 2512.17079 (its calculation errors, made here by rule).
    """
    if subkind not in CALCULATION_SLIPS:
        raise ScorecraftError(f"unknown calculation error '{subkind}': {nearest(subkind, CALCULATION_SLIPS)}")
    found = read_sum(step)
    if found is None or not found.true:
        return None
    results = [result for result in dict.fromkeys(_slips(found, subkind)) if result != found.result]
    if not results:
        return None
    return Flaw(found.rewritten(step, rng.choice(results)), "calculation", subkind, step_index, step)


def _slips(written: WrittenSum, subkind: CalculationSlip) -> list[int]:
    if subkind == "off_by_one":
        return [written.result + 1, written.result - 1]
    if subkind == "digit":
        places = range(len(str(abs(written.result))))
        return [written.result + sign * 10**place for place in places for sign in (1, -1)]
    if subkind == "sign":
        return _signs(written)
    if subkind == "drop_term":
        return _dropped(written)
    return _coefficients(written)


def _signs(written: WrittenSum) -> list[int]:
    numbers, operators = written.numbers, written.operators
    results = []
    for place, operator in enumerate(operators):
        if operator in "+-":
            other = "-" if operator == "+" else "+"
            results.append(value(numbers, operators[:place] + other + operators[place + 1 :]))
    for place, number in enumerate(numbers):
        if number < 0:
            results.append(value((*numbers[:place], -number, *numbers[place + 1 :]), operators))
    return _whole(results)


def _dropped(written: WrittenSum) -> list[int]:
    results = []
    for start, end in written.terms[1:]:
        operators = written.operators[: start - 1] + written.operators[end - 1 :]
        results.append(value(written.numbers[:start] + written.numbers[end:], operators))
    return _whole(results)


def _coefficients(written: WrittenSum) -> list[int]:
    if written.symbol:
        return [result for result in (written.result + 1, written.result - 1) if result]
    factors = [place for start, end in written.terms if end - start > 1 for place in range(start, end)]
    results = []
    for place in factors:
        for off in (1, -1):
            numbers = list(written.numbers)
            numbers[place] += off
            results.append(value(numbers, written.operators))
    return _whole(results)


def _whole(results: Sequence[Fraction | None]) -> list[int]:
    """Return the results that are whole numbers."""
    return [int(result) for result in results if result is not None and result.denominator == 1]


@implements("repair-from-flawed")
@dataclass(frozen=True)
class CalculationErrors:
    """Plants a calculation error in a step of a solution.

    checker: what must refute it. subkinds: the slips to draw from. at: whether in the first calculation or in any.
    """

    checker: StepChecker = equation_checker
    subkinds: tuple[CalculationSlip, ...] = CALCULATION_SLIPS
    at: At = "any"

    def inject(self, problem: Problem, solution_steps: Sequence[str], answer: str, rng: Random) -> Flaw | None:
        """Return a valid flaw, steps and slips in random order; None where no step admits one."""
        places = [place for place, step in enumerate(solution_steps) if read_sum(step) is not None]
        candidates = [
            partial(inject_calculation, solution_steps[place], rng, subkind, step_index=place)
            for place in (places[:1] if self.at == "first" else places)
            for subkind in self.subkinds
        ]
        return first_valid(candidates, problem, solution_steps, answer, self.checker, rng)
