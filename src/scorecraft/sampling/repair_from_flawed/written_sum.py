"""Reads a written calculation such as ``x = 5 - (-3) = 8`` or ``3x + 2x = 5x``, so that a slip can be put into it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_PLAIN = r"-?\d{1,12}(?!\d)[A-Za-z]?"
_ITEM = rf"(?:{_PLAIN}|\([ ]*{_PLAIN}[ ]*\))"
_LEFT = re.compile(rf"(?<![\w.)+\-*/^])({_ITEM}(?:[ ]*[-+*/][ ]*{_ITEM})+)[ ]*$")
_TOKEN = re.compile(r"[ ]*([-+*/])[ ]*\(?[ ]*(-?\d+)([A-Za-z]?)[ ]*\)?")
_FIRST = re.compile(r"[ ]*\(?[ ]*(-?\d+)([A-Za-z]?)[ ]*\)?")
# A letter after the number is its symbol; an operation, a power or a decimal part means that the side goes on.
_RESULT = re.compile(r"[ ]*(-?\d{1,24})(?!\d)([A-Za-z]?)(?![A-Za-z\d]|[.,]\d|[ ]*[-+*/^(=])")
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class WrittenSum:
    """A calculation ``numbers joined by operators = result`` within a step.

    numbers: integers, all with the same ``symbol`` (empty, or a letter such as x). operators: ``+ - * /`` between them.
    start, end: where the number of the result stands in the step.
    """

    numbers: tuple[int, ...]
    operators: str
    symbol: str
    result: int
    start: int
    end: int

    @property
    def true(self) -> bool:
        """True where the result is that of the left side."""
        return value(self.numbers, self.operators) == self.result

    @property
    def terms(self) -> tuple[tuple[int, int], ...]:
        """The first and last number of every summand."""
        cuts = [place + 1 for place, operator in enumerate(self.operators) if operator in "+-"]
        return tuple(zip([0, *cuts], [*cuts, len(self.numbers)], strict=True))

    def rewritten(self, step: str, result: int) -> str:
        """Return the step with another result."""
        return step[: self.start] + str(result) + step[self.end :]


def read_sum(step: str) -> WrittenSum | None:
    """Return the last calculation of a step: what stands around its last ``=``; None where that is none.

    Args:
        step: one step of a solution.
    """
    left, equals, right = step.rpartition("=")
    found = _RESULT.match(right)
    side = _LEFT.search(left[-_LONGEST:])
    if not equals or found is None or side is None:
        return None
    numbers, operators, symbols = _items(side[1])
    symbol = found[2]
    if set(symbols) != {symbol} or (symbol and set(operators) - {"+", "-"}):
        return None
    offset = len(left) + 1
    return WrittenSum(numbers, operators, symbol, int(found[1]), offset + found.start(1), offset + found.end(1))


def value(numbers: Sequence[int], operators: str) -> Fraction | None:
    """Return the value of numbers joined by operators, products first; None for a division by zero.

    Args:
        numbers: one more than there are operators.
        operators: ``+ - * /``.
    """
    total, product, sign = Fraction(0), Fraction(numbers[0]), 1
    for operator, number in zip(operators, numbers[1:], strict=True):
        if operator in "+-":
            total, product, sign = total + sign * product, Fraction(number), 1 if operator == "+" else -1
        elif operator == "*":
            product *= number
        elif number == 0:
            return None
        else:
            product /= number
    return total + sign * product


def _items(side: str) -> tuple[tuple[int, ...], str, list[str]]:
    """Return the numbers, operators and symbols of a left side."""
    first = _FIRST.match(side)
    assert first is not None
    numbers, operators, symbols = [int(first[1])], "", [first[2]]
    for match in _TOKEN.finditer(side, first.end()):
        operators += match[1]
        numbers.append(int(match[2]))
        symbols.append(match[3])
    return tuple(numbers), operators, symbols
