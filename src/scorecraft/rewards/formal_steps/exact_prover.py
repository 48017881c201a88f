"""`ExactProver`: claims that come down to one calculation, decided by doing it. It depends on nothing.

Ground claims are evaluated. So are claims whose hypotheses give every variable its value one after the other, by an
equation that is linear in it (``x = 12 + 7``, ``3*x + 4 = y``): there is then at most one case to look at, so the claim
is true or false in it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from math import inf

from scorecraft.catalog import implements
from scorecraft.rewards.formal_steps.claim import (
    Call,
    Claim,
    ClaimError,
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
    conjuncts,
    names_in_term,
)
from scorecraft.rewards.formal_steps.evaluate import Evaluator, TooLargeError, UndefinedError, Value
from scorecraft.rewards.formal_steps.numerals import write_number
from scorecraft.rewards.formal_steps.results import AnyClaim, CheckResult, CheckStatus, ProofResult
from scorecraft.rewards.formal_steps.sorts import Guard, Sorted, check_sorts

MOST_UNKNOWNS = 64


class NotAffineError(Exception):
    """The term is not of the form ``slope * x + intercept``, as far as can be seen."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a claim: whether it means something, and if so whether it is true."""

    status: CheckStatus
    reason: str
    holds: bool = False
    model: tuple[tuple[str, Value], ...] = ()


@implements("formal-steps")
class ExactProver:
    """Decides ground claims, and those with one possible case, in exact rational arithmetic.

    default_timeout_s: time for a claim where none is given; what takes longer is unsupported.
    """

    name = "exact"
    fragments = frozenset({"F0", "F1", "F2", "F3"})

    def __init__(self, default_timeout_s: float = 2.0) -> None:
        self.default_timeout_s = default_timeout_s
        self._last: tuple[Claim, Decision] | None = None

    def check(self, claim: AnyClaim, timeout_s: float | None = None) -> CheckResult:
        """Return whether the claim means something; "unsupported" where it takes more than one calculation."""
        decision = self._decide(claim, timeout_s)
        return CheckResult(decision.status, decision.reason)

    def prove(self, claim: AnyClaim, timeout_s: float | None = None, attempts: int = 1) -> ProofResult:
        """Return the verdict; "unsupported" where it takes more than one calculation."""
        del attempts
        began = time.perf_counter()
        decision = self._decide(claim, timeout_s)
        seconds = time.perf_counter() - began
        evidence = {"method": "exact evaluation"}
        if decision.status in ("vacuous", "ill-defined"):
            return ProofResult("error", {"reason": decision.reason}, None, seconds)
        if decision.status != "well-formed":
            return ProofResult("unsupported", {"reason": decision.reason}, None, seconds)
        if decision.holds:
            return ProofResult("proved", evidence, None, seconds)
        model = {name: write_number(value) for name, value in decision.model}
        return ProofResult("refuted", evidence, model, seconds)

    def _decide(self, claim: AnyClaim, timeout_s: float | None) -> Decision:
        if not isinstance(claim, Claim):
            return Decision("unsupported", "a statement in Lean")
        last = self._last
        if last is not None and last[0] is claim:
            return last[1]
        seconds = self.default_timeout_s if timeout_s is None else timeout_s
        decision = decide(claim, time.monotonic() + seconds)
        self._last = (claim, decision)
        return decision


def decide(claim: Claim, deadline: float = inf) -> Decision:
    """Return what one calculation says of a claim.

    Args:
        claim: ground, or with hypotheses that give every variable its value.
        deadline: when to give up, on the clock of ``time.monotonic``.
    """
    try:
        held = check_sorts(claim)
        return _decided(claim, held, deadline)
    except ClaimError as error:
        return Decision("unsupported" if error.fault == "unsupported" else "error", str(error))
    except (TooLargeError, MemoryError):
        return Decision("unsupported", "the numbers are too large, or there was no time left")


def _decided(claim: Claim, held: Sorted, deadline: float) -> Decision:
    if undefined := ground_fault(held.guards, deadline):
        return Decision("ill-defined", undefined.text)
    parts = [part for hypothesis in claim.hypotheses for part in conjuncts(hypothesis)]
    values = solve_one_by_one(parts, held.names, deadline) if held.names else {}
    unknown = held.names - values.keys()
    if unknown:
        return Decision("unsupported", f"no single value for {', '.join(sorted(unknown)[:8])}")
    evaluator = Evaluator(values, deadline)
    for name, sort in claim.variables:
        value = values.get(name, 0)
        if (sort <= Sort.INT and value.denominator != 1) or (sort == Sort.NAT and value < 0):
            return Decision(
                "vacuous", f"the hypotheses give {name} = {write_number(value)[:80]}, which has another sort"
            )
    truths = [_truth(evaluator, part) for part in parts]
    if False in truths:
        return Decision("vacuous", "the hypotheses contradict each other")
    for guard in held.guards:
        if _truth(evaluator, guard.condition) is not True:
            return Decision("ill-defined", guard.text)
    model = tuple(sorted(values.items()))
    return Decision("well-formed", "", evaluator.formula(claim.goal), model)


def ground_fault(guards: tuple[Guard, ...], deadline: float = inf) -> Guard | None:
    """Return the first guard without variables that does not hold."""
    evaluator = Evaluator({}, deadline)
    for guard in guards:
        try:
            if not evaluator.formula(guard.condition):
                return guard
        except UndefinedError:
            return guard
        except KeyError:
            continue
    return None


def _truth(evaluator: Evaluator, formula: Formula) -> bool | None:
    try:
        return evaluator.formula(formula)
    except UndefinedError:
        return None


def solve_one_by_one(parts: list[Formula], names: frozenset[str], deadline: float = inf) -> dict[str, Value]:
    """Return the values of the variables that equations give, each linear in the one that is still unknown.

    Args:
        parts: formulas that all hold.
        names: the variables.
        deadline: when to give up, on the clock of ``time.monotonic``.
    """
    values: dict[str, Value] = {}
    if len(names) > MOST_UNKNOWNS:
        return values
    waiting = [
        (part.terms[0], part.terms[1], names_in_term(part.terms[0]) | names_in_term(part.terms[1]))
        for part in parts
        if isinstance(part, Relation) and part.relations == ("=",)
    ]
    found = True
    while found and len(values) < len(names):
        found = False
        for left, right, used in waiting:
            unknown = used - values.keys()
            if len(unknown) != 1:
                continue
            (name,) = unknown
            try:
                reader = _Affine(name, Evaluator(values, deadline))
                slope, intercept = reader.difference(left, right)
            except (NotAffineError, UndefinedError):
                continue
            if slope != 0:
                values[name] = reader.evaluator.bounded(Fraction(-intercept, 1) / slope)
                found = True
    return values


class _Affine:
    """Reads terms as ``slope * x + intercept``."""

    def __init__(self, name: str, evaluator: Evaluator) -> None:
        self.name = name
        self.evaluator = evaluator

    def difference(self, left: Term, right: Term) -> tuple[Value, Value]:
        (a, b), (c, d) = self.term(left), self.term(right)
        return a - c, b - d

    def term(self, term: Term) -> tuple[Value, Value]:
        match term:
            case Number():
                return 0, term.value
            case Name():
                return (1, 0) if term.name == self.name else (0, self.evaluator.values[term.name])
            case Negation():
                slope, intercept = self.term(term.term)
                return -slope, -intercept
            case Sum():
                return self._sum(term)
            case Product():
                return self._product(term)
            case Power() | Call():
                if self.name in names_in_term(term):
                    raise NotAffineError
                return 0, self.evaluator.term(term)
        raise NotAffineError

    def _sum(self, term: Sum) -> tuple[Value, Value]:
        slope: Value = 0
        intercept: Value = 0
        for part, minus in zip(term.terms, term.minus, strict=True):
            a, b = self.term(part)
            slope, intercept = (slope - a, intercept - b) if minus else (slope + a, intercept + b)
            slope, intercept = self.evaluator.bounded(slope), self.evaluator.bounded(intercept)
        return slope, intercept

    def _product(self, term: Product) -> tuple[Value, Value]:
        slope: Value = 0
        intercept: Value = 1
        for part, divided in zip(term.terms, term.divided, strict=True):
            a, b = self.term(part)
            if divided:
                if a != 0 or b == 0:
                    raise NotAffineError
                b = Fraction(1) / b
            elif a != 0 and slope != 0:
                raise NotAffineError
            slope, intercept = slope * b + intercept * a, intercept * b
            slope, intercept = self.evaluator.bounded(slope), self.evaluator.bounded(intercept)
        return slope, intercept
