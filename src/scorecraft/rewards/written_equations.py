"""Equations in running text, such as ``3 + 4 = 7``, read and verified exactly; nothing is ``eval``-ed.

An equation is two or more sides on one line with ``=`` between them. A side is made of numbers (``1,000``, ``2.5``,
``50%``), the signs ``+ - * / ^`` in their typographic and LaTeX forms too, and parentheses. Text around it ends it: of
``3 apples + 4 apples = 7`` nothing is read, and neither is algebra such as ``3x + 4 = 7``.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from fractions import Fraction

# Lengths are bounded so that odd model output can neither overflow nor slow down the reader.
MOST_CHARACTERS = 400  # of a side
MOST_BITS = 4096
MOST_EXPONENT = 64

_FORMS = {
    "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{MULTIPLICATION SIGN}": "*", "·": "*", "÷": "/",
    "\\times": "*", "\\cdot": "*", "\\div": "/", "**": "^",
    "\\left": "", "\\right": "", "\\$": "", "$": "", "\\%": "%", "\\,": "", "{": "(", "}": ")",
}  # fmt: skip
_FORM = re.compile("|".join(map(re.escape, sorted(_FORMS, key=len, reverse=True))))
_BOXED = re.compile(r"\\boxed\{([^{}]{1,80})\}")
_FRACTION = re.compile(r"\\d?frac\{([^{}]{1,40})\}\{([^{}]{1,40})\}")

_NUMBER = r"-?(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d{1,36}(?!\d))(?:\.\d{1,36}(?!\d))?"
_ITEM = rf"(?:\([ \t]*)*+{_NUMBER}%?(?:[ \t]*\))*+"
_EXPRESSION = rf"{_ITEM}(?:[ \t]*[-+*/^][ \t]*{_ITEM})*+"
_AT_END = re.compile(rf"(?<![\d.,^_]){_EXPRESSION}(?=[ \t]*$)")
_AT_START = re.compile(rf"[ \t]*({_EXPRESSION})")
_TOKEN = re.compile(r"[ \t]*([0-9][0-9,]*(?:\.[0-9]+)?|[-+*/^%()])")


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an equation: its value (None for a division by zero) and the numbers it is made of.

    plain: whether it is a number alone, with no operation.
    """

    value: Fraction | None
    operands: tuple[Fraction, ...]
    plain: bool


@dataclass(frozen=True, slots=True)
class WrittenEquation:
    """An equation as it was written, at least one side of it an operation."""

    sides: tuple[Side, ...]

    @property
    def true(self) -> bool:
        """True where all sides are exactly equal."""
        first = self.sides[0].value
        return first is not None and all(side.value == first for side in self.sides)

    @property
    def divides_by_zero(self) -> bool:
        """True where a side has no value."""
        return any(side.value is None for side in self.sides)

    @property
    def value(self) -> Fraction | None:
        """The value of the last side."""
        return self.sides[-1].value

    def follows_from(self, known: Set[int | Fraction]) -> bool:
        """Return whether one of the operations is on known numbers alone; the other sides are ways to write it.

        Args:
            known: numbers that need no further reason.
        """
        return any(all(number in known for number in side.operands) for side in self.sides if not side.plain)


def written_equations(text: str) -> tuple[WrittenEquation, ...]:
    """Return every equation of a text, in order.

    Args:
        text: such as a solution.
    """
    return tuple(equation for line in _plain(text).split("\n") if "=" in line for equation in _of_line(line))


def written_numbers(text: str) -> tuple[Fraction, ...]:
    """Return every number of a text, in order; ``20%`` gives 20 and 1/5.

    A minus belongs to the number it touches unless it stands right after another number or a letter.

    Args:
        text: such as a problem.
    """
    found = []
    for match in re.finditer(rf"(?:(?<=[\w)])-)?({_NUMBER})(%?)", _plain(text)):
        found.append(_fraction(match[1]))
        if match[2]:
            found.append(_fraction(match[1]) / 100)
    return tuple(found)


def _plain(text: str) -> str:
    text = _FRACTION.sub(r"((\1)/(\2))", _BOXED.sub(r" \1 ", text))
    return _FORM.sub(lambda match: _FORMS[match[0]], text)


def _of_line(line: str) -> list[WrittenEquation]:
    """Return the equations of a line; text between two ``=`` may end one equation and begin the next."""
    pieces = line.split("=")
    found: list[WrittenEquation] = []
    sides = _listed(_opening(pieces[0]))
    for place, piece in enumerate(pieces[1:], start=1):
        whole = _whole(piece) if place < len(pieces) - 1 else None
        if whole is not None:
            sides.append(whole)
            continue
        sides += _listed(_closing(piece))
        if len(sides) > 1 and not all(side.plain for side in sides):
            found.append(WrittenEquation(tuple(sides)))
        sides = _listed(_opening(piece))
    return found


def _listed(side: Side | None) -> list[Side]:
    return [] if side is None else [side]


def _whole(piece: str) -> Side | None:
    if len(piece) > MOST_CHARACTERS or re.fullmatch(rf"[ \t]*{_EXPRESSION}[ \t]*", piece) is None:
        return None
    return _side(piece)


def _opening(piece: str) -> Side | None:
    """Return the side that ends with the piece, unless what stands before it belongs to it."""
    near = piece[-MOST_CHARACTERS:]
    match = _AT_END.search(near)
    if match is None or (match.start() == 0 and len(near) < len(piece)):
        return None
    before, expression = near[: match.start()], match[0]
    if expression.startswith("-"):
        # After a number or a variable it is an operation; after a word it is a sign.
        if re.search(r"(?:\d|\)|\b[^\W\d_])[ \t]*$", before):
            return None
    elif re.search(r"[^\W\d_]$|[\w)][ \t]*[-+*/^][ \t]*$", before):
        return None
    elif expression.startswith("(") and re.search(r"[\w)][ \t]*$", before):
        return None  # a product without its sign
    while expression:
        side = _side(expression)
        if side is not None or not expression.startswith("("):
            return side
        expression = expression[1:].lstrip(" \t")  # a parenthesis around the whole equation
    return None


def _closing(piece: str) -> Side | None:
    """Return the side that the piece begins with, unless what follows belongs to it."""
    near = piece[:MOST_CHARACTERS]
    match = _AT_START.match(near)
    if match is None:
        return None
    after, expression = near[match.end() :], match[1]
    # One letter is a variable, a longer word a unit; a minus before a word is a dash.
    if re.match(r"[^\W\d_]\b|[\^!_]|[ \t]*[+*/^]|[ \t]*-[ \t]*(?:[\d(]|[^\W\d_]\b)", after):
        return None
    while expression:
        side = _side(expression)
        if side is not None or not expression.endswith(")"):
            return side
        expression = expression[:-1].rstrip(" \t")
    return None


class _UnreadableError(Exception):
    """The tokens are no expression, or one too large."""


def _side(expression: str) -> Side | None:
    tokens = _TOKEN.findall(expression)
    try:
        value, rest = _sum(tokens)
        if rest:
            return None
    except _UnreadableError:
        return None
    except ZeroDivisionError:
        value = None
    numbers = tuple(map(_fraction, re.findall(_NUMBER, re.sub(r"(?<=[\d)%])([ \t]*)-", r"\1 - ", expression))))
    alone = len(numbers) == 1 and not set(expression) & set("%^")
    return Side(value, (value,) if alone and value is not None else numbers, plain=alone)


def _fraction(number: str) -> Fraction:
    return Fraction(number.replace(",", ""))


def _sum(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, rest = _product(tokens)
    while rest and rest[0] in "+-":
        right, after = _product(rest[1:])
        value, rest = (value + right if rest[0] == "+" else value - right), after
    return _bounded(value), rest


def _product(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, rest = _signed(tokens)
    while rest and rest[0] in "*/":
        right, after = _signed(rest[1:])
        value, rest = _bounded(value * right if rest[0] == "*" else value / right), after
    return value, rest


def _signed(tokens: list[str]) -> tuple[Fraction, list[str]]:
    """Read a power with the minus before it: ``-2^2`` is -4."""
    if tokens and tokens[0] == "-":
        value, rest = _signed(tokens[1:])
        return -value, rest
    value, rest = _atom(tokens)
    while rest and rest[0] == "%":
        value, rest = value / 100, rest[1:]
    if not rest or rest[0] != "^":
        return value, rest
    exponent, rest = _signed(rest[1:])
    if exponent.denominator != 1 or abs(exponent) > MOST_EXPONENT:
        raise _UnreadableError
    return _bounded(Fraction(value ** int(exponent))), rest


def _atom(tokens: list[str]) -> tuple[Fraction, list[str]]:
    if not tokens:
        raise _UnreadableError
    if tokens[0] == "(":
        value, rest = _sum(tokens[1:])
        if not rest or rest[0] != ")":
            raise _UnreadableError
        return value, rest[1:]
    if not tokens[0][0].isdigit():
        raise _UnreadableError
    return _fraction(tokens[0]), tokens[1:]


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise _UnreadableError
    return value
