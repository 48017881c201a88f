"""Exact values of terms and formulas, in rational arithmetic without any rounding."""

from __future__ import annotations

import time
from collections.abc import Mapping
from fractions import Fraction
from math import inf

from scorecraft.rewards.formal_steps.claim import (
    Call,
    Congruence,
    Divides,
    Equivalence,
    Formula,
    Implication,
    Junction,
    Name,
    Negation,
    Not,
    Number,
    Power,
    Product,
    Relation,
    Sum,
    Term,
    Truth,
)

MOST_BITS = 65_536
_LARGE = 2048  # bits from which on the clock is looked at

Value = int | Fraction


class UndefinedError(Exception):
    """The term has no value: it divides by 0."""


class TooLargeError(Exception):
    """A number on the way has more than `MOST_BITS` bits, or there is no time left."""


class Evaluator:
    """Evaluates under values for the variables; raises `UndefinedError`, `TooLargeError`, `KeyError` for others."""

    __slots__ = ("deadline", "values")

    def __init__(self, values: Mapping[str, Value], deadline: float = inf) -> None:
        self.values = values
        self.deadline = deadline

    def term(self, term: Term) -> Value:
        """Return the value of a term."""
        return _TERM[type(term)](self, term)

    def formula(self, formula: Formula) -> bool:
        """Return whether a formula is true."""
        return _FORMULA[type(formula)](self, formula)

    def bounded(self, value: Value) -> Value:
        """Return a value, as an ``int`` if it is whole; raises `TooLargeError`."""
        if type(value) is int:
            bits = value.bit_length()
        else:
            if value.denominator == 1:
                return self.bounded(value.numerator)
            bits = max(value.numerator.bit_length(), value.denominator.bit_length())
        if bits > _LARGE and (bits > MOST_BITS or time.monotonic() > self.deadline):
            raise TooLargeError
        return value

    def sum(self, term: Sum) -> Value:
        """Return the value of a sum."""
        total: Value = 0
        for part, minus in zip(term.terms, term.minus, strict=True):
            value = _TERM[type(part)](self, part)
            total = total - value if minus else total + value
            if type(total) is not int or total.bit_length() > _LARGE:
                total = self.bounded(total)
        return total

    def product(self, term: Product) -> Value:
        """Return the value of a product."""
        total: Value = 1
        for part, divided in zip(term.terms, term.divided, strict=True):
            value = _TERM[type(part)](self, part)
            if not divided:
                total *= value
            elif value == 0:
                raise UndefinedError
            else:
                total = Fraction(total, value)
            total = self.bounded(total)
        return total

    def power(self, term: Power) -> Value:
        """Return the value of a power; the size of the result is looked at before it is computed."""
        value = _TERM[type(term.base)](self, term.base)
        bits = max(value.numerator.bit_length(), value.denominator.bit_length())
        if abs(value) != 1 and (bits - 1) * term.exponent > MOST_BITS:
            raise TooLargeError
        return self.bounded(value**term.exponent)

    def call(self, term: Call) -> Value:
        """Return the value of a function."""
        values = [self.term(argument) for argument in term.arguments]
        match term.function:
            case "abs":
                return abs(values[0])
            case "min":
                return min(values)
            case "max":
                return max(values)
            case "floor":
                return values[0].numerator // values[0].denominator
        if values[1] == 0:
            raise UndefinedError
        return values[0] // values[1] if term.function == "div" else values[0] % values[1]

    def relation(self, formula: Relation) -> bool:
        """Return whether every neighbouring pair is so related; all terms must have a value."""
        values = [_TERM[type(term)](self, term) for term in formula.terms]
        for place, relation in enumerate(formula.relations):
            left, right = values[place], values[place + 1]
            if relation == "=":
                holds = left == right
            elif relation == "!=":
                holds = left != right
            elif relation[0] == "<":
                holds = left < right or (relation == "<=" and left == right)
            else:
                holds = left > right or (relation == ">=" and left == right)
            if not holds:
                return False
        return True

    def divides(self, formula: Divides) -> bool:
        """Return whether the divisor divides."""
        return self._remainder(self.term(formula.term), self.term(formula.divisor)) == 0

    def congruent(self, formula: Congruence) -> bool:
        """Return whether the two sides leave the same remainder."""
        difference = self.term(formula.left) - self.term(formula.right)
        return self._remainder(difference, self.term(formula.modulus)) == 0

    @staticmethod
    def _remainder(value: Value, divisor: Value) -> Value:
        if divisor == 0:
            raise UndefinedError
        return value % divisor


def _number(evaluator: Evaluator, term: Number) -> Value:
    del evaluator
    return term.value


def _name(evaluator: Evaluator, term: Name) -> Value:
    return evaluator.values[term.name]


def _negation(evaluator: Evaluator, term: Negation) -> Value:
    return -evaluator.term(term.term)


def _junction(evaluator: Evaluator, formula: Junction) -> bool:
    # Every part is evaluated, so that one without a value is never passed over.
    parts = [evaluator.formula(part) for part in formula.parts]
    return all(parts) if formula.kind == "and" else any(parts)


def _implication(evaluator: Evaluator, formula: Implication) -> bool:
    left, right = evaluator.formula(formula.left), evaluator.formula(formula.right)
    return right or not left


def _equivalence(evaluator: Evaluator, formula: Equivalence) -> bool:
    return evaluator.formula(formula.left) == evaluator.formula(formula.right)


def _opposite(evaluator: Evaluator, formula: Not) -> bool:
    return not evaluator.formula(formula.part)


def _truth(evaluator: Evaluator, formula: Truth) -> bool:
    del evaluator
    return formula.value


_TERM = {
    Number: _number, Name: _name, Negation: _negation, Sum: Evaluator.sum, Product: Evaluator.product,
    Power: Evaluator.power, Call: Evaluator.call,
}  # fmt: skip
_FORMULA = {
    Relation: Evaluator.relation, Divides: Evaluator.divides, Congruence: Evaluator.congruent, Junction: _junction,
    Implication: _implication, Equivalence: _equivalence, Not: _opposite, Truth: _truth,
}  # fmt: skip
