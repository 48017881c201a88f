"""Overrides from the command line: ``key.path=value`` laid over a recipe before it is checked.

``steps=50``, ``reward.brevity.weight=0``, ``task=multiple-choice``, ``task.chain-arithmetic.operations=[2,3]``. Where a
slot has one part its name may be left out: ``optimizer.lr=1e-3``. Values are read as YAML.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scorecraft import parts
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.recipes.mistakes import KeyPath, Mistake, shown
from scorecraft.recipes.slots import DEFAULT_PARTS, SINGLE_SLOTS, name_and_options
from scorecraft.recipes.yaml_source import YamlSource, parse_value


def apply_overrides(source: YamlSource, arguments: Sequence[str]) -> YamlSource:
    """Return the source with each ``key.path=value`` laid over it, in order; later ones win.

    Mistakes are kept in the source and reported together with those of the file, as "argument 'steps=x'".
    """
    data, places, mistakes = copy.deepcopy(source.data), dict(source.places), list(source.mistakes)
    for argument in arguments:
        where = f"argument '{argument}'"
        try:
            path, value = _split(argument)
            reached = _override(data, path, value)
        except _OverrideError as refused:
            mistakes.append(Mistake(refused.path, str(refused), where))
            continue
        except ScorecraftError as error:
            mistakes.append(Mistake((), str(error), where))
            continue
        places = {known: place for known, place in places.items() if known[: len(reached)] != reached}
        places[reached] = where
    return replace(source, data=data, places=places, mistakes=tuple(mistakes))


class _OverrideError(ScorecraftError):
    def __init__(self, path: KeyPath, message: str) -> None:
        super().__init__(message)
        self.path = path


def _split(argument: str) -> tuple[list[str], Any]:
    key, equals, value = argument.partition("=")
    keys = key.strip().split(".")
    if not equals or not all(keys):
        raise ScorecraftError("expected key=value, as in steps=50 or optimizer.lr=1e-3")
    # A policy may be a folder with any characters in its name; YAML has no say there.
    plain_name = keys == ["policy"] and not value.lstrip().startswith("{")
    return keys, value if plain_name else parse_value(value)


def _override(data: dict[str, Any], keys: list[str], value: Any) -> KeyPath:
    """Set the value where the keys point to, and return that place."""
    head, *rest = keys
    if not rest:
        data[head] = value
        return (head,)
    if head == "reward":
        return _override_reward(data, rest, value)
    if head == "policy" or head in SINGLE_SLOTS:
        return _override_slot(data, head, rest, value)
    _assign(data, keys, value)
    return tuple(keys)


def _override_slot(data: dict[str, Any], slot: str, rest: list[str], value: Any) -> KeyPath:
    held = name_and_options(data.get(slot, DEFAULT_PARTS[slot]))
    if held is None:
        raise _OverrideError((slot,), f"the recipe's {slot} is {shown(data[slot])}; give one part by name first")
    name, options = held
    if rest[0] == name:
        rest = rest[1:]
    elif slot != "policy":
        _check_option(slot, name, rest)
    holder: dict[str, Any] = {name: options}
    _assign(holder, [name, *rest], value)
    data[slot] = holder
    return (slot, name, *rest)


def _check_option(slot: str, name: str, rest: list[str]) -> None:
    """Refuse a first key that is another part's name, or a misspelt name of this one."""
    known = parts.names(slot)
    if name not in known:
        return
    fields = parts.find(slot, name).model_fields
    if rest[0] in fields:
        return
    if rest[0] in known:
        message = f"the recipe's {slot} is '{name}'; choose the other one with {slot}={rest[0]}"
    else:
        message = f"unknown option of {slot} '{name}'; {nearest(rest[0], [*known, *fields])}"
    raise _OverrideError((slot, rest[0]), message)


def _override_reward(data: dict[str, Any], rest: list[str], value: Any) -> KeyPath:
    held = data.get("reward", DEFAULT_PARTS["reward"])
    rewards: dict[str, Any] = {held: {}} if isinstance(held, str) else dict(held) if isinstance(held, dict) else {}
    if rest[0] not in rewards and rest[0] not in parts.names("reward") and len(rest) == 1:
        if len(rewards) != 1:
            example = f"reward.{next(iter(rewards), 'correct')}.{rest[0]}={shown(value)}"
            message = f"the recipe's rewards are {', '.join(rewards)}; name one of them, as in {example}"
            raise _OverrideError(("reward", rest[0]), message)
        rest = [*rewards, *rest]
    _assign(rewards, rest, value)
    data["reward"] = rewards
    return ("reward", *rest)


def _assign(data: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Set a value in nested mappings, which are made where there are none; what is shared is copied, not changed."""
    for position, key in enumerate(keys[:-1]):
        inner = data.get(key)
        if inner is not None and not isinstance(inner, dict):
            raise _OverrideError(tuple(keys[: position + 1]), f"is {shown(inner)}, so it has no '{keys[position + 1]}'")
        data[key] = dict(inner or {})
        data = data[key]
    data[keys[-1]] = value
