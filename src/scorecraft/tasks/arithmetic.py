"""Chains of operations evaluated from left to right (no precedence: ``2+3*4`` is 20), and written equations.

An operand has one value, several (the asker knows only that it is one of them, written ``[7|9]``) or none at
all (written ``?``: the problem cannot be answered). Everything is exact integer arithmetic; nothing is ``eval``-ed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

OPERATORS = "+-*"

# Lengths are bounded so that odd model output can neither overflow nor slow down the checkers.
_INTEGER = r"-?[0-9]{1,18}"
_EQUATION = re.compile(rf" *({_INTEGER}) *([+\-*]) *({_INTEGER}) *= *(-?[0-9]{{1,36}}) *")
_WHOLE_INTEGER = re.compile(_INTEGER)


def apply(operator: str, left: int, right: int) -> int:
    """Return ``left operator right`` for one of ``+ - *``."""
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    raise ValueError(f"unknown operator '{operator}', expected one of {OPERATORS}")


def read_integer(text: str) -> int | None:
    """Return the integer that the whole text is (at most 18 digits, leading zeros allowed), or None."""
    return int(text) if _WHOLE_INTEGER.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Equation:
    """A written equation ``left operator right = result``, true or not."""

    left: int
    operator: str
    right: int
    result: int

    @classmethod
    def solved(cls, left: int, operator: str, right: int) -> Equation:
        """Return the true equation of an operation."""
        return cls(left, operator, right, apply(operator, left, right))

    @property
    def true(self) -> bool:
        """True where the arithmetic is right."""
        return apply(self.operator, self.left, self.right) == self.result

    @property
    def neutral(self) -> bool:
        """True for adding or subtracting 0 and for multiplying by 1."""
        return self.right == (1 if self.operator == "*" else 0)

    def __str__(self) -> str:
        return f"{self.left}{self.operator}{self.right}={self.result}"


def read_equation(line: str) -> Equation | None:
    """Return the equation that the whole line is (spaces allowed around numbers and signs), or None."""
    match = _EQUATION.fullmatch(line)
    if match is None:
        return None
    left, operator, right, result = match.groups()
    return Equation(int(left), operator, int(right), int(result))


@dataclass(frozen=True)
class Chain:
    """A chain of operations; ``operands`` has the possible values of each operand, one more than operators."""

    operands: tuple[tuple[int, ...], ...]
    operators: str

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any]) -> Chain:
        """Return the chain that `metadata` wrote down."""
        return cls(tuple(tuple(values) for values in metadata["operands"]), metadata["operators"])

    @property
    def metadata(self) -> dict[str, Any]:
        """The chain as JSON values."""
        return {"operands": [list(values) for values in self.operands], "operators": self.operators}

    @property
    def text(self) -> str:
        """The chain as it is asked, such as ``12+[7|9]-?``."""
        first, *rest = map(operand_text, self.operands)
        return first + "".join(operator + right for operator, right in zip(self.operators, rest, strict=True))

    def outcomes(self, values: Sequence[int], position: int, end: int | None = None) -> frozenset[int]:
        """Return what the operations from ``position`` up to ``end`` can make of the given running values.

        Empty where an operand in between is unknown.
        """
        reached = frozenset(values)
        last = len(self.operators) if end is None else end
        for operator, choices in zip(
            self.operators[position:last], self.operands[position + 1 : last + 1], strict=True
        ):
            reached = frozenset(apply(operator, value, right) for value in reached for right in choices)
        return reached

    @cached_property
    def reachable(self) -> tuple[frozenset[int], ...]:
        """The running values that right steps can have after 0, 1, ... operations."""
        return tuple(self.outcomes(self.operands[0], 0, end) for end in range(len(self.operators) + 1))

    @property
    def answerable(self) -> bool:
        """False where an operand is unknown."""
        return all(self.operands)


def operand_text(values: Sequence[int]) -> str:
    """Return an operand as it is asked: ``7``, ``[7|9]`` or ``?``."""
    if len(values) == 1:
        return str(values[0])
    return f"[{'|'.join(map(str, values))}]" if values else "?"


def draw_chain(random: Random, operations: tuple[int, int], largest: int, operators: str, unanswerable: float) -> Chain:
    """Draw a chain with a uniform number of operations and operands from 1 to ``largest``.

    With probability ``unanswerable`` one of its operands is unknown.
    """
    count = random.randint(*operations)
    operands: list[tuple[int, ...]] = [(random.randint(1, largest),) for _ in range(count + 1)]
    signs = "".join(random.choice(operators) for _ in range(count))
    if random.random() < unanswerable:
        operands[random.randrange(count + 1)] = ()
    return Chain(tuple(operands), signs)
