"""The claim language: what a reasoning step says, as terms and formulas over exact numbers.

    claim := ["vars" names ":" sort {"," names ":" sort} ";"] ["assume" F {"," F} ";"] "show" F
    F     := atom | F and F | F or F | F -> F | F <-> F | not F | (F) | true | false
    atom  := term rel term {rel term} | numeral "|" term | term == term mod numeral
    term  := numeral | name | -term | term (+|-|*|/) term | term ^ natural
             | abs(t) | min(t, ..) | max(t, ..) | floor(t) | div(t, numeral) | mod(t, numeral)

Numerals are exact: 0.1 is 1/10. Sums, products, chains and junctions are flat, so that trees are only as deep as
parentheses are nested.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction
from typing import Any, Literal

from scorecraft.errors import ScorecraftError

MOST_CHARACTERS = 65_536
MOST_DEPTH = 64
MOST_DIGITS = 10_000
MOST_EXPONENT = 64
MOST_DEGREE = 256

FUNCTIONS = ("abs", "min", "max", "floor", "div", "mod")
KEYWORDS = frozenset({"vars", "assume", "show", "and", "or", "not", "true", "false", *FUNCTIONS})

Fault = Literal["parse", "type", "unsupported"]


class ClaimError(ScorecraftError):
    """A claim that cannot be read, or that means nothing; ``position`` is a place in the text, -1 where unknown."""

    def __init__(self, fault: Fault, message: str, position: int = -1) -> None:
        super().__init__(message + (f" (at character {position})" if position >= 0 else ""))
        self.fault: Fault = fault
        self.position = position


class Sort(IntEnum):
    """Sorts, each a part of the next; NUMERAL is a whole numeral that takes its sort from what is around it."""

    NUMERAL = 0
    NAT = 1
    INT = 2
    RAT = 3
    REAL = 4


SORTS = {"Nat": Sort.NAT, "Int": Sort.INT, "Rat": Sort.RAT, "Real": Sort.REAL}
SORT_NAMES = {sort: name for name, sort in SORTS.items()}


class Term:
    """A number, known or not."""

    __slots__ = ()


class Formula:
    """A statement that is true or false."""

    __slots__ = ()


def _position() -> Any:
    return field(default=-1, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Number(Term):
    """An exact numeral: an ``int`` where it is whole."""

    value: int | Fraction
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Name(Term):
    """A variable."""

    name: str
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Negation(Term):
    """The opposite number."""

    term: Term
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Sum(Term):
    """Terms from left to right; those marked in ``minus`` (never the first) are subtracted."""

    terms: tuple[Term, ...]
    minus: tuple[bool, ...]
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Product(Term):
    """Factors from left to right; by those marked in ``divided`` (never the first) is divided."""

    terms: tuple[Term, ...]
    divided: tuple[bool, ...]
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Power(Term):
    """A natural power; anything to the power of 0 is 1."""

    base: Term
    exponent: int
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Call(Term):
    """One of `FUNCTIONS`; ``div`` and ``mod`` round downwards."""

    function: str
    arguments: tuple[Term, ...]
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Relation(Formula):
    """A chain such as ``a < b = c``: every neighbouring pair is so related."""

    terms: tuple[Term, ...]
    relations: tuple[str, ...]
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Divides(Formula):
    """``divisor | term``."""

    divisor: Term
    term: Term
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Congruence(Formula):
    """``left == right mod modulus``."""

    left: Term
    right: Term
    modulus: Term
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Junction(Formula):
    """All of the parts ("and") or one of them ("or")."""

    kind: Literal["and", "or"]
    parts: tuple[Formula, ...]
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Implication(Formula):
    """If left, then right."""

    left: Formula
    right: Formula
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Equivalence(Formula):
    """Both or neither."""

    left: Formula
    right: Formula
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Not(Formula):
    """The opposite statement."""

    part: Formula
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Truth(Formula):
    """``true`` or ``false``."""

    value: bool
    at: int = _position()


@dataclass(frozen=True, slots=True)
class Claim:
    """Hypotheses and a goal over declared variables.

    variables: the sort of every variable. numerals: `Sort.INT` or `Sort.NAT`, the sort of ground whole numbers.
    """

    variables: tuple[tuple[str, Sort], ...]
    hypotheses: tuple[Formula, ...]
    goal: Formula
    numerals: Sort = Sort.INT


@dataclass(frozen=True, slots=True)
class LeanStatement:
    """A Lean 4 theorem as text, with ``sorry`` in the place of its proof; only a Lean prover takes it."""

    text: str


def terms_of(formula: Formula) -> tuple[Term, ...]:
    """Return the terms that an atom relates; none for other formulas."""
    match formula:
        case Relation():
            return formula.terms
        case Divides():
            return (formula.divisor, formula.term)
        case Congruence():
            return (formula.left, formula.right, formula.modulus)
    return ()


def parts_of(formula: Formula) -> tuple[Formula, ...]:
    """Return the formulas that a formula is made of; none for atoms."""
    match formula:
        case Junction():
            return formula.parts
        case Implication() | Equivalence():
            return (formula.left, formula.right)
        case Not():
            return (formula.part,)
    return ()


def subterms_of(term: Term) -> tuple[Term, ...]:
    """Return the terms that a term is made of."""
    match term:
        case Negation():
            return (term.term,)
        case Sum() | Product():
            return term.terms
        case Power():
            return (term.base,)
        case Call():
            return term.arguments
    return ()


def names_in_term(term: Term) -> set[str]:
    """Return the variables of a term."""
    if isinstance(term, Name):
        return {term.name}
    return {name for part in subterms_of(term) for name in names_in_term(part)}


def names_in(formula: Formula) -> set[str]:
    """Return the variables of a formula."""
    found = {name for term in terms_of(formula) for name in names_in_term(term)}
    return found.union(*(names_in(part) for part in parts_of(formula)))


def conjuncts(formula: Formula) -> tuple[Formula, ...]:
    """Return the parts of a conjunction, however nested; a chain of relations falls into pairs."""
    if isinstance(formula, Junction) and formula.kind == "and":
        return tuple(atom for part in formula.parts for atom in conjuncts(part))
    if isinstance(formula, Relation) and len(formula.relations) > 1:
        pairs = zip(formula.terms, formula.relations, formula.terms[1:], strict=False)
        return tuple(Relation((left, right), (relation,), formula.at) for left, relation, right in pairs)
    return (formula,)
