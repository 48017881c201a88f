"""`EquationFormalizer`: claims from the arithmetic that is written in a step, by rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from scorecraft.catalog import implements
from scorecraft.rewards.formal_steps.claim import (
    Call,
    Claim,
    Congruence,
    Formula,
    Junction,
    Name,
    Number,
    Relation,
    Sort,
    Sum,
    Term,
    conjuncts,
    names_in,
    names_in_term,
)
from scorecraft.rewards.formal_steps.evaluate import Evaluator, TooLargeError, UndefinedError
from scorecraft.rewards.formal_steps.formalizer import Formalized
from scorecraft.rewards.formal_steps.normal_form import formula_form
from scorecraft.rewards.formal_steps.records import NoClaim, StepRecord, StepState
from scorecraft.rewards.formal_steps.written_relations import introduced_names, written_relations

MOST_KNOWN = 64
# Points at which an equation that holds at all of them is taken for an identity.
_POINTS = (Fraction(2, 3), Fraction(-7, 5), Fraction(11), Fraction(13, 4))


@dataclass(frozen=True, slots=True)
class ReadStep:
    """The relations of a step: what it introduces, and what it asserts."""

    introduced: tuple[Formula, ...]
    asserted: tuple[Formula, ...]


@implements("formal-steps")
class EquationFormalizer:
    """Reads the relations of a step (`written_relations`) and claims them.

    Every relation without variables is claimed as it stands. Of those with variables the last one is claimed, under
    the hypotheses that share a variable with it: relations of the question, what earlier steps introduced, and what
    they proved. An equation that brings in a variable nobody has spoken of (``x = 12 + 7``, "let v = 60/2") defines it
    and needs no proof, unless it is an identity. A step without a relation needs no claim.

    rounding: whether ``10/3 = 3.33`` is read as "to two places", not as an equation that is false.
    """

    deterministic = True

    def __init__(self, rounding: bool = False) -> None:
        self.rounding = rounding
        # What is known after so many steps of the last question, the last of which is given.
        self._last: tuple[str, int, StepRecord, frozenset[str], list[Formula]] | None = None

    def formalize(self, question: str, previous: Sequence[StepRecord], step: str) -> Formalized:
        """Return the claim of a step, or that it needs none."""
        names, known = self._context(question, previous)
        read = self._read(step, names | introduced_names(step), known)
        if not read.asserted:
            defined = "it only introduces variables" if read.introduced else "no relation in it can be read"
            return NoClaim(defined)
        goal = read.asserted[0] if len(read.asserted) == 1 else Junction("and", read.asserted)
        hypotheses = _sharing([*known, *read.introduced], names_in(goal))
        used = sorted(names_in(goal).union(*map(names_in, hypotheses)))
        return Claim(tuple((name, Sort.REAL) for name in used), tuple(hypotheses), goal)

    def _context(self, question: str, previous: Sequence[StepRecord]) -> tuple[frozenset[str], list[Formula]]:
        """Return the words that are variables, and what is known before a step."""
        last, done = self._last, 0
        if last is not None and last[0] == question and last[1] <= len(previous) and previous[last[1] - 1] is last[2]:
            _, done, _, names, known = last
        else:
            names = introduced_names(question)
            known = [formula for formula in written_relations(question, names) if names_in(formula)]
        for record in previous[done:]:
            names |= introduced_names(record.step)
            read = self._read(record.step, names, known)
            proved = read.asserted if record.state is StepState.SUCCESS_OF_PROOF else ()
            known = [*known, *read.introduced, *(formula for formula in proved if names_in(formula))][-MOST_KNOWN:]
        if previous:
            self._last = (question, len(previous), previous[-1], names, known)
        return names, known

    def _read(self, step: str, names: frozenset[str], known: Sequence[Formula]) -> ReadStep:
        spoken_of = set[str]().union(*map(names_in, known))
        introduced: list[Formula] = []
        ground: list[Formula] = []
        symbolic: list[Formula] = []
        for formula in written_relations(step, names):
            if not names_in(formula):
                ground.append(self._rounded(formula))
                continue
            new, rest = _introduction(formula, spoken_of)
            introduced += new
            spoken_of.update(*map(names_in, new))
            for part in rest:
                (symbolic if names_in(part) else ground).append(part if names_in(part) else self._rounded(part))
        seen = {formula_form(formula) for formula in introduced}
        symbolic = [formula for formula in symbolic if formula_form(formula) not in seen]
        return ReadStep(tuple(introduced), (*ground, *symbolic[-1:]))

    def _rounded(self, formula: Formula) -> Formula:
        if not self.rounding or not isinstance(formula, Relation):
            return formula
        parts = [_to_places(part) for part in conjuncts(formula) if isinstance(part, Relation)]
        return parts[0] if len(parts) == 1 else Junction("and", tuple(parts))


def _introduction(formula: Formula, spoken_of: set[str]) -> tuple[list[Formula], list[Formula]]:
    """Return what a relation introduces, and what of it is then asserted."""
    if isinstance(formula, Congruence) or names_in(formula) <= spoken_of or _is_identity(formula):
        return [], [formula]
    assert isinstance(formula, Relation)
    pairs = list(conjuncts(formula))
    first = formula.terms[0]
    if len(pairs) > 1 and isinstance(first, Name) and first.name not in spoken_of:
        rest = formula.terms[1:]
        if first.name not in {name for term in rest for name in names_in_term(term)}:
            # x = 12 + 7 = 19: the first equation says what x is, the others are calculation.
            return pairs[:1], [Relation(rest, formula.relations[1:])]
    return [formula], []


def _is_identity(formula: Formula) -> bool:
    names = sorted(names_in(formula))
    try:
        return all(
            Evaluator({name: point + place for place, name in enumerate(names)}).formula(formula) for point in _POINTS
        )
    except (UndefinedError, TooLargeError):
        return False


def _sharing(formulas: Sequence[Formula], names: set[str]) -> list[Formula]:
    """Return the formulas that are connected with the names by the variables they share, each once."""
    found: dict[object, Formula] = {}
    reached = set(names)
    grown = True
    while grown:
        grown = False
        for formula in formulas:
            form = formula_form(formula)
            if form not in found and names_in(formula) & reached:
                found[form] = formula
                reached |= names_in(formula)
                grown = True
    return [formula for formula in formulas if found.get(formula_form(formula)) is formula]


def _to_places(formula: Relation) -> Formula:
    """Return an equation with a decimal on one side as "equal to so many places"."""
    left, right = formula.terms
    if formula.relations != ("=",):
        return formula
    if isinstance(left, Number) and not isinstance(right, Number):
        left, right = right, left
    if not isinstance(right, Number) or isinstance(left, Number):
        return formula
    places = _places(right.value)
    if places == 0:
        return formula
    gap: Term = Call("abs", (Sum((left, right), (False, True)),))
    return Relation((gap, Number(Fraction(1, 2 * 10**places))), ("<=",))


def _places(value: int | Fraction) -> int:
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
        if places > 400:
            return 0
    return places
