"""Where the recipes of several runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def flattened(value: Any, path: str = "") -> dict[str, str]:
    """Return a recipe as one text per setting, by its dotted path; lists count as one setting."""
    if isinstance(value, Mapping) and value:
        found: dict[str, str] = {}
        for key, item in value.items():
            found |= flattened(item, f"{path}.{key}" if path else str(key))
        return found
    return {path: "" if value is None else str(value)} if path else {}


def differences(recipes: Sequence[Any]) -> list[tuple[str, list[str | None]]]:
    """Return each setting that is not the same in all recipes, with its value in each; None where one lacks it."""
    flat = [flattened(recipe) for recipe in recipes]
    paths = dict.fromkeys(path for one in flat for path in one)
    rows = [(path, [one.get(path) for one in flat]) for path in paths]
    return [(path, values) for path, values in rows if any(value != values[0] for value in values)]
