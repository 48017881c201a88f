"""Recipes as YAML text: read safely, with the line of every key kept, and written so that they read back equal.

Scalars follow YAML 1.2's core schema, so ``3e-4`` is a number and ``no`` is text (YAML 1.1, which PyYAML reads by
default, has it the other way round). Anchors, aliases, merge keys and language tags are not part of a recipe.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.reader import ReaderError

from scorecraft.errors import ScorecraftError
from scorecraft.recipes.mistakes import KeyPath, Mistake, RecipeError

_TAG = "tag:yaml.org,2002:"
_CORE_SCHEMA = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
)


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise ComposerError(None, None, "aliases are not read in recipes; write the value out", mark)
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Line breaks beyond "\n" are folded into a space in every style but this one.
    style = '"' if any(character in text for character in "\r\x85\u2028\u2029") else None
    return dumper.represent_scalar(_TAG + "str", text, style)


_Dumper.add_representer(str, _represent_text)

for _class in (_Loader, _Dumper):
    _class.yaml_implicit_resolvers = {}
    for _name, _pattern, _first in _CORE_SCHEMA:
        _class.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), list(_first))


@dataclass(frozen=True)
class YamlSource:
    """A recipe as read: the plain data, where each key stands, and the mistakes found while reading."""

    name: str
    data: dict[str, Any]
    places: dict[KeyPath, str] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()

    def where(self, path: KeyPath) -> str:
        """Return the place of a key, or of the nearest key around it."""
        key = self._nearest_key(path)
        return self.name if key is None else self.places[key]

    def in_order(self, mistakes: Iterable[Mistake]) -> list[Mistake]:
        """Return the mistakes with their places, in the order of the text; those of overrides come last."""
        order = {key: position for position, key in enumerate(self.places)}
        ranked = sorted(mistakes, key=lambda mistake: order.get(self._nearest_key(mistake.path) or (), 0))
        return [mistake.at(self.where(mistake.path)) for mistake in ranked]

    def _nearest_key(self, path: KeyPath) -> KeyPath | None:
        if path in self.places:
            return path
        below = [key for key in self.places if key[: len(path)] == path]
        around = [path[:end] for end in range(len(path) - 1, -1, -1) if path[:end] in self.places]
        return next(iter([*below, *around]), None)


def read(source: Path | str) -> YamlSource:
    """Read a recipe from a file (a `Path`, or a string that names one) or from YAML text.

    Raises `RecipeError` with file and line when the text is not YAML, is empty or is not a mapping.
    """
    if isinstance(source, Path) or _names_a_file(source):
        path = Path(source)
        return parse(_read_text(path), str(path))
    return parse(source, "")


def _names_a_file(text: str) -> bool:
    return "\n" not in text and (text.endswith((".yaml", ".yml")) or (0 < len(text) < 256 and Path(text).is_file()))


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ScorecraftError(f"{path}: no such recipe file") from None
    except UnicodeDecodeError as error:
        raise ScorecraftError(f"{path}: not UTF-8 text (byte {error.start}); save the recipe as UTF-8") from None
    except OSError as error:
        raise ScorecraftError(f"{path}: cannot be read ({error.strerror})") from None


def parse(text: str, name: str = "") -> YamlSource:
    """Read YAML text; ``name`` stands before the line number in messages."""
    try:
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise RecipeError([Mistake((), _syntax(error), _place(name, line))]) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise RecipeError([Mistake((), "has a character that YAML does not allow", _place(name, line))]) from None
    except RecursionError:
        raise RecipeError([Mistake((), "is nested too deeply for a recipe", name or "recipe")]) from None
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "null"):
        raise RecipeError([Mistake((), "is empty; expected keys such as 'task: chain-arithmetic'", name or "recipe")])
    if not isinstance(node, yaml.MappingNode):
        expected = "expected a mapping of keys such as 'task: chain-arithmetic'"
        scalar = isinstance(node, yaml.ScalarNode)
        got = f"the text '{node.value[:40]}'" if scalar else "a list"
        hint = " (a file is given as a path that ends in .yaml)" if not name and scalar else ""
        raise RecipeError([Mistake((), f"{expected}, got {got}{hint}", _place(name, 1))])
    reader = _Reader(name)
    data = reader.construct(node, ())
    return YamlSource(name, data, reader.places, tuple(reader.mistakes))


def parse_value(text: str) -> Any:
    """Read one YAML value, as in ``key=value`` on the command line; raises `ScorecraftError` if it is not YAML."""
    try:
        node = _Loader(text).get_single_node()
    except (yaml.YAMLError, RecursionError):
        hint = "lists look like [2, 3], and text may stand in quotes"
        raise ScorecraftError(f"'{text}' is not a YAML value; {hint}") from None
    if node is None:
        return None
    reader = _Reader("")
    value = reader.construct(node, ())
    if reader.mistakes:
        raise ScorecraftError("; ".join(str(mistake) for mistake in reader.mistakes))
    return value


def dump(data: Mapping[str, Any]) -> str:
    """Write plain data as YAML that `parse` reads back equal; the innermost mappings stand on one line."""
    return yaml.dump(
        dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )


class _Reader:
    """Turns YAML nodes into plain data and remembers where each key stands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[KeyPath, str] = {}
        self.mistakes: list[Mistake] = []

    def construct(self, node: yaml.Node, path: KeyPath) -> Any:
        self.places.setdefault(path, _place(self.name, node.start_mark.line + 1))
        if not isinstance(node, yaml.ScalarNode) and node.tag not in (_TAG + "map", _TAG + "seq"):
            self._refuse(node, path, f"a recipe cannot hold '{node.tag}'")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.construct(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(self.name, key_node.start_mark.line + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                self.mistakes.append(Mistake(path, "expected a key that is text", place))
                continue
            key: str = key_node.value
            inner = (*path, key)
            if key in data:
                self.mistakes.append(Mistake(inner, f"is given twice (first at {self.places[inner]})", place))
                continue
            self.places[inner] = place
            data[key] = self.construct(value_node, inner)
        return data

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        tag, text = node.tag.removeprefix(_TAG), node.value
        try:
            if tag == "int":
                return int(text)
            if tag == "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            self._refuse(node, path, f"'{text[:40]}' cannot be read as a number")
            return None
        if tag == "bool":
            return text.lower() == "true"
        if tag == "null":
            return None
        if tag != "str":
            self._refuse(node, path, f"a recipe cannot hold '{node.tag}'")
        return text

    def _refuse(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        self.mistakes.append(Mistake(path, message, _place(self.name, node.start_mark.line + 1)))


def _place(name: str, line: int) -> str:
    return f"{name}:{line}" if name else f"line {line}"


def _syntax(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem or error.context or error)
    if "'\\t'" in problem:
        return "a tab stands where YAML wants spaces; indent with spaces"
    if "expected a single document" in str(error.context or ""):
        return "holds more than one YAML document ('---'); a recipe is one"
    return f"is not valid YAML: {problem}"
