"""Exact comparison of expressions without algebra: each is evaluated once in a large prime field.

The arithmetic of the field P is a homomorphic image of that of rational functions with rational coefficients, square
roots of numbers, and i. So expressions that are equal have equal fingerprints, and those whose fingerprints
differ are not equal. Unequal ones have equal fingerprints with a probability of about degree / P, below 2^-140.
Variables, pi and e stand for fixed elements that look random. P - 1 is divisible by 8 and by every prime up to 113, so
that by quadratic reciprocity all of them, and -1, have square roots in the field.

Other functions (``sin x``, ``2^x``, cube roots) are stood for by elements drawn from name and argument. Equal
fingerprints still mean equal expressions, but different ones prove nothing: such a fingerprint is *opaque*.

Source: Schwartz, 1980, Fast Probabilistic Algorithms for Verification of Polynomial Identities.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256

from scorecraft.rewards.verify.nodes import Call, Node, Number, Power, Product, Quotient, Sum, Symbol
from scorecraft.rewards.verify.verification import TooLarge, Undecided, Unreadable

P = 1011521748493363449220646601329397199784789983681
LARGEST_BITS = 4096
LARGEST_FACTORIAL = 1000
_TRIAL = 1000


class Fingerprint:
    """The fingerprint of a tree, and what was met on the way.

    residue: the element of the field. opaque: see the module. decimal: whether a number was written as a decimal.
    constant: whether there is no variable. infinite: whether infinity is part of it. With ``fold``, capital and small
    letters stand for the same variable. Another ``point`` has other elements for the variables, pi and e.
    """

    __slots__ = ("constant", "decimal", "fold", "infinite", "opaque", "point", "residue")

    def __init__(self, tree: Node, *, fold: bool = False, point: int = 0) -> None:
        self.fold, self.point = fold, point
        self.opaque = self.decimal = self.infinite = False
        self.constant = True
        self.residue = self._of(tree)

    def _of(self, node: Node) -> int:  # noqa: PLR0911 - one for each kind of node
        if isinstance(node, Number):
            self.decimal |= node.decimal
            return _residue(node.value)
        if isinstance(node, Symbol):
            return self._symbol(node.name)
        if isinstance(node, Sum):
            return sum(self._of(term) for term in node.terms) % P
        if isinstance(node, Product):
            result = 1
            for factor in node.factors:
                result = result * self._of(factor) % P
            return result
        if isinstance(node, Quotient):
            return self._of(node.upper) * _inverse(self._of(node.lower)) % P
        if isinstance(node, Power):
            return self._power(node)
        return self._call(node)

    def _symbol(self, name: str) -> int:
        if name == "i":
            return _root_of_minus_one()
        if name == "oo":
            self.infinite = True
        elif name not in ("pi", "e"):
            self.constant = False
        return _element("symbol", self.point, name.lower() if self.fold else name)

    def _power(self, node: Power) -> int:
        base = self._of(node.base)
        exponent = exact(node.exponent)
        if isinstance(exponent, int):
            value = exact(node.base)
            if value is not None:
                check_power(value, exponent)
            if exponent.bit_length() > LARGEST_BITS:
                raise TooLarge("an exponent too large to work out")
            self._of(node.exponent)
            return pow(base, exponent, P) if exponent >= 0 else pow(_inverse(base), -exponent, P)
        if exponent is not None and exponent.denominator == 2:
            value = exact(node.base)
            if value is not None and value > 0:
                root = self._square_root(value)
                return pow(root if exponent > 0 else _inverse(root), abs(exponent.numerator), P)
        self.opaque = True
        return _element("power", base, self._of(node.exponent))

    def _call(self, node: Call) -> int:
        if node.function == "sqrt":
            value = exact(node.arguments[0])
            if value is not None:
                self._of(node.arguments[0])
                root = self._square_root(abs(value))
                return root if value >= 0 else root * _root_of_minus_one() % P
        elif node.function in ("factorial", "binomial"):
            value = exact(node)
            if value is not None:
                return _residue(value)
        elif node.function == "abs":
            value = exact(node.arguments[0])
            if value is not None:
                self._of(node.arguments[0])
                return _residue(abs(value))
        self.opaque = True
        return _element(node.function, *(self._of(argument) for argument in node.arguments))

    def _square_root(self, value: Fraction | int) -> int:
        """Return the root of a number of at least 0: rational part, roots of small primes, and one for the rest."""
        outside, primes, rest = _split(value.numerator * value.denominator)
        result = outside * _inverse(value.denominator) % P
        for prime in primes:
            result = result * _root(prime) % P
        if rest > 1:
            self.opaque = True
            result = result * _element("sqrt", rest) % P
        return result


def exact(node: Node) -> Fraction | int | None:
    """Return the exact value of a constant made of numbers and arithmetic; None for others, `TooLarge` for large ones.

    Whole numbers are returned as int.
    """
    value = _exact(node)
    return value.numerator if isinstance(value, Fraction) and value.denominator == 1 else value


def _exact(node: Node) -> Fraction | int | None:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Symbol):
        return None
    parts: list[Fraction | int] = []
    for child in _children(node):
        value = exact(child)
        if value is None:
            return None
        parts.append(value)
    return _bounded(_combine(node, parts))


def _children(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Sum):
        return node.terms
    if isinstance(node, Product):
        return node.factors
    if isinstance(node, Call):
        return node.arguments if node.function in ("factorial", "binomial") else (Symbol("function"),)
    return tuple(node)  # pyright: ignore[reportReturnType]


def _combine(node: Node, parts: list[Fraction | int]) -> Fraction | int | None:
    if isinstance(node, Sum):
        return sum(parts)
    if isinstance(node, Product):
        return math.prod(parts)
    if isinstance(node, Quotient):
        if not parts[1]:
            raise Unreadable("a division by zero")
        return Fraction(parts[0]) / parts[1]
    if isinstance(node, Power):
        return _exact_power(parts[0], parts[1])
    return _combinatorial(node.function, parts) if isinstance(node, Call) else None


def _exact_power(base: Fraction | int, exponent: Fraction | int) -> Fraction | int | None:
    if not isinstance(exponent, int):
        return None
    check_power(base, exponent)
    if not base and exponent <= 0:
        raise Undecided("a power of zero")
    return Fraction(base) ** exponent


def check_power(base: Fraction | int, exponent: int) -> None:
    """Raise `TooLarge` for powers of numbers that have more than 4,096 binary digits."""
    bits = max(abs(base.numerator), base.denominator).bit_length()
    if bits > 1 and bits * abs(exponent) > LARGEST_BITS:
        raise TooLarge("a power too large to work out")


def _combinatorial(function: str, parts: list[Fraction | int]) -> int | None:
    if not all(isinstance(part, int) and part >= 0 for part in parts):
        return None
    if max(parts) > LARGEST_FACTORIAL:
        raise TooLarge(f"a {function} too large to work out")
    whole = [int(part) for part in parts]
    return math.factorial(whole[0]) if function == "factorial" else math.comb(whole[0], whole[1])


def _bounded(value: Fraction | int | None) -> Fraction | int | None:
    if value is not None and max(value.numerator.bit_length(), value.denominator.bit_length()) > 4 * LARGEST_BITS:
        raise TooLarge("a number too large to work out")
    return value


def _residue(value: Fraction | int) -> int:
    if isinstance(value, int):
        return value % P
    return value.numerator * _inverse(value.denominator) % P


def _inverse(residue: int) -> int:
    if residue % P == 0:
        raise Unreadable("a division by zero")
    return pow(residue, -1, P)


@lru_cache(maxsize=4096)
def _element(*name: str | int) -> int:
    """Return the element of the field that stands for a name, the same in every process."""
    text = repr(name).encode()
    return int.from_bytes(sha256(text).digest(), "big") % (P - 1) + 1


@lru_cache(maxsize=1)
def _root_of_minus_one() -> int:
    return pow(_non_residue(), (P - 1) // 4, P)


@lru_cache(maxsize=1)
def _non_residue() -> int:
    return next(number for number in range(2, 1000) if pow(number, (P - 1) // 2, P) == P - 1)


@lru_cache(maxsize=256)
def _root(prime: int) -> int:
    """Return a square root of a residue (Tonelli and Shanks)."""
    odd, twos = P - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    power, root, check = pow(_non_residue(), odd, P), pow(prime, (odd + 1) // 2, P), pow(prime, odd, P)
    while check != 1:
        least, square = 0, check
        while square != 1:
            square, least = square * square % P, least + 1
        factor = pow(power, 1 << (twos - least - 1), P)
        twos, power = least, factor * factor % P
        root, check = root * factor % P, check * power % P
    return root


@lru_cache(maxsize=4096)
def _split(number: int) -> tuple[int, tuple[int, ...], int]:
    """Return (a, primes, rest) with ``number = a^2 * product(primes) * rest``, the primes up to 113 only once each."""
    if number.bit_length() > LARGEST_BITS:
        raise TooLarge("a root of a number too large to work out")
    if number == 0:
        return 0, (), 1
    outside, primes = 1, []
    divisor = 2
    while divisor <= _TRIAL and divisor * divisor <= number:
        count = 0
        while number % divisor == 0:
            number, count = number // divisor, count + 1
        outside *= divisor ** (count // 2)
        if count % 2:
            primes.append(divisor)
        divisor += 1 if divisor == 2 else 2
    root = math.isqrt(number)
    if root * root == number:
        outside, number = outside * root, 1
    small = tuple(prime for prime in (*primes, number) if 1 < prime <= 113)
    large = math.prod(prime for prime in (*primes, number) if prime > 113)
    return outside, small, large
