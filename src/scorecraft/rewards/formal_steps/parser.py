"""Reads claims; every fault is named with its position. Nothing is ever evaluated as code.

One precedence climber for terms and formulas alike, with two frames a level, and a limit on nesting, length and digits,
so that hostile text costs little and overflows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from scorecraft.catalog import implements
from scorecraft.rewards.formal_steps.claim import (
    FUNCTIONS,
    KEYWORDS,
    MOST_CHARACTERS,
    MOST_DEPTH,
    MOST_DIGITS,
    MOST_EXPONENT,
    SORTS,
    Call,
    Claim,
    ClaimError,
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
)
from scorecraft.rewards.formal_steps.numerals import read_numeral
from scorecraft.rewards.formal_steps.sorts import check_sorts

_TOKEN = re.compile(
    r"[ \t\r\n]*+(?:([0-9]++(?:\.[0-9]++)?)(?![A-Za-z_0-9.])|([A-Za-z_][A-Za-z_0-9]*+)"
    r"|(<->|->|<=|>=|!=|==|[-+*/^()=<>|,;:]))"
)
_RELATIONS = frozenset(("=", "!=", "<", "<=", ">", ">="))
_EQUIVALENT, _IMPLIES, _OR, _AND, _NOT, _RELATED, _ADDED, _MULTIPLIED, _NEGATED, _RAISED = range(1, 11)
_LEVEL = {
    "<->": _EQUIVALENT, "->": _IMPLIES, "or": _OR, "and": _AND, "+": _ADDED, "-": _ADDED, "*": _MULTIPLIED,
    "/": _MULTIPLIED, "^": _RAISED, "|": _RELATED, "==": _RELATED, **dict.fromkeys(_RELATIONS, _RELATED),
}  # fmt: skip
_END = ""


@implements("formal-steps")
def parse_claim(text: str, numerals: Sort = Sort.INT) -> Claim:
    """Return the claim that a text spells.

    Args:
        text: such as ``vars x : Real; assume 2*x = 6; show x = 3``.
        numerals: `Sort.INT` or `Sort.NAT`, the sort of whole numbers that no variable gives one.

    Raises `ClaimError` for text that is no claim (with its position), that confuses sorts, or that is too large.

    Source: the grammar is this project's; the method is of Safe, 2025, arXiv 2506.04592.
    """
    parser = _Parser(text, None)
    variables = parser.declarations() if parser.take("vars") else ()
    parser.names = {name for name, _ in variables}
    hypotheses: list[Formula] = []
    if parser.take("assume"):
        hypotheses.append(parser.formula())
        while parser.take(","):
            hypotheses.append(parser.formula())
        parser.expect(";")
    parser.expect("show")
    goal = parser.formula()
    parser.take(";")
    parser.finish()
    claim = Claim(variables, tuple(hypotheses), goal, numerals)
    check_sorts(claim)
    return claim


def parse_term(text: str, names: Collection[str] | None = None) -> Term:
    """Return the term that a text spells; ``names`` are the variables it may have, None for any.

    Raises `ClaimError`.
    """
    parser = _Parser(text, names)
    term = parser.term(0)
    parser.finish()
    return term


def parse_formula(text: str, names: Collection[str] | None = None) -> Formula:
    """Return the formula that a text spells; ``names`` are the variables it may have, None for any.

    Raises `ClaimError`.
    """
    parser = _Parser(text, names)
    formula = parser.formula()
    parser.finish()
    return formula


class _Parser:
    def __init__(self, text: str, names: Collection[str] | None) -> None:
        if len(text) > MOST_CHARACTERS:
            raise ClaimError("unsupported", f"a claim of {len(text)} characters; expected at most {MOST_CHARACTERS}")
        self.names = names
        self.depth = 0
        self.place = 0
        self.tokens: list[str] = []
        self.starts: list[int] = []
        self._split(text)
        self.token = self.tokens[0]

    def _split(self, text: str) -> None:
        end, match = 0, _TOKEN.match
        tokens, starts = self.tokens, self.starts
        while found := match(text, end):
            end = found.end()
            token = found[found.lastindex or 0]
            tokens.append(token)
            starts.append(end - len(token))
        rest = text[end : end + 400].lstrip(" \t\r\n") or text[end:].strip(" \t\r\n")
        if rest:
            at = text.index(rest[0], end)
            said = (
                "a numeral that runs into a word or a second point" if rest[0].isdigit() else f"character {rest[0]!r}"
            )
            raise ClaimError("parse", f"{said} has no place in a claim", at)
        tokens.append(_END)
        starts.append(len(text))

    @property
    def at(self) -> int:
        return self.starts[self.place]

    def advance(self) -> None:
        self.place += 1
        self.token = self.tokens[self.place]

    def take(self, token: str) -> bool:
        if self.token != token:
            return False
        self.advance()
        return True

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise ClaimError("parse", f"expected '{token}', found {self._found()}", self.at)

    def finish(self) -> None:
        if self.token != _END:
            raise ClaimError("parse", f"expected the end, found {self._found()}", self.at)

    def _found(self) -> str:
        return f"'{self.token[:40]}'" if self.token else "the end"

    def declarations(self) -> tuple[tuple[str, Sort], ...]:
        found: dict[str, Sort] = {}
        while True:
            names: list[str] = []
            while self.token not in (":", _END):
                name, at = self.token, self.at
                if not name.isidentifier() or name in KEYWORDS:
                    raise ClaimError("parse", f"expected the name of a variable, found {self._found()}", at)
                if name in found or name in names:
                    raise ClaimError("parse", f"variable '{name}' is declared twice", at)
                names.append(name)
                self.advance()
            if not names:
                raise ClaimError("parse", f"expected the name of a variable, found {self._found()}", self.at)
            self.expect(":")
            if self.token not in SORTS:
                raise ClaimError("parse", f"expected a sort ({', '.join(SORTS)}), found {self._found()}", self.at)
            found.update(dict.fromkeys(names, SORTS[self.token]))
            self.advance()
            if self.take(";"):
                return tuple(found.items())
            self.expect(",")

    def formula(self) -> Formula:
        at = self.at
        found = self._expression(0)
        if not isinstance(found, Formula):
            raise ClaimError("parse", "expected a statement, found a number; what is it equal to?", at)
        return found

    def term(self, level: int) -> Term:
        at = self.at
        found = self._expression(level)
        if not isinstance(found, Term):
            raise ClaimError("parse", "expected a number, found a statement", at)
        return found

    def _expression(self, level: int) -> Term | Formula:
        """Read what binds at least as strongly as ``level``."""
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ClaimError("unsupported", f"nested more than {MOST_DEPTH} deep", self.at)
        left = self._operand()
        while True:
            strength = _LEVEL.get(self.token, 0)
            if strength == 0 or strength < level:
                self.depth -= 1
                return left
            left = _READ[strength](self, left)

    def _operand(self) -> Term | Formula:  # noqa: PLR0911 - one for each kind of node
        token, at = self.token, self.at
        if token == _END:
            raise ClaimError("parse", "it ends where a number or a statement was expected", at)
        self.advance()
        if token[0].isdigit():
            if len(token) > MOST_DIGITS:
                raise ClaimError("unsupported", f"a numeral of more than {MOST_DIGITS} digits", at)
            return Number(read_numeral(token), at)
        if token == "(":
            inner = self._expression(0)
            self.expect(")")
            return inner
        if token == "-":
            return Negation(self.term(_NEGATED), at)
        if token == "not":
            return Not(self._statement(self._expression(_NOT), at), at)
        if token in ("true", "false"):
            return Truth(token == "true", at)
        if token in FUNCTIONS and self.token == "(":
            return self._call(token, at)
        if token in KEYWORDS or not token.isidentifier():
            raise ClaimError("parse", f"expected a number or a statement, found '{token}'", at)
        if self.token == "(":
            raise ClaimError("unsupported", f"'{token}' is none of the functions {', '.join(FUNCTIONS)}", at)
        if self.names is not None and token not in self.names:
            raise ClaimError("parse", f"variable '{token[:40]}' is not declared", at)
        return Name(token, at)

    def _call(self, function: str, at: int) -> Term:
        self.advance()
        arguments = [self.term(_ADDED)]
        while self.take(","):
            arguments.append(self.term(_ADDED))
        self.expect(")")
        fits = len(arguments) == 1 if function in ("abs", "floor") else len(arguments) >= 2
        if not fits or (function in ("div", "mod") and len(arguments) != 2):
            raise ClaimError("parse", f"{function} does not take {len(arguments)} arguments", at)
        return Call(function, tuple(arguments), at)

    def _number(self, found: Term | Formula, at: int) -> Term:
        if not isinstance(found, Term):
            raise ClaimError("parse", "a statement stands where a number was expected", at)
        return found

    def _statement(self, found: Term | Formula, at: int) -> Formula:
        if not isinstance(found, Formula):
            raise ClaimError("parse", "a number stands where a statement was expected", at)
        return found

    def sum(self, left: Term | Formula) -> Term:
        at, terms, minus = self.at, [self._number(left, self.at)], [False]
        while self.token in ("+", "-"):
            minus.append(self.token == "-")
            self.advance()
            terms.append(self.term(_MULTIPLIED))
        return Sum(tuple(terms), tuple(minus), at)

    def product(self, left: Term | Formula) -> Term:
        at, terms, divided = self.at, [self._number(left, self.at)], [False]
        while self.token in ("*", "/"):
            divided.append(self.token == "/")
            self.advance()
            terms.append(self.term(_NEGATED))
        return Product(tuple(terms), tuple(divided), at)

    def power(self, left: Term | Formula) -> Term:
        at = self.at
        self.advance()
        exponent = self._operand()
        if self.token == "^":
            raise ClaimError("parse", "a power of a power needs parentheses", self.at)
        natural = isinstance(exponent, Number) and exponent.value.denominator == 1
        if not natural or not isinstance(exponent, Number) or exponent.value > MOST_EXPONENT:
            raise ClaimError("unsupported", f"expected an exponent that is a numeral up to {MOST_EXPONENT}", at)
        return Power(self._number(left, at), int(exponent.value), at)

    def related(self, left: Term | Formula) -> Formula:
        at, first = self.at, self._number(left, self.at)
        if self.take("|"):
            return Divides(first, self.term(_ADDED), at)
        if self.take("=="):
            right = self.term(_ADDED)
            self.expect("mod")
            return Congruence(first, right, self.term(_NEGATED), at)
        terms, relations = [first], []
        while self.token in _RELATIONS:
            relations.append(self.token)
            self.advance()
            terms.append(self.term(_ADDED))
        return Relation(tuple(terms), tuple(relations), at)

    def junction(self, left: Term | Formula) -> Formula:
        at, word, parts = self.at, self.token, [self._statement(left, self.at)]
        above = _NOT if word == "and" else _AND
        while self.take(word):
            parts.append(self._statement(self._expression(above), at))
        return Junction("and" if word == "and" else "or", tuple(parts), at)

    def implication(self, left: Term | Formula) -> Formula:
        at, first = self.at, self._statement(left, self.at)
        self.advance()
        return Implication(first, self._statement(self._expression(_IMPLIES), at), at)

    def equivalence(self, left: Term | Formula) -> Formula:
        at, first = self.at, self._statement(left, self.at)
        self.advance()
        right = self._statement(self._expression(_IMPLIES), at)
        if self.token == "<->":
            raise ClaimError("parse", "two '<->' in a row need parentheses", self.at)
        return Equivalence(first, right, at)


_READ = {
    _EQUIVALENT: _Parser.equivalence, _IMPLIES: _Parser.implication, _OR: _Parser.junction, _AND: _Parser.junction,
    _RELATED: _Parser.related, _ADDED: _Parser.sum, _MULTIPLIED: _Parser.product, _RAISED: _Parser.power,
}  # fmt: skip
