"""Mistakes in a recipe: where each one is, which key it concerns, and what was expected, in plain words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError

from scorecraft.errors import ScorecraftError, nearest

KeyPath = tuple[str | int, ...]

# What pydantic's error types mean to somebody who writes a recipe; the rest falls back to pydantic's own words.
_EXPECTED = {
    "float": "expected a number",
    "int": "expected a whole number",
    "bool": "expected true or false",
    "string": "expected text",
    "path": "expected a path",
    "list": "expected a list",
    "tuple": "expected a list",
    "set": "expected a list",
    "frozen_set": "expected a list",
    "dict": "expected a mapping of options",
    "mapping": "expected a mapping of options",
    "model": "expected a mapping of options",
    "none": "expected null",
    "finite_number": "expected a finite number",
}
_BOUNDS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
_SIGNS = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: the path of keys to it, what was expected, and (once known) the file and line."""

    path: KeyPath
    message: str
    where: str = ""

    def __str__(self) -> str:
        key = ".".join(map(str, self.path))
        return ": ".join(part for part in (self.where, key, self.message) if part)

    def at(self, where: str) -> Mistake:
        """Return the mistake with its place filled in, unless it has one already."""
        return self if self.where else replace(self, where=where)


class RecipeError(ScorecraftError):
    """A recipe that does not hold together; ``mistakes`` has every mistake found, not only the first."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        lines = [str(mistake) for mistake in self.mistakes]
        text = lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} mistakes in the recipe:", *lines])
        super().__init__(text)


def shown(value: Any) -> str:
    """Return a value as a recipe would write it, cut to a readable length."""
    try:
        text = f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def mistakes_of(error: ValidationError, model: type[BaseModel], data: Any, prefix: KeyPath = ()) -> list[Mistake]:
    """Translate pydantic's errors about ``data`` into mistakes, one for each key."""
    found: dict[KeyPath, list[str]] = {}
    for item in error.errors(include_url=False):
        path = _path_in_data(item["loc"], data, keep_last=item["type"] in ("missing", "extra_forbidden"))
        if item["type"] == "missing" and isinstance(path[-1], int):
            message = f"expected a list of at least {path[-1] + 1} values, got {shown(item['input'])}"
            path = path[:-1]
        else:
            message = _in_words(item, model, path, "option" if prefix else "key")
        words = found.setdefault(path, [])
        if message not in words:
            words.append(message)
    return [Mistake((*prefix, *path), _joined(words)) for path, words in found.items()]


def _path_in_data(location: KeyPath, data: Any, *, keep_last: bool) -> KeyPath:
    """Drop what pydantic adds beyond the keys of the data (the branches of a union)."""
    path: list[str | int] = []
    for position, key in enumerate(location):
        inside = (isinstance(data, Mapping) and key in data) or (
            isinstance(data, list | tuple) and isinstance(key, int) and key < len(data)
        )
        if inside:
            path.append(key)
            data = cast("Any", data)[key]
        elif keep_last and position == len(location) - 1:
            path.append(key)
    return tuple(path)


def _joined(words: list[str]) -> str:
    """Join what the branches of a union expected: 'expected a number or a list, got ...'."""
    pairs = [word.partition(", got ") for word in words]
    if len(pairs) > 1 and all(head.startswith("expected ") for head, _, _ in pairs):
        expected = " or ".join(dict.fromkeys(head.removeprefix("expected ") for head, _, _ in pairs))
        return f"expected {expected}, got {pairs[0][2]}"
    return "; ".join(words)


def _in_words(item: Any, model: type[BaseModel], path: KeyPath, what: str) -> str:
    kind, context, value = item["type"], item.get("ctx", {}), item["input"]
    if kind == "extra_forbidden":
        owner = _owner(model, path)
        return f"unknown {what}; {nearest(str(path[-1]), owner.model_fields)}"
    if kind == "missing":
        return "is missing, and has no default"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", item["msg"]))
    return f"{_expected(kind, context, item['msg'], value)}, got {shown(value)}"


def _expected(kind: str, context: Mapping[str, Any], message: str, value: Any) -> str:
    if kind in ("literal_error", "enum"):
        choices = re.findall(r"'([^']*)'", str(context["expected"]))
        return f"expected one of {context['expected']}" if not choices else _one_of(choices, value)
    if kind in _BOUNDS:
        side = _BOUNDS[kind]
        return f"expected a number {_SIGNS[side]} {context[side]}"
    if kind in ("too_short", "too_long"):
        bound = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"expected a list of {bound} value{'s' if not bound.endswith(' 1') else ''}"
    family = re.sub(r"_(type|parsing|sub_type|attributes_type|unicode|size|from_float)$", "", kind)
    return _EXPECTED.get(family, message[0].lower() + message[1:])


def _one_of(choices: list[str], value: Any) -> str:
    hint = nearest(str(value), choices)
    meant = hint.partition("known:")[0].strip()
    return f"expected one of {', '.join(choices)}" + (f" ({meant})" if meant else "")


def _owner(model: type[BaseModel], path: KeyPath) -> type[BaseModel]:
    """Return the model, ``model`` itself or one nested in it, that the last key of the path should belong to."""
    for key in path[:-1]:
        field = model.model_fields.get(str(key))
        annotation = field.annotation if field else None
        options = [annotation, *get_args(annotation)]
        nested = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if nested:
            model = nested[0]
    return model
