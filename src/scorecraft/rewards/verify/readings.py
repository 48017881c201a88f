"""What an answer can be understood as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scorecraft.rewards.verify.nodes import Node, Number


@dataclass(frozen=True, slots=True)
class Term:
    """A number or an expression, with what stands around it.

    node: its tree. text: as it is written. percent: whether a percent sign follows. unit: what is measured in;
    "" for none. base: the subscript that tells a number's base; "" for none.
    """

    node: Node
    text: str
    percent: bool = False
    unit: str = ""
    base: str = ""

    def __str__(self) -> str:
        value = str(self.node.value) if isinstance(self.node, Number) else self.text
        return f"{value}{'%' if self.percent else ''}{' ' + self.unit if self.unit else ''}"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two numbers with a colon between them: a ratio, or a time of day."""

    text: str
    left: int
    right: int
    time: bool

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Words:
    """A text."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Collection:
    """Several values: "(" a tuple or an open interval, "[" a list or an interval, "{" a set, "" none written.

    ``closing`` is the bracket at the end, which an interval may have of another kind.
    """

    items: tuple[Reading, ...]
    opening: Literal["(", "[", "{", ""]
    closing: Literal[")", "]", "}", ""]

    @property
    def ordered(self) -> bool:
        """True for tuples, lists and intervals."""
        return self.opening in ("(", "[")

    def __str__(self) -> str:
        return f"{self.opening}{', '.join(str(item) for item in self.items)}{self.closing}"


@dataclass(frozen=True, slots=True)
class Union:
    """Several intervals or sets."""

    parts: tuple[Reading, ...]

    def __str__(self) -> str:
        return " U ".join(str(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of values."""

    rows: tuple[tuple[Reading, ...], ...]

    def __str__(self) -> str:
        return "; ".join(", ".join(str(item) for item in row) for row in self.rows)


@dataclass(frozen=True, slots=True)
class Relation:
    """An equation or inequality: the sides, and the signs ("=", "<", "<=", ">", ">=", "in", "!=") between them."""

    sides: tuple[Reading, ...]
    signs: tuple[str, ...]

    def __str__(self) -> str:
        shown = [str(self.sides[0])]
        for sign, side in zip(self.signs, self.sides[1:], strict=True):
            shown.append(f"{sign} {side}")
        return " ".join(shown)


@dataclass(frozen=True, slots=True)
class Unknown:
    """What the fast path cannot read; the algebra system may."""

    text: str
    why: str

    def __str__(self) -> str:
        return self.text


Reading = Term | Ratio | Words | Collection | Union | Matrix | Relation | Unknown
