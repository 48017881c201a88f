"""The tree of an expression."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple


class Number(NamedTuple):
    """A number as it is written; ``decimal`` where a decimal point makes it a rounded one."""

    value: Fraction | int
    decimal: bool = False


class Symbol(NamedTuple):
    """A variable or a constant by its name ("pi", "e", "i" and "oo" among them)."""

    name: str


class Sum(NamedTuple):
    """The sum of its terms."""

    terms: tuple[Node, ...]


class Product(NamedTuple):
    """The product of its factors."""

    factors: tuple[Node, ...]


class Quotient(NamedTuple):
    """The upper over the lower."""

    upper: Node
    lower: Node


class Power(NamedTuple):
    """The base to the exponent."""

    base: Node
    exponent: Node


class Call(NamedTuple):
    """A function ("sin", "sqrt", "abs", "factorial", "binomial", "root", ...) of its arguments."""

    function: str
    arguments: tuple[Node, ...]


Node = Number | Symbol | Sum | Product | Quotient | Power | Call

MINUS_ONE = Number(-1)


def negative(node: Node) -> Node:
    """Return the node with its sign changed."""
    if isinstance(node, Number):
        return Number(-node.value, node.decimal)
    return Product((MINUS_ONE, node))
