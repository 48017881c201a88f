"""Claims that assert nothing: a goal that is ``true``, has equal sides, or repeats a hypothesis."""

from __future__ import annotations

from typing import Any

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
    Sum,
    Term,
    Truth,
    conjuncts,
)

_TURNED = {">": "<", ">=": "<="}
_SYMMETRIC = ("=", "!=")
Form = tuple[Any, ...]


def contentless(claim: Claim) -> bool:
    """Return whether every part of the goal is ``true``, has equal sides as written, or is one of the hypotheses.

    Order does not matter: ``b = a`` repeats ``a = b``, and ``y > x`` repeats ``x < y``. Nothing is computed, so
    ``2 + 3 = 5`` asserts something.
    """
    known = {formula_form(part) for hypothesis in claim.hypotheses for part in conjuncts(hypothesis)}
    known |= {formula_form(hypothesis) for hypothesis in claim.hypotheses}
    return all(_says_nothing(part) or formula_form(part) in known for part in conjuncts(claim.goal))


def _says_nothing(formula: Formula) -> bool:
    match formula:
        case Truth():
            return formula.value
        case Relation():
            left, right = (term_form(term) for term in formula.terms)
            return formula.relations[0] in ("=", "<=", ">=") and left == right
        case Congruence():
            return term_form(formula.left) == term_form(formula.right)
    return False


def formula_form(formula: Formula) -> Form:  # noqa: PLR0911 - one for each kind of node
    """Return a formula in a form that is the same for every order in which it can be written."""
    match formula:
        case Truth():
            return ("truth", formula.value)
        case Relation():
            relation, *others = formula.relations
            if others:
                return ("and", _unordered([formula_form(pair) for pair in conjuncts(formula)]))
            sides = [term_form(term) for term in formula.terms]
            if relation in _TURNED:
                return (_TURNED[relation], (sides[1], sides[0]))
            return (relation, _unordered(sides) if relation in _SYMMETRIC else tuple(sides))
        case Divides():
            return ("|", term_form(formula.divisor), term_form(formula.term))
        case Congruence():
            sides = [term_form(formula.left), term_form(formula.right)]
            return ("==", _unordered(sides), term_form(formula.modulus))
        case Junction():
            parts = conjuncts(formula) if formula.kind == "and" else formula.parts
            return (formula.kind, _unordered([formula_form(part) for part in parts]))
        case Not():
            return ("not", formula_form(formula.part))
        case Implication():
            return ("->", formula_form(formula.left), formula_form(formula.right))
        case Equivalence():
            return ("<->", _unordered([formula_form(formula.left), formula_form(formula.right)]))
    raise TypeError(f"{formula!r} is no formula")


def term_form(term: Term) -> Form:  # noqa: PLR0911 - one for each kind of node
    """Return a term in a form that is the same for every order of its summands and factors."""
    match term:
        case Number():
            return ("number", term.value)
        case Name():
            return ("name", term.name)
        case Negation():
            return ("-", term_form(term.term))
        case Sum():
            return ("sum", _unordered([(term_form(t), m) for t, m in zip(term.terms, term.minus, strict=True)]))
        case Product():
            return ("product", _unordered([(term_form(t), d) for t, d in zip(term.terms, term.divided, strict=True)]))
        case Power():
            return ("power", term_form(term.base), term.exponent)
        case Call():
            arguments = [term_form(argument) for argument in term.arguments]
            return (term.function, _unordered(arguments) if term.function in ("min", "max") else tuple(arguments))
    raise TypeError(f"{term!r} is no term")


def _unordered(forms: list[Form]) -> Form:
    return tuple(sorted(forms, key=repr)) if len(forms) > 1 else tuple(forms)
