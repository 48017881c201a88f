"""`to_lean`: claims as Lean 4 theorems over Mathlib, with ``sorry`` in the place of the proof.

Every leaf has its type, the widest of its atom, so that Lean's subtraction of naturals and its whole division never
come into play unseen. A claim that is well-formed means the same in both languages.
"""

from __future__ import annotations

import re

from scorecraft.catalog import implements
from scorecraft.rewards.formal_steps.claim import (
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
    Sort,
    Sum,
    Term,
    Truth,
    subterms_of,
)
from scorecraft.rewards.formal_steps.numerals import write_digits
from scorecraft.rewards.formal_steps.sorts import check_sorts, common_sort

_WHOLE, _RATIONAL, _REAL = "\N{DOUBLE-STRUCK CAPITAL Z}", "\N{DOUBLE-STRUCK CAPITAL Q}", "\N{DOUBLE-STRUCK CAPITAL R}"
_NATURAL, _DIVIDES, _OR = "\N{DOUBLE-STRUCK CAPITAL N}", "\N{DIVIDES}", " \N{LOGICAL OR} "
_TYPES = {Sort.NUMERAL: _WHOLE, Sort.NAT: _NATURAL, Sort.INT: _WHOLE, Sort.RAT: _RATIONAL, Sort.REAL: _REAL}
_SIGNS = {"=": "=", "!=": "≠", "<": "<", "<=": "≤", ">": ">", ">=": "≥"}
_PLAIN = re.compile(r"[a-zA-Z][0-9]*")


@implements("formal-steps")
def to_lean(claim: Claim, name: str = "step") -> str:
    """Return a claim as a Lean 4 theorem that ends in ``by sorry``.

    Args:
        claim: the claim.
        name: the theorem's name.

    Raises `ClaimError` for claims that confuse sorts.

    Source: Safe, 2025, arXiv 2506.04592 (formal statements with one ``sorry``); the translation is this project's.
    """
    check_sorts(claim)
    writer = _Writer(claim)
    binders = [f"({_name(variable)} : {_TYPES[sort]})" for variable, sort in claim.variables]
    prefix = "h"
    while any(re.fullmatch(rf"{prefix}[0-9]+", variable) for variable, _ in claim.variables):
        prefix += "h"
    binders += [f"({prefix}{place} : {writer.formula(formula)})" for place, formula in enumerate(claim.hypotheses)]
    return f"theorem {' '.join([name, *binders])} : {writer.formula(claim.goal)} := by sorry"


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f"«{name}»"


class _Writer:
    def __init__(self, claim: Claim) -> None:
        self.variables = dict(claim.variables)
        self.numerals = claim.numerals

    def formula(self, formula: Formula) -> str:  # noqa: PLR0911 - one for each kind of node
        match formula:
            case Truth():
                return "True" if formula.value else "False"
            case Not():
                return f"(¬ {self.formula(formula.part)})"
            case Junction():
                return self._junction(formula)
            case Implication():
                return f"({self.formula(formula.left)} → {self.formula(formula.right)})"
            case Equivalence():
                return f"({self.formula(formula.left)} ↔ {self.formula(formula.right)})"
            case Relation():
                return self._relation(formula)
            case Divides():
                return f"({self.term(formula.divisor, Sort.INT)} {_DIVIDES} {self.term(formula.term, Sort.INT)})"
            case Congruence():
                sides = [self.term(term, Sort.INT) for term in (formula.left, formula.right, formula.modulus)]
                return f"({sides[0]} ≡ {sides[1]} [ZMOD {sides[2]}])"
        raise TypeError(f"{formula!r} is no formula")

    def _junction(self, formula: Junction) -> str:
        sign = " ∧ " if formula.kind == "and" else _OR
        return f"({sign.join(map(self.formula, formula.parts))})"

    def _relation(self, formula: Relation) -> str:
        sort = common_sort(formula.terms, self.variables)
        if sort == Sort.NUMERAL:
            sort = self.numerals
        if sort == Sort.NAT and any(map(_signed, formula.terms)):
            sort = Sort.INT
        sides = [self.term(term, sort) for term in formula.terms]
        pairs = zip(sides, formula.relations, sides[1:], strict=False)
        return f"({' ∧ '.join(f'{left} {_SIGNS[relation]} {right}' for left, relation, right in pairs)})"

    def term(self, term: Term, sort: Sort) -> str:  # noqa: PLR0911 - one for each kind of node
        """Return a term whose leaves all have the type of ``sort``."""
        match term:
            case Number():
                return _number(term, sort)
            case Name():
                own = self.variables[term.name]
                return _name(term.name) if own == sort else f"({_name(term.name)} : {_TYPES[sort]})"
            case Negation():
                return f"(-{self.term(term.term, sort)})"
            case Sum():
                return self._chain(term, term.minus, " + ", " - ", sort)
            case Product():
                return self._chain(term, term.divided, " * ", " / ", sort)
            case Power():
                return f"({self.term(term.base, sort)} ^ {term.exponent})"
            case Call():
                return self._call(term, sort)
        raise TypeError(f"{term!r} is no term")

    def _chain(self, term: Sum | Product, marks: tuple[bool, ...], one: str, other: str, sort: Sort) -> str:
        text = self.term(term.terms[0], sort)
        for part, marked in zip(term.terms[1:], marks[1:], strict=True):
            text += (other if marked else one) + self.term(part, sort)
        return f"({text})"

    def _call(self, term: Call, sort: Sort) -> str:
        first = term.arguments[0]
        if term.function == "floor":
            inner = max(common_sort((first,), self.variables), Sort.RAT)
            text, own = f"⌊{self.term(first, inner)}⌋", Sort.INT
        elif term.function in ("div", "mod"):
            sign = "/" if term.function == "div" else "%"
            whole = [self.term(argument, Sort.INT) for argument in term.arguments]
            text, own = f"({whole[0]} {sign} {whole[1]})", Sort.INT
        elif term.function == "abs":
            text = self.term(first, sort)
            return text if sort == Sort.NAT else f"|{text}|"
        else:
            text = self.term(first, sort)
            for argument in term.arguments[1:]:
                text = f"({term.function} {text} {self.term(argument, sort)})"
            return text
        return text if own == sort else f"({text} : {_TYPES[sort]})"


def _number(number: Number, sort: Sort) -> str:
    value = number.value
    text = f"({write_digits(abs(value.numerator))} : {_TYPES[sort]})"
    if value.denominator != 1:
        text = f"({text} / {write_digits(value.denominator)})"
    return f"(-{text})" if value < 0 else text


def _signed(term: Term) -> bool:
    whole = isinstance(term, Call) and term.function in ("floor", "div", "mod")
    return isinstance(term, Negation) or whole or any(map(_signed, subterms_of(term)))
