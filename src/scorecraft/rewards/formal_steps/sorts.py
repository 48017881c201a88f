"""What sort every term is of, what must hold for a claim to mean anything, and which fragment it is in.

Fragments: F0 ground rationals, F1 linear, F2 polynomial over the reals, F3 polynomial with whole numbers (undecidable).

A whole numeral takes its sort from the terms it is related to. Where all of an atom is natural, a subtraction must be
shown not to go below 0: elsewhere (in Lean, say) it would silently give 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scorecraft.rewards.formal_steps.claim import (
    MOST_DEGREE,
    SORT_NAMES,
    Call,
    Claim,
    ClaimError,
    Congruence,
    Divides,
    Formula,
    Name,
    Negation,
    Number,
    Power,
    Product,
    Relation,
    Sort,
    Sum,
    Term,
    parts_of,
)

Fragment = Literal["F0", "F1", "F2", "F3", "lean"]
_ZERO = Number(0)
MOST_GUARDS = 256


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition without which a claim means nothing, and what it is for."""

    condition: Relation
    text: str


@dataclass(frozen=True, slots=True)
class Sorted:
    """The fragment of a claim, its guards, and the variables that occur."""

    fragment: Fragment
    guards: tuple[Guard, ...]
    names: frozenset[str]


def check_sorts(claim: Claim) -> Sorted:
    """Return the fragment, the guards and the names of a claim.

    Raises `ClaimError` for terms of a sort that an operation does not take, undeclared variables, or a degree that is
    too high.
    """
    walk = _Walk(dict(claim.variables), claim.numerals)
    for formula in (*claim.hypotheses, claim.goal):
        walk.formula(formula)
    sorts = {walk.variables[name] for name in walk.names}
    if not walk.names:
        fragment: Fragment = "F0"
    elif not walk.nonlinear:
        fragment = "F1"
    else:
        fragment = "F2" if min(sorts) >= Sort.RAT and not walk.whole else "F3"
    return Sorted(fragment, tuple(walk.guards), frozenset(walk.names))


def common_sort(terms: tuple[Term, ...], variables: dict[str, Sort]) -> Sort:
    """Return the sort that terms which are related to each other have in common."""
    return _Walk(variables, Sort.INT).joined(terms)[0]


class _Walk:
    def __init__(self, variables: dict[str, Sort], numerals: Sort) -> None:
        self.variables = variables
        self.numerals = numerals
        self.names: set[str] = set()
        self.guards: list[Guard] = []
        self.nonlinear = False
        self.whole = False  # whether floor, div, mod or divisibility occur
        self._subtractions: list[tuple[Sum, int]] = []

    def formula(self, formula: Formula) -> None:
        for part in parts_of(formula):
            self.formula(part)
        match formula:
            case Relation():
                self.joined(formula.terms)
            case Divides():
                self._whole_number(formula.term, "|", formula.at)
                self._divisor(formula.divisor, "|", formula.at)
            case Congruence():
                self._whole_number(Sum((formula.left, formula.right), (False, False), formula.at), "==", formula.at)
                self._divisor(formula.modulus, "mod", formula.at)

    def joined(self, terms: tuple[Term, ...]) -> tuple[Sort, int]:
        """Return the sort and the degree of terms that belong together, and guard their subtractions if natural."""
        outer, self._subtractions = self._subtractions, []
        found = [self._term(term) for term in terms]
        sort, degree = max(sort for sort, _ in found), max(degree for _, degree in found)
        if sort == Sort.NAT or (sort == Sort.NUMERAL and self.numerals == Sort.NAT):
            for term, length in self._subtractions:
                before = term.terms[0] if length == 2 else Sum(term.terms[: length - 1], term.minus[: length - 1])
                taken = Relation((before, term.terms[length - 1]), (">=",), term.at)
                self._guard(taken, "a subtraction of natural numbers is not shown to stay above 0")
        self._subtractions = outer
        return sort, degree

    def _term(self, term: Term) -> tuple[Sort, int]:  # noqa: PLR0911 - one for each kind of node
        match term:
            case Number():
                return (Sort.NUMERAL if term.value.denominator == 1 else Sort.RAT), 0
            case Name():
                if term.name not in self.variables:
                    raise ClaimError("parse", f"variable '{term.name}' is not declared", term.at)
                self.names.add(term.name)
                return self.variables[term.name], 1
            case Negation():
                return self._term(term.term)
            case Sum():
                return self._sum(term)
            case Product():
                return self._product(term)
            case Power():
                sort, degree = self._term(term.base)
                return sort, self._bounded(degree * term.exponent, term.at)
            case Call():
                return self._call(term)
        raise TypeError(f"{term!r} is no term")

    def _sum(self, term: Sum) -> tuple[Sort, int]:
        sort, degree = Sort.NUMERAL, 0
        for place, part in enumerate(term.terms):
            found, power = self._term(part)
            sort, degree = max(sort, found), max(degree, power)
            if term.minus[place]:
                self._subtractions.append((term, place + 1))
        return sort, degree

    def _product(self, term: Product) -> tuple[Sort, int]:
        sort, degree = Sort.NUMERAL, 0
        for part, divided in zip(term.terms, term.divided, strict=True):
            found, power = self._term(part)
            sort, degree = max(sort, found), degree + power
            if divided:
                sort = max(sort, Sort.RAT)
                self.nonlinear |= power > 0
                if not isinstance(part, Number) or part.value == 0:
                    condition = Relation((part, _ZERO), ("!=",), term.at)
                    self._guard(condition, "a divisor is not shown to be other than 0")
        return sort, self._bounded(degree, term.at)

    def _call(self, term: Call) -> tuple[Sort, int]:
        first = term.arguments[0]
        if term.function == "floor":
            self.whole = True
            return Sort.INT, self.joined((first,))[1]
        if term.function in ("div", "mod"):
            sort, degree = self._whole_number(first, term.function, term.at)
            self._divisor(term.arguments[1], term.function, term.at)
            return sort, degree
        found = [self._term(argument) for argument in term.arguments]
        return max(sort for sort, _ in found), max(degree for _, degree in found)

    def _whole_number(self, term: Term, operation: str, at: int) -> tuple[Sort, int]:
        self.whole = True
        sort, degree = self.joined((term,))
        if sort > Sort.INT:
            raise ClaimError("type", f"'{operation}' is for whole numbers, not for {SORT_NAMES[sort]}", at)
        return sort, degree

    def _divisor(self, term: Term, operation: str, at: int) -> None:
        if not isinstance(term, Number) or term.value.denominator != 1:
            raise ClaimError("unsupported", f"'{operation}' needs a positive whole numeral as its divisor", at)
        if term.value == 0:
            self._guard(Relation((term, _ZERO), ("!=",), at), "a divisor is 0")

    def _guard(self, condition: Relation, text: str) -> None:
        if len(self.guards) == MOST_GUARDS:
            raise ClaimError(
                "unsupported", f"more than {MOST_GUARDS} divisions and subtractions to look at", condition.at
            )
        self.guards.append(Guard(condition, text))

    def _bounded(self, degree: int, at: int) -> int:
        if degree > MOST_DEGREE:
            raise ClaimError("unsupported", f"a term of degree {degree}; expected at most {MOST_DEGREE}", at)
        self.nonlinear |= degree > 1
        return degree
