"""Struct literals in Go and Rust sources, read as text: numbers, durations and a few helpers, and nothing evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from scorecraft.errors import ScorecraftError
from scorecraft.gossip.client_formulas import decay
from scorecraft.gossip.parameters import exact

_UNITS = {
    "time.Nanosecond": Fraction(1, 10**9), "time.Microsecond": Fraction(1, 10**6),
    "time.Millisecond": Fraction(1, 1000), "time.Second": Fraction(1), "time.Minute": Fraction(60),
    "time.Hour": Fraction(3600),
}  # fmt: skip
# Defaults of go-libp2p-pubsub, score_params.go.
_DEFAULTS = {"pubsub.DefaultDecayInterval": Fraction(1), "pubsub.DefaultDecayToZero": Fraction(1, 100)}
_RUST_UNITS = {"from_secs": Fraction(1), "from_millis": Fraction(1, 1000), "from_secs_f64": Fraction(1)}
_NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?(f32|f64|u32|u64|usize|i32|i64)?$")
_DECAY = re.compile(r"(?:[\w:]+[.:])*(?:ScoreParameterDecay|score_parameter_decay)\((?P<of>.*)\)$")
_RUST_DURATION = re.compile(r"(?:\w+::)*Duration::(?P<unit>\w+)\((?P<of>[^()]*)\)$")
_CONSTANT = re.compile(
    r"^\s*(?:pub\s+)?(?:const\s+)?(?P<name>[A-Za-z_]\w*)"
    r"\s*(?::\s*\w+|\s+(?:float64|int|time\.Duration))?\s*=\s*(?P<value>[^=;{}]+?);?$"
)


class Literal(NamedTuple):
    """A struct: its type, the variable it is assigned to, its fields as text with their lines, and structs within."""

    kind: str
    name: str
    line: int
    fields: Mapping[str, tuple[str, int]]
    inner: Mapping[str, Literal]


def struct_literals(text: str) -> list[Literal]:
    """Return all structs of a source whose type ends in ``Params`` or ``Thresholds``, outermost first.

    Args:
        text: of a Go or Rust file.

    Raises `ScorecraftError` for a brace that is never closed, with its line.
    """
    bare = _without_comments(text)
    found = []
    at = 0
    pattern = re.compile(r"([A-Za-z_][\w.:]*(?:Params|Thresholds))\s*\{")
    while match := pattern.search(bare, at):
        before = bare[: match.start()].rstrip()
        at = match.end()
        # A definition, an implementation or a returned type is no literal.
        if re.search(r"(\bstruct|\bimpl|\btype|\bfor|\benum|->|\bfunc[^\n]*\)\s*\*?)$", before):
            continue
        end = _closing(bare, match.end() - 1)
        assigned = re.search(r"(\w+)\s*:?=\s*(?:&|map\[string\]\*?)*$", before)
        found.append(
            _literal(match.group(1), bare, match.end(), end)._replace(name=assigned.group(1) if assigned else "")
        )
        at = end
    return found


def constants(text: str) -> dict[str, str]:
    """Return the named constants of a source whose value stands in one line.

    Args:
        text: of a Go or Rust file.
    """
    found = {}
    for line in _without_comments(text).splitlines():
        match = _CONSTANT.match(line)
        if match:
            found.setdefault(match.group("name"), match.group("value").strip())
    return found


def value_of(expression: str, line: int, named: Mapping[str, str]) -> Fraction:
    """Return a number or a duration in seconds.

    Known are literals, a number of units of Go's time or of Rust's Duration, the decay of a lifetime at one second and
    0.01, and constants that are one of these.

    Args:
        expression: as it stands in the source.
        line: in which it stands.
        named: constants.

    Raises `ScorecraftError` for anything else, with line and expression: nothing is evaluated.
    """
    found = _value(expression.strip(), named, 8)
    if found is None:
        raise ScorecraftError(
            f"line {line}: '{expression.strip()}' is no number, duration or known helper, and is not evaluated. Write "
            "the number in its place; for parameters that Lighthouse or Prysm compute, give 'lighthouse' or 'prysm' "
            "instead of the file"
        )
    return found


def _value(text: str, named: Mapping[str, str], depth: int) -> Fraction | None:
    found: Fraction | None = None
    if _NUMBER.match(text):
        found = exact(re.sub(r"(f32|f64|u32|u64|usize|i32|i64)$", "", text).replace("_", ""))
    elif text in _UNITS or text in _DEFAULTS:
        found = (_UNITS | _DEFAULTS)[text]
    elif match := _DECAY.match(text):
        lifetime = _value(match.group("of").strip(), named, depth)
        found = exact(decay(float(lifetime), 1.0)) if lifetime is not None and lifetime > 0 else None
    elif match := _RUST_DURATION.match(text):
        number, unit = _value(match.group("of").strip(), named, depth), _RUST_UNITS.get(match.group("unit"))
        found = number * unit if number is not None and unit is not None else None
    elif "*" in text:
        # A product of a number and a unit, nothing longer.
        parts = [part.strip() for part in text.split("*")]
        first, second = (_value(part, named, depth) for part in parts) if len(parts) == 2 else (None, None)
        if first is not None and second is not None and any(part in _UNITS for part in parts):
            found = first * second
    elif text in named and depth:
        found = _value(named[text], named, depth - 1)
    return found


def _without_comments(text: str) -> str:
    """Return the text with comments and strings blanked, so that lines and places stay."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())  # noqa: E731 - one use
    return re.sub(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"',
        lambda match: match.group() if match.group().startswith('"') else blank(match), text, flags=re.DOTALL,
    )  # fmt: skip


def _closing(text: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return at
    raise ScorecraftError(f"line {_line(text, opening)}: a brace is opened and never closed")


def _literal(kind: str, text: str, start: int, end: int) -> Literal:
    """Return the struct between two places of a text."""
    fields: dict[str, tuple[str, int]] = {}
    inner: dict[str, Literal] = {}
    for at, part in _parts(text, start, end):
        line = _line(text, at + len(part) - len(part.lstrip()))
        if part.strip().startswith(".."):
            raise ScorecraftError(
                f"line {line}: '{part.strip()}' leaves parameters to the client's defaults; write them out, so that "
                "what is checked is what runs"
            )
        key, colon, value = _split(part)
        if not colon:
            continue
        name = key.strip().strip('"')
        opening = value.find("{")
        braces = opening >= 0 and not value.lstrip().startswith(("func", "|"))
        if braces:
            offset = at + part.index(value) + opening
            inner[name] = _literal(value[:opening].strip().lstrip("&"), text, offset + 1, _closing(text, offset))
        else:
            fields[name] = (value.strip(), line)
    return Literal(kind.lstrip("&"), "", _line(text, start), fields, inner)


def _split(part: str) -> tuple[str, str, str]:
    """Return key and value around the first colon that is not doubled and not within brackets."""
    depth = 0
    for at, sign in enumerate(part):
        depth += (sign in "([{") - (sign in ")]}")
        doubled = part[at : at + 2] == "::" or part[at - 1 : at + 1] == "::"
        if sign == ":" and depth == 0 and not doubled:
            return part[:at], ":", part[at + 1 :]
    return part, "", ""


def _parts(text: str, start: int, end: int) -> list[tuple[int, str]]:
    """Return what commas part at the outermost level, with places."""
    found, depth, begin = [], 0, start
    for at in range(start, end):
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if text[at] == "," and depth == 0:
            found.append((begin, text[begin:at]))
            begin = at + 1
    if text[begin:end].strip():
        found.append((begin, text[begin:end]))
    return found


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
