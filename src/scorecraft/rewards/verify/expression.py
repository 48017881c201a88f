"""Whether two expressions are the same: exactly where that can be told, else as near as rounding allows."""

from __future__ import annotations

from fractions import Fraction

from scorecraft.rewards.verify.agreement import numbers_agree
from scorecraft.rewards.verify.approximate import Approximation, surely_different
from scorecraft.rewards.verify.fingerprint import Fingerprint, exact
from scorecraft.rewards.verify.nodes import MINUS_ONE, Node, Number, Product, Symbol
from scorecraft.rewards.verify.options import Options
from scorecraft.rewards.verify.verification import Undecided

INFINITY = Symbol("oo")
_INFINITE = {INFINITY: 1, Product((MINUS_ONE, INFINITY)): -1}


def same_expression(given: Node, true: Node, options: Options) -> bool | None:
    """Return whether two expressions are equal; None where the fast path cannot tell.

    Args:
        given: the tree that was given.
        true: the true one.
        options: holds the tolerances.
    """
    if isinstance(given, Number) and isinstance(true, Number):
        return numbers_agree(given.value, true.value, options, decimal=given.decimal or true.decimal)
    if given in _INFINITE or true in _INFINITE:
        return _INFINITE.get(given) == _INFINITE.get(true)
    first, second = Fingerprint(given), Fingerprint(true)
    if first.infinite or second.infinite:
        return None
    return first.residue == second.residue or _beyond_fingerprints(given, true, first, second, options)


def _beyond_fingerprints(
    given: Node, true: Node, first: Fingerprint, second: Fingerprint, options: Options
) -> bool | None:
    """Return whether expressions with different fingerprints are the same after all, within rounding or tolerance."""
    constant, decimal = first.constant and second.constant, first.decimal or second.decimal
    if constant and (options.tolerant or decimal):
        return _same_constant(given, true, options)
    if decimal or first.opaque or second.opaque:
        return False if surely_different(given, true) else None
    # Some write the same variable large and small; that is for the algebra system to forgive.
    folded = not constant and Fingerprint(given, fold=True).residue == Fingerprint(true, fold=True).residue
    return None if folded else False


def is_constant(node: Node) -> bool:
    """Return whether an expression has no variable."""
    return isinstance(node, Number) or Fingerprint(node).constant


def _same_constant(given: Node, true: Node, options: Options) -> bool | None:
    first, second = exact(given), exact(true)
    if first is not None and second is not None:
        return numbers_agree(first, second, options, decimal=True)
    try:
        left, right = Approximation(given), Approximation(true)
    except Undecided:
        return None
    error = left.error + right.error
    if error > 1e-8:
        return False if abs(left.value - right.value) > 1e3 * error + 1e-3 and not options.tolerant else None
    pairs = ((left.value.real, right.value.real), (left.value.imag, right.value.imag))
    return all(numbers_agree(_number(one), _number(other), options, decimal=True) for one, other in pairs)


def _number(value: float) -> Fraction:
    return Fraction(0) if abs(value) < 1e-9 else Fraction(value)
