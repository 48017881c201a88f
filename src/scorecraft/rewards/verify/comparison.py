"""Whether two readings of answers are the same: True, False, or None where the fast path cannot tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from scorecraft.rewards.verify.expression import is_constant, same_expression
from scorecraft.rewards.verify.nodes import Node, Number, Product
from scorecraft.rewards.verify.options import Options
from scorecraft.rewards.verify.quantity import number_among_words
from scorecraft.rewards.verify.readings import (
    Collection,
    Matrix,
    Ratio,
    Reading,
    Relation,
    Term,
    Union,
    Unknown,
    Words,
)
from scorecraft.rewards.verify.relation import as_interval, assigned, same_relation
from scorecraft.rewards.verify.units import unit_ratio
from scorecraft.rewards.verify.words import same_words

Verdict = bool | None


def same(given: Reading, true: Reading, options: Options) -> Verdict:  # noqa: PLR0911 - one for each kind of reading
    """Return whether a reading says the same as the true one.

    Args:
        given: what was answered.
        true: the true answer; an answer may leave out its unit, its percent sign, or the ``x =`` before it.
        options: holds the tolerances.
    """
    if isinstance(given, Unknown) or isinstance(true, Unknown):
        return None
    if isinstance(true, Relation) or isinstance(given, Relation):
        return _with_relations(given, true, options)
    if isinstance(true, Words) or isinstance(given, Words):
        return _with_words(given, true, options)
    if isinstance(true, Ratio) or isinstance(given, Ratio):
        return _with_ratios(given, true, options)
    if isinstance(true, Term) and isinstance(given, Term):
        return same_term(given, true, options)
    if isinstance(true, Matrix) or isinstance(given, Matrix):
        return _same_matrix(given, true, options)
    if isinstance(true, Union) or isinstance(given, Union):
        return _same_union(given, true, options)
    return _same_collection(given, true, options)


def same_term(given: Term, true: Term, options: Options) -> Verdict:
    """Return whether a number or expression is the true one; units are converted, see the modules of both."""
    if given.base != true.base and given.base and true.base:
        return False
    ratio = unit_ratio(given.unit, true.unit)
    if ratio is None:
        return False
    verdicts = (
        same_expression(_times(given.node, ratio * one), _times(true.node, other), options)
        for one, other in _percent_factors(given, true)
    )
    return _any(verdicts)


def _percent_factors(given: Term, true: Term) -> Sequence[tuple[Fraction | int, Fraction | int]]:
    """Return what to multiply both by: a percent sign is a hundredth, or left out by one of the two.

    It counts as left out only for numbers above 1, so that 0.5 is 50 % but not 0.5 %.
    """
    if given.percent == true.percent:
        return ((1, 1),)
    hundredth = Fraction(1, 100)
    as_fraction = (hundredth, 1) if given.percent else (1, hundredth)
    value = (given if given.percent else true).node
    large = not isinstance(value, Number) or abs(value.value) > 1
    return (as_fraction, (1, 1)) if large else (as_fraction,)


def _times(node: Node, factor: Fraction | int) -> Node:
    if factor == 1:
        return node
    if isinstance(node, Number):
        return Number(node.value * factor, node.decimal)
    return Product((Number(factor), node))


def _with_words(given: Reading, true: Reading, options: Options) -> Verdict:
    if isinstance(true, Words):
        return isinstance(given, Words) and same_words(given.text, true.text, ignore_case=options.ignore_case)
    if isinstance(true, Term) and isinstance(given, Words):
        number = number_among_words(given.text)
        return False if number is None else same_term(number, true, options)
    return False


def _with_ratios(given: Reading, true: Reading, options: Options) -> Verdict:
    if isinstance(given, Ratio) and isinstance(true, Ratio):
        if given.time or true.time:
            return given.text.replace(" ", "") == true.text.replace(" ", "")
        return given.left * true.right == true.left * given.right
    ratio, other = (given, true) if isinstance(given, Ratio) else (true, given)
    if not (isinstance(ratio, Ratio) and isinstance(other, Term)) or ratio.time or not ratio.right:
        return False
    return same_term(other, Term(Number(Fraction(ratio.left, ratio.right)), ratio.text), options)


def _with_relations(given: Reading, true: Reading, options: Options) -> Verdict:
    if isinstance(given, Relation) and isinstance(true, Relation):
        return same_relation(given, true, lambda one, other: same(one, other, options))
    if isinstance(given, Relation):
        return _equation_for_value(given, true, options)
    assert isinstance(true, Relation)
    value = assigned(true, any_equation=False) or as_interval(true)
    if value is not None:
        return same(given, value, options)
    return False if isinstance(given, Words) else None


def _equation_for_value(given: Relation, true: Reading, options: Options) -> Verdict:
    """Return whether an equation or inequality gives the true value or interval."""
    if _contradicts_itself(given, options):
        return False
    if any(isinstance(side, Unknown) for side in given.sides):
        return None
    value = assigned(given, any_equation=True) or as_interval(given)
    if value is not None:
        return same(value, true, options)
    return False if isinstance(true, Words) else None


def _contradicts_itself(relation: Relation, options: Options) -> bool:
    """Return whether a number on one side of an equation is not the one at the end, as in 41 = 42."""
    if set(relation.signs) != {"="}:
        return False
    *before, last = relation.sides
    numbers = [side for side in before if isinstance(side, Term) and is_constant(side.node)]
    return isinstance(last, Term) and any(same_term(last, side, options) is False for side in numbers)


def _same_matrix(given: Reading, true: Reading, options: Options) -> Verdict:
    if not (isinstance(given, Matrix) and isinstance(true, Matrix)):
        # Some write a column as (1, 2); whether that is the same is for the algebra system to say.
        return None if isinstance(given, Collection) or isinstance(true, Collection) else False
    if [len(row) for row in given.rows] != [len(row) for row in true.rows]:
        return False
    pairs = zip(_flat(given), _flat(true), strict=True)
    return _all(same(one, other, options) for one, other in pairs)


def _flat(matrix: Matrix) -> list[Reading]:
    return [item for row in matrix.rows for item in row]


def _same_union(given: Reading, true: Reading, options: Options) -> Verdict:
    if isinstance(given, Union) and isinstance(true, Union) and len(given.parts) == len(true.parts):
        return _same_members(given.parts, true.parts, options) or None
    return None


def _same_collection(given: Reading, true: Reading, options: Options) -> Verdict:
    if not (isinstance(given, Collection) and isinstance(true, Collection)):
        several, single = (given, true) if isinstance(given, Collection) else (true, given)
        if isinstance(several, Collection) and len(several.items) == 1 and several.opening == "{":
            return same(several.items[0], single, options)
        return False
    if not (given.ordered or true.ordered):
        return _same_members(given.items, true.items, options)
    return _same_in_order(given, true, options)


def _same_in_order(given: Collection, true: Collection, options: Options) -> Verdict:
    if given.ordered and true.ordered:
        if (given.opening, given.closing) != (true.opening, true.closing):
            return False if len(true.items) == 2 and len(given.items) == 2 else None
    elif {"{", "["} & {given.opening, true.opening}:
        return None  # a set for a tuple, or a bare list for an interval
    if len(given.items) != len(true.items):
        return False
    return _all(same(one, other, options) for one, other in zip(given.items, true.items, strict=True))


def _same_members(given: Sequence[Reading], true: Sequence[Reading], options: Options) -> Verdict:
    """Return whether each member of one is a member of the other."""
    table = [[same(one, other, options) for other in true] for one in given]
    rows = (_any(row) for row in table)
    columns = (_any(row[place] for row in table) for place in range(len(true)))
    return _all((*rows, *columns))


def _all(verdicts: Iterable[Verdict]) -> Verdict:
    found = list(verdicts)
    return False if False in found else None if None in found else True


def _any(verdicts: Iterable[Verdict]) -> Verdict:
    unknown = False
    for verdict in verdicts:
        if verdict:
            return True
        unknown |= verdict is None
    return None if unknown else False
