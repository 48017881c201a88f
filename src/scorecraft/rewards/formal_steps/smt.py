"""`to_smt`: claims as SMT-LIB 2, which z3, cvc5 and other solvers read."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

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
    terms_of,
)
from scorecraft.rewards.formal_steps.numerals import write_digits
from scorecraft.rewards.formal_steps.sorts import Sorted, check_sorts, common_sort


@implements("formal-steps")
def to_smt(claim: Claim) -> str:
    """Return an SMT-LIB script that is unsatisfiable exactly where the claim holds (for variables of sort Rat: if).

    The hypotheses are asserted, and the goal's opposite. Division by 0 is left to the solver: a claim that is
    well-formed has none.

    Raises `ClaimError` for claims that confuse sorts.
    """
    return "\n".join((*declarations(claim), *assertions(claim), "(check-sat)", ""))


def declarations(claim: Claim) -> list[str]:
    """Return the lines that declare a claim's variables."""
    return [f"(declare-const |{name}| {'Int' if sort <= Sort.INT else 'Real'})" for name, sort in claim.variables]


def assertions(claim: Claim, goal: Formula | None = None) -> list[str]:
    """Return the assertions: natural variables are not negative, the hypotheses, the opposite of ``goal``.

    Args:
        claim: the claim.
        goal: what to look for a counterexample of; None for the claim's own.
    """
    writer = _Writer(claim)
    facts = [f"(>= |{name}| 0)" for name, sort in claim.variables if sort == Sort.NAT]
    facts += [writer.formula(hypothesis) for hypothesis in claim.hypotheses]
    facts.append(f"(not {writer.formula(claim.goal if goal is None else goal)})")
    return [f"(assert {fact})" for fact in facts]


def guard_scripts(claim: Claim, held: Sorted) -> list[str]:
    """Return a script for each guard of a claim, unsatisfiable where the hypotheses entail it.

    A natural subtraction below 0 stands for any number at all in them, so that no hypothesis can vouch for itself.
    """
    scripts = []
    for guard in held.guards:
        writer = _Writer(claim, partial=True)
        facts = [f"(>= |{name}| 0)" for name, sort in claim.variables if sort == Sort.NAT]
        facts += [writer.formula(hypothesis) for hypothesis in claim.hypotheses]
        facts.append(f"(not {_Writer(claim).formula(guard.condition)})")
        lines = [*declarations(claim), *writer.unknowns, *(f"(assert {fact})" for fact in facts)]
        scripts.append("\n".join(lines))
    return scripts


def hypotheses_script(claim: Claim) -> str:
    """Return a script that is satisfiable where the hypotheses can all be true."""
    return "\n".join((*declarations(claim), *assertions(claim, Truth(False))))


def goal_script(claim: Claim) -> str:
    """Return the script of `to_smt` without its last command."""
    check_sorts(claim)
    return "\n".join((*declarations(claim), *assertions(claim)))


_REAL, _WHOLE, _EITHER = "real", "whole", "either"
_Written = tuple[str, str]


class _Writer:
    """Writes one script; ``partial`` gives natural subtractions below 0 unknown values."""

    def __init__(self, claim: Claim, partial: bool = False) -> None:
        self.variables = dict(claim.variables)
        self.numerals = claim.numerals
        self.partial = partial
        self.unknowns: list[str] = []
        self._natural = False
        self._lets = 0

    def formula(self, formula: Formula) -> str:
        match formula:
            case Truth():
                return "true" if formula.value else "false"
            case Not():
                return f"(not {self.formula(formula.part)})"
            case Junction():
                return f"({formula.kind} {' '.join(map(self.formula, formula.parts))})"
            case Implication():
                return f"(=> {self.formula(formula.left)} {self.formula(formula.right)})"
            case Equivalence():
                return f"(= {self.formula(formula.left)} {self.formula(formula.right)})"
        terms = (formula.term,) if isinstance(formula, Divides) else terms_of(formula)
        self._natural = self.partial and self._is_natural(terms[:2] if isinstance(formula, Congruence) else terms)
        return self._atom(formula)

    def _is_natural(self, terms: tuple[Term, ...]) -> bool:
        sort = common_sort(terms, self.variables)
        return sort == Sort.NAT or (sort == Sort.NUMERAL and self.numerals == Sort.NAT)

    def _apart(self, term: Term) -> _Written:
        """Write a term whose sort is its own affair."""
        outer, self._natural = self._natural, self.partial and self._is_natural((term,))
        written = self._term(term)
        self._natural = outer
        return written

    def _atom(self, formula: Formula) -> str:
        match formula:
            case Relation():
                sides = self._alike(formula.terms)
                pairs = list(zip(formula.relations, sides, sides[1:], strict=False))
                if len(pairs) > 2:  # a term that stands twice is named, not written twice
                    return self._named(sides, lambda names: _chain(formula.relations, names))
                return _chain(formula.relations, sides)
            case Divides() | Congruence():
                parts = [_whole(self._term(term)) for term in terms_of(formula)]
                if isinstance(formula, Divides):
                    return f"(= (mod {parts[1]} {parts[0]}) 0)"
                return f"(= (mod (- {parts[0]} {parts[1]}) {parts[2]}) 0)"
        raise TypeError(f"{formula!r} is no formula")

    def _named(self, texts: list[str], body: Callable[[list[str]], str]) -> str:
        names = [f"l{self._lets + place}" for place in range(len(texts))]
        self._lets += len(texts)
        bound = " ".join(f"({name} {text})" for name, text in zip(names, texts, strict=True))
        return f"(let ({bound}) {body(names)})"

    def _alike(self, terms: tuple[Term, ...]) -> list[str]:
        written = [self._term(term) for term in terms]
        if any(kind == _REAL for _, kind in written):
            return [_real(one) for one in written]
        return [text for text, _ in written]

    def _term(self, term: Term) -> _Written:  # noqa: PLR0911 - one for each kind of node
        match term:
            case Number():
                return _number(term.value)
            case Name():
                return f"|{term.name}|", _WHOLE if self.variables[term.name] <= Sort.INT else _REAL
            case Negation():
                text, kind = self._term(term.term)
                return f"(- {_real((text, kind)) if kind == _REAL else text})", _WHOLE if kind == _EITHER else kind
            case Sum():
                return self._sum(term)
            case Product():
                return self._product(term)
            case Power():
                return self._power(term)
            case Call():
                return self._call(term)
        raise TypeError(f"{term!r} is no term")

    def _sum(self, term: Sum) -> _Written:
        written = [self._term(part) for part in term.terms]
        real = any(kind == _REAL for _, kind in written)
        texts = [_real(one) if real else one[0] for one in written]
        total, run = "", [texts[0]]
        for text, minus in zip(texts[1:], term.minus[1:], strict=True):
            if not minus:
                run.append(text)
            elif self._natural:
                total = self._partial(_run("+", run), text)
                run = [total]
            else:
                run.append(f"(- {text})")
        return _run("+", run), _REAL if real else _WHOLE

    def _partial(self, left: str, right: str) -> str:
        unknown = f"u{len(self.unknowns)}"
        self.unknowns.append(f"(declare-const {unknown} Int)")
        return self._named([left, right], lambda n: f"(ite (>= {n[0]} {n[1]}) (- {n[0]} {n[1]}) {unknown})")

    def _product(self, term: Product) -> _Written:
        written = [self._term(part) for part in term.terms]
        real = any(term.divided) or any(kind == _REAL for _, kind in written)
        texts = [_real(one) if real else one[0] for one in written]
        run: list[str] = [texts[0]]
        for text, divided in zip(texts[1:], term.divided[1:], strict=True):
            if divided:
                run = [f"(/ {_run('*', run)} {text})"]
            else:
                run.append(text)
        return _run("*", run), _REAL if real else _WHOLE

    def _power(self, term: Power) -> _Written:
        if term.exponent == 0:
            return "1", _EITHER
        text, kind = self._term(term.base)
        if term.exponent == 1:
            return text, kind
        text = _real((text, kind)) if kind == _REAL else text
        powered = self._named([text], lambda names: _run("*", names * term.exponent))
        return powered, _WHOLE if kind == _EITHER else kind

    def _call(self, term: Call) -> _Written:
        if term.function == "floor":
            return f"(to_int {_real(self._apart(term.arguments[0]))})", _WHOLE
        if term.function in ("div", "mod"):
            value, divisor = (_whole(self._apart(argument)) for argument in term.arguments)
            return f"({term.function} {value} {divisor})", _WHOLE
        written = [self._term(argument) for argument in term.arguments]
        real = any(kind == _REAL for _, kind in written)
        texts = [_real(one) if real else one[0] for one in written]
        kind = _REAL if real else _WHOLE
        if term.function == "abs":
            return self._named(texts, lambda n: f"(ite (>= {n[0]} {'0.0' if real else '0'}) {n[0]} (- {n[0]}))"), kind
        relation, best = ("<=" if term.function == "min" else ">="), texts[0]
        for text in texts[1:]:
            best = self._named([best, text], lambda n: f"(ite ({relation} {n[0]} {n[1]}) {n[0]} {n[1]})")
        return best, kind


def _chain(relations: tuple[str, ...], sides: list[str]) -> str:
    parts = [
        f"(not (= {left} {right}))" if relation == "!=" else f"({relation} {left} {right})"
        for relation, left, right in zip(relations, sides, sides[1:], strict=False)
    ]
    return _run("and", parts)


def _run(operation: str, texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"({operation} {' '.join(texts)})"


def _number(value: int | Fraction) -> _Written:
    digits = write_digits(abs(value.numerator))
    if value.denominator == 1:
        return (f"(- {digits})" if value < 0 else digits), _EITHER
    text = f"(/ {digits}.0 {write_digits(value.denominator)}.0)"
    return (f"(- {text})" if value < 0 else text), _REAL


def _real(written: _Written) -> str:
    """Return a term as a real one; a literal is written with a point."""
    text, kind = written
    if kind == _REAL:
        return text
    if kind == _EITHER:
        return f"(- {text[3:-1]}.0)" if text.startswith("(") else f"{text}.0"
    return f"(to_real {text})"


def _whole(written: _Written) -> str:
    return written[0]
