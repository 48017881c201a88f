"""Approximate comparison of expressions: their complex values at a few points, with a bound on the rounding error."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from hashlib import sha256

from scorecraft.rewards.verify.nodes import Call, Node, Number, Power, Product, Quotient, Sum, Symbol
from scorecraft.rewards.verify.verification import Undecided

POINTS = 3
RELATIVE_ERROR = 1e-11
_MOST = 1e15

_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sqrt": cmath.sqrt, "abs": abs, "ln": cmath.log, "log": cmath.log10, "sin": cmath.sin, "cos": cmath.cos,
    "tan": cmath.tan, "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh, "arcsin": cmath.asin,
    "arccos": cmath.acos, "arctan": cmath.atan, "cot": lambda z: 1 / cmath.tan(z), "sec": lambda z: 1 / cmath.cos(z),
    "csc": lambda z: 1 / cmath.sin(z),
}  # fmt: skip
_CONSTANTS: dict[str, complex] = {"pi": math.pi, "e": math.e, "i": 1j}


class Approximation:
    """The value of a tree at a point.

    value: a complex number. error: bound on its rounding error, from the largest number met on the way.
    """

    __slots__ = ("_peak", "_point", "value")

    def __init__(self, tree: Node, point: int = 0) -> None:
        self._peak, self._point = 1.0, point
        try:
            self.value = self._of(tree)
        except (ArithmeticError, ValueError) as error:
            raise Undecided(f"no approximate value ({error})") from error

    @property
    def error(self) -> float:
        """Return a bound on the rounding error."""
        return self._peak * RELATIVE_ERROR

    def _of(self, node: Node) -> complex:
        try:
            value = self._value(node)
        except (ArithmeticError, ValueError) as error:
            raise Undecided("a value that cannot be worked out") from error
        size = abs(value)
        if not size < _MOST:
            raise Undecided("an approximate value out of range")
        self._peak = max(self._peak, size)
        return value

    def _value(self, node: Node) -> complex:  # noqa: PLR0911 - one for each kind of node
        if isinstance(node, Number):
            return complex(float(node.value))
        if isinstance(node, Symbol):
            if node.name == "oo":
                raise Undecided("infinity has no approximate value")
            known = _CONSTANTS.get(node.name)
            return _sample(node.name, self._point) if known is None else complex(known)
        if isinstance(node, Sum):
            return sum((self._of(term) for term in node.terms), 0j)
        if isinstance(node, Product):
            result = 1 + 0j
            for factor in node.factors:
                result *= self._of(factor)
            return result
        if isinstance(node, Quotient):
            lower = self._of(node.lower)
            if abs(lower) < 1e-6:
                raise Undecided("a division by nearly zero")
            return self._of(node.upper) / lower
        if isinstance(node, Power):
            return self._of(node.base) ** self._of(node.exponent)
        return self._call(node)

    def _call(self, node: Call) -> complex:
        arguments = [self._of(argument) for argument in node.arguments]
        if node.function == "root":
            value, degree = arguments
            if value.imag == 0 and value.real < 0 and degree.imag == 0 and degree.real % 2 == 1:
                return complex(-((-value.real) ** (1 / degree.real)))
            return value ** (1 / degree)
        if node.function == "factorial":
            return complex(math.gamma(arguments[0].real + 1))
        if node.function == "binomial":
            upper, lower = round(arguments[0].real), round(arguments[1].real)
            if not 0 <= lower <= upper <= 1000:
                raise Undecided("a binomial coefficient out of range")
            return complex(float(math.comb(upper, lower)))
        return complex(_FUNCTIONS[node.function](arguments[0]))


def _sample(name: str, point: int) -> complex:
    """Return the value of a variable at a point, between 0.5 and 2.5."""
    digest = sha256(f"{name} at {point}".encode()).digest()
    return complex(0.5 + 2 * int.from_bytes(digest[:6], "big") / 2**48)


def surely_different(first: Node, second: Node) -> bool:
    """Return whether the values at some point differ by more than rounding can explain."""
    for point in range(POINTS):
        try:
            left, right = Approximation(first, point), Approximation(second, point)
        except Undecided:
            continue
        if abs(left.value - right.value) > 1e3 * (left.error + right.error):
            return True
    return False
