"""Writes claims as text that `parse_claim` reads back as the same claim."""

from __future__ import annotations

from itertools import groupby

from scorecraft.rewards.formal_steps.claim import (
    SORT_NAMES,
    Call,
    Claim,
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
from scorecraft.rewards.formal_steps.numerals import write_digits, write_number

_EQUIVALENT, _IMPLIES, _OR, _AND, _NOT, _RELATED, _ADDED, _MULTIPLIED, _NEGATED, _RAISED, _ATOM = range(1, 12)


def print_claim(claim: Claim) -> str:
    """Return a claim as text."""
    text = ""
    if claim.variables:
        groups = groupby(claim.variables, key=lambda pair: pair[1])
        listed = [f"{' '.join(name for name, _ in pairs)} : {SORT_NAMES[sort]}" for sort, pairs in groups]
        text += f"vars {', '.join(listed)}; "
    if claim.hypotheses:
        text += f"assume {', '.join(map(print_formula, claim.hypotheses))}; "
    return text + f"show {print_formula(claim.goal)}"


def print_formula(formula: Formula, level: int = 0) -> str:
    """Return a formula as text, in parentheses where it binds less strongly than ``level``."""
    own, text = _formula(formula)
    return f"({text})" if own < level else text


def print_term(term: Term, level: int = 0) -> str:
    """Return a term as text, in parentheses where it binds less strongly than ``level``."""
    own, text = _term(term)
    return f"({text})" if own < level else text


def _formula(formula: Formula) -> tuple[int, str]:  # noqa: PLR0911 - one for each kind of node
    match formula:
        case Truth():
            return _ATOM, "true" if formula.value else "false"
        case Relation():
            text = print_term(formula.terms[0], _ADDED)
            for relation, term in zip(formula.relations, formula.terms[1:], strict=True):
                text += f" {relation} {print_term(term, _ADDED)}"
            return _RELATED, text
        case Divides():
            return _RELATED, f"{print_term(formula.divisor, _ADDED)} | {print_term(formula.term, _ADDED)}"
        case Congruence():
            left, right = print_term(formula.left, _ADDED), print_term(formula.right, _ADDED)
            return _RELATED, f"{left} == {right} mod {print_term(formula.modulus, _NEGATED)}"
        case Not():
            return _NOT, f"not {print_formula(formula.part, _NOT)}"
        case Junction():
            own = _AND if formula.kind == "and" else _OR
            return own, f" {formula.kind} ".join(print_formula(part, own + 1) for part in formula.parts)
        case Implication():
            return _IMPLIES, f"{print_formula(formula.left, _OR)} -> {print_formula(formula.right, _IMPLIES)}"
        case Equivalence():
            return _EQUIVALENT, f"{print_formula(formula.left, _IMPLIES)} <-> {print_formula(formula.right, _IMPLIES)}"
    raise TypeError(f"{formula!r} is no formula")


def _term(term: Term) -> tuple[int, str]:  # noqa: PLR0911 - one for each kind of node
    match term:
        case Number():
            return _number(term)
        case Name():
            return _ATOM, term.name
        case Negation():
            return _NEGATED, f"-{print_term(term.term, _NEGATED)}"
        case Sum():
            return _ADDED, _chain(term, _MULTIPLIED, " + ", " - ", term.minus)
        case Product():
            return _MULTIPLIED, _chain(term, _NEGATED, "*", "/", term.divided)
        case Power():
            return _RAISED, f"{print_term(term.base, _ATOM)}^{term.exponent}"
        case Call():
            return _ATOM, f"{term.function}({', '.join(map(print_term, term.arguments))})"
    raise TypeError(f"{term!r} is no term")


def _chain(term: Sum | Product, inner: int, one: str, other: str, marks: tuple[bool, ...]) -> str:
    text = print_term(term.terms[0], inner)
    for part, marked in zip(term.terms[1:], marks[1:], strict=True):
        text += (other if marked else one) + print_term(part, inner)
    return text


def _number(number: Number) -> tuple[int, str]:
    value = number.value
    if value.denominator == 1:
        return (_NEGATED if value < 0 else _ATOM), write_number(value)
    twos = fives = 0
    rest = value.denominator
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1 or value < 0:
        return _MULTIPLIED, write_number(value)
    places = max(twos, fives)
    digits = write_digits(value.numerator * 10**places // value.denominator).zfill(places + 1)
    return _ATOM, f"{digits[:-places]}.{digits[-places:]}"
