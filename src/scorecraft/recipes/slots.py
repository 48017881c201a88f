"""The slots of a recipe: from a part's name and options, as written down, to the part itself.

A slot's value may be a name (``outcome``), a name with options (``{outcome: {discount: 0.99}}``) or, in Python, a
part that is built already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from scorecraft import parts
from scorecraft.errors import ScorecraftError
from scorecraft.parts import Part
from scorecraft.recipes.mistakes import KeyPath, Mistake, mistakes_of, shown

# The parts of the default recipe; a recipe that leaves a slot out gets these.
DEFAULT_PARTS: dict[str, Any] = {
    "policy": "tunnel-tiny",
    "task": "chain-arithmetic",
    "sampling": {"single-turn": {"group_size": 8}},
    "reward": {"correct": {}},
    "combination": "weighted-sum",
    "credit": "outcome",
    "advantage": "group-standardized",
    "objective": "clipped-surrogate",
    "optimizer": {"adamw": {"lr": 2.0e-4, "schedule": "linear"}},
}
SINGLE_SLOTS = tuple(slot for slot in DEFAULT_PARTS if slot not in ("policy", "reward"))


class _SlotError(Exception):
    """Carries the mistakes out of a nested step of building."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__()
        self.mistakes = list(mistakes)


def name_and_options(value: Any) -> tuple[str, dict[str, Any]] | None:
    """Split a slot's value into the part's name and options; None where it has neither form."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Mapping) and len(value) == 1:
        name, options = next(iter(value.items()))
        if isinstance(name, str) and (options is None or isinstance(options, Mapping)):
            return name, dict(options or {})
    return None


def build_part(slot: str, value: Any) -> tuple[Part | None, list[Mistake]]:
    """Build the part of a slot from what a recipe holds; on mistakes there is no part, but all of them."""
    try:
        return _build(slot, value, (slot,)), []
    except _SlotError as wrong:
        return None, wrong.mistakes


def build_rewards(value: Any) -> tuple[dict[str, Part], list[Mistake]]:
    """Build the rewards of a recipe, in their order, from a name, a mapping of names to options, or one part.

    The key of a reward is its part's name, or any name where the options say which part is meant under ``part``;
    so a recipe can hold the same part twice.
    """
    if isinstance(value, Part):
        value = {value.name: value}
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, Mapping) or not value:
        expected = "expected at least one reward with its options, as in {correct: {weight: 1.0}}"
        return {}, [Mistake(("reward",), f"{expected}, got {shown(value)}")]
    built: dict[str, Part] = {}
    mistakes: list[Mistake] = []
    for name, options in value.items():
        try:
            built[name] = _build_reward(name, options)
        except _SlotError as wrong:
            mistakes += wrong.mistakes
    return built, mistakes


def _build_reward(name: str, options: Any) -> Part:
    path = ("reward", name)
    if isinstance(options, Part):
        return _build("reward", options, path)
    if isinstance(options, Mapping) and "transforms" in options:
        options = {**options, "transforms": _build_transforms(options["transforms"], (*path, "transforms"))}
    if not isinstance(options, Mapping) or "part" not in options:
        return _build("reward", {name: options}, ("reward",))
    if not isinstance(options["part"], str):
        raise _SlotError(Mistake((*path, "part"), f"expected the name of a reward, got {shown(options['part'])}"))
    part = _find("reward", options["part"], (*path, "part"))
    return _validate(part, {key: value for key, value in options.items() if key != "part"}, path)


def _build_transforms(value: Any, path: KeyPath) -> tuple[Part, ...]:
    if not isinstance(value, list | tuple):
        expected = "expected a list of transforms, as in [{clip: {high: 1.0}}]"
        raise _SlotError(Mistake(path, f"{expected}, got {shown(value)}"))
    return tuple(_build("transform", item, (*path, place)) for place, item in enumerate(value))


def build_section(key: str, model: type[BaseModel], value: Any) -> tuple[BaseModel | None, list[Mistake]]:
    """Build a settings section such as ``evaluate`` from a mapping; an object of the class itself passes through."""
    if isinstance(value, model):
        return value, []
    try:
        return _validate(model, value, (key,)), []
    except _SlotError as wrong:
        return None, wrong.mistakes


def _build(slot: str, value: Any, path: KeyPath) -> Part:
    if isinstance(value, Part):
        if value.slot != slot:
            what = f"a {value.slot} part" if value.slot else "an unregistered part (decorate its class with @register)"
            raise _SlotError(Mistake(path, f"expected a {slot} part, got {what}"))
        return value
    split = name_and_options(value)
    if split is None:
        raise _SlotError(_wrong_form(slot, value, path))
    name, options = split
    inner = (*path, name) if isinstance(value, Mapping) else path
    return _validate(_find(slot, name, inner), options, inner)


def _wrong_form(slot: str, value: Any, path: KeyPath) -> Mistake:
    if isinstance(value, Mapping) and len(value) == 1:
        name, options = next(iter(value.items()))
        return Mistake((*path, str(name)), f"expected a mapping of options, got {shown(options)}")
    form = f"expected one {slot} by name, as in '{slot}: NAME' or '{slot}: {{NAME: {{OPTION: VALUE}}}}'"
    got = f"the keys {', '.join(map(str, value))}" if isinstance(value, Mapping) and value else shown(value)
    return Mistake(path, f"{form}, got {got}")


def _find(slot: str, name: str, path: KeyPath) -> type[Part]:
    try:
        return parts.find(slot, name)
    except ScorecraftError as error:
        raise _SlotError(Mistake(path, str(error))) from None
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "scorecraft":
            raise
        raise _SlotError(Mistake(path, f"needs '{error.name}': pip install 'scorecraft[lm]'")) from None


def _validate(model: type[Any], options: Any, path: KeyPath) -> Any:
    try:
        built = model.model_validate(options)
    except ValidationError as error:
        raise _SlotError(*mistakes_of(error, model, options, path)) from None
    except ScorecraftError as error:
        raise _SlotError(Mistake(path, str(error))) from None
    coerced = _coerced(options, built, path)
    if coerced:
        raise _SlotError(*coerced)
    return built


def _coerced(given: Any, built: Any, path: KeyPath) -> list[Mistake]:
    """Find the values that pydantic turned into another type: `true` is no number, and `'5'` is text."""
    if isinstance(given, Mapping):
        inner = built if isinstance(built, Mapping) else getattr(built, "__dict__", {})
        return [m for key, value in given.items() if key in inner for m in _coerced(value, inner[key], (*path, key))]
    if isinstance(given, list | tuple) and isinstance(built, list | tuple):
        return [m for i, pair in enumerate(zip(given, built, strict=False)) for m in _coerced(*pair, (*path, i))]
    if isinstance(built, bool):
        wrong, expected = not isinstance(given, bool), "true or false"
    else:
        wrong = isinstance(built, int | float) and isinstance(given, bool | str)
        expected = "a number"
    return [Mistake(path, f"expected {expected}, got {shown(given)}")] if wrong else []
