"""Equations and inequalities: what they assign, which interval they describe, and when two say the same."""

from __future__ import annotations

import re
from collections.abc import Callable

from scorecraft.rewards.verify.expression import is_constant
from scorecraft.rewards.verify.fingerprint import Fingerprint, P
from scorecraft.rewards.verify.nodes import MINUS_ONE, Node, Product, Sum, Symbol
from scorecraft.rewards.verify.readings import Collection, Reading, Relation, Term, Unknown

_FLIPPED = {"=": "=", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<=", "in": "in"}
_FUNCTION = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?\([A-Za-z](?:, ?[A-Za-z])*\)|[A-Za-z]'?\([A-Za-z]\)")
_LESS, _MORE = ("<", "<="), (">", ">=")

Same = Callable[[Reading, Reading], bool | None]


def name_of(side: Reading) -> str | None:
    """Return the variable or function that a side names, such as x or f(x); None for anything more."""
    text = getattr(side, "text", "")
    if isinstance(side, Term) and isinstance(side.node, Symbol) and side.node.name not in ("pi", "e", "oo"):
        return side.node.name
    found = _FUNCTION.fullmatch(text.replace(" ", "")) if text else None
    return found[0] if found else None


def assigned(relation: Relation, *, any_equation: bool) -> Reading | None:
    """Return the value that an equation gives, the last side of ``x = ... = 5`` or of ``x in S``; None for others.

    Args:
        relation: an equation or inequality.
        any_equation: whether the first side may be anything, as in ``2 + 3 = 5``.
    """
    if any(sign not in ("=", "in") for sign in relation.signs):
        return None
    named = name_of(relation.sides[0]) is not None or isinstance(relation.sides[0], Collection)
    return relation.sides[-1] if named or any_equation else None


def as_interval(relation: Reading) -> Collection | None:
    """Return the interval of an inequality such as ``x > 3`` or ``1 <= x < 2``; None for others."""
    if not isinstance(relation, Relation):
        return None
    named = [name_of(side) is not None for side in relation.sides]
    if named in ([True, False], [False, True]) and relation.signs[0] in (*_LESS, *_MORE):
        return _half_line(relation, named[0])
    if named == [False, True, False]:
        return _between(relation)
    return None


def _half_line(relation: Relation, name_first: bool) -> Collection:
    sign = relation.signs[0] if name_first else _FLIPPED[relation.signs[0]]
    bound = relation.sides[1 if name_first else 0]
    if sign in _LESS:
        return Collection((_infinity(negative=True), bound), "(", "]" if sign == "<=" else ")")
    return Collection((bound, _infinity(negative=False)), "[" if sign == ">=" else "(", ")")


def _between(relation: Relation) -> Collection | None:
    (low, _, high), (first, second) = relation.sides, relation.signs
    if first in _MORE and second in _MORE:
        low, high, first, second = high, low, _FLIPPED[second], _FLIPPED[first]
    if first not in _LESS or second not in _LESS:
        return None
    return Collection((low, high), "[" if first == "<=" else "(", "]" if second == "<=" else ")")


def _infinity(*, negative: bool) -> Term:
    node: Node = Symbol("oo")
    return Term(Product((MINUS_ONE, node)), "-oo") if negative else Term(node, "oo")


def same_relation(given: Relation, true: Relation, same: Same) -> bool | None:
    """Return whether two equations or inequalities say the same; None where the fast path cannot tell.

    Equal ones have equal sides, perhaps exchanged, or differ by a factor all over. Two that give the same variable
    different values are different.

    Args:
        given: what was answered.
        true: the true one.
        same: compares two sides.
    """
    first, second = as_interval(given), as_interval(true)
    if first is not None and second is not None:
        if _names(given) != _names(true):
            return None
        return same(first, second)
    if _equal_sides(given, true, same):
        return True
    if set(given.signs) != {"="} or set(true.signs) != {"="}:
        return None
    return _same_equation(given, true, same)


def _same_equation(given: Relation, true: Relation, same: Same) -> bool | None:
    first, second = name_of(given.sides[0]), name_of(true.sides[0])
    if first is not None and first == second:
        verdict = same(given.sides[-1], true.sides[-1])
        return verdict if verdict or not _contains(true.sides[-1], first) else None
    if first is not None and second is not None and _constant(given.sides[-1]) and _constant(true.sides[-1]):
        return False  # x = 5 says nothing about y
    return True if _proportional(given, true) else None


def _constant(side: Reading) -> bool:
    return isinstance(side, Term) and is_constant(side.node)


def _names(relation: Relation) -> set[str | None]:
    return {name_of(side) for side in relation.sides} - {None}


def _equal_sides(given: Relation, true: Relation, same: Same) -> bool:
    if len(given.sides) != len(true.sides):
        return False
    flipped = tuple(_FLIPPED[sign] for sign in reversed(given.signs))
    for sides, signs in ((given.sides, given.signs), (given.sides[::-1], flipped)):
        if signs == true.signs and all(same(one, other) is True for one, other in zip(sides, true.sides, strict=True)):
            return True
    return False


def _contains(side: Reading, name: str) -> bool:
    return not isinstance(side, Term) or name in side.text


def _proportional(given: Relation, true: Relation) -> bool:
    """Return whether the differences of the sides are proportional, which their quotient at two points shows."""
    if len(given.sides) != 2 or len(true.sides) != 2:
        return False
    terms = [side.node if isinstance(side, Term) else None for side in (*given.sides, *true.sides)]
    if any(node is None for node in terms) or any(isinstance(side, Unknown) for side in (*given.sides, *true.sides)):
        return False
    one, two, three, four = terms
    assert one is not None
    assert two is not None
    assert three is not None
    assert four is not None
    differences = [Sum((left, Product((MINUS_ONE, right)))) for left, right in ((one, two), (three, four))]
    quotients = set()
    for point in range(2):
        upper, lower = (Fingerprint(tree, point=point) for tree in differences)
        if upper.opaque or lower.opaque or upper.decimal or lower.decimal or not (upper.residue and lower.residue):
            return False
        quotients.add(upper.residue * pow(lower.residue, -1, P) % P)
    return len(quotients) == 1
