"""Recipe parts: the small configured objects that fill the slots of a training run.

A part is a frozen pydantic model (its fields are what a recipe may set) with a ``__call__`` that hands the
tensors on to a pure function. Built-in parts are registered by ``scorecraft.<room>.parts``; other packages
announce a module through the entry-point group ``scorecraft.parts``.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from scorecraft.errors import ScorecraftError, ScorecraftWarning, nearest
from scorecraft.traits import Traits

ENTRY_POINT_GROUP = "scorecraft.parts"

# How much of a batch the value of one rollout depends on: itself, the completions of its prompt, or the whole batch.
Scope = Literal["rollout", "group", "batch"]
SCOPES: tuple[Scope, ...] = ("rollout", "group", "batch")

# Which module registers the built-in parts of a slot.
SLOT_MODULES = {
    "task": "scorecraft.tasks.parts",
    "sampling": "scorecraft.sampling.parts",
    "reward": "scorecraft.rewards.parts",
    "transform": "scorecraft.rewards.transforms",
    "combination": "scorecraft.rewards.combinations",
    "credit": "scorecraft.credit.parts",
    "advantage": "scorecraft.objectives.parts",
    "objective": "scorecraft.objectives.parts",
    "optimizer": "scorecraft.lm.parts",
}


class Part(BaseModel):
    """A configured recipe part; unknown options are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    slot: ClassVar[str] = ""
    name: ClassVar[str] = ""
    # Whether it reads what the policy computed: log-probabilities, hidden states, or further samples.
    asks_policy: ClassVar[bool] = False

    @property
    def scope(self) -> Scope:
        """How much of a batch the value that this part gives one rollout depends on.

        A part that compares completions, or learns from the batches it has seen, overrides it, so that it is refused
        where completions come one at a time.
        """
        return "rollout"

    def traits(self) -> Traits:
        """Return what `scorecraft lint` must know: what this part's effect rests on, and what it does to the signal."""
        return Traits()

    def cites(self) -> tuple[str, ...]:
        """Return the slugs of the papers this part, as it is configured, rests on (see `scorecraft.catalog`)."""
        return tuple(vars(type(self)).get("__implements__", ()))

    def state(self) -> dict[str, Any]:
        """Return what must be saved for an exact resume (JSON values and tensors); empty if stateless."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        if state:
            raise ScorecraftError(f"part '{self.name}' keeps no state, but the checkpoint has {sorted(state)}")


PartType = TypeVar("PartType", bound=type[Part])

_registered: dict[tuple[str, str], type[Part]] = {}
_plugins_loaded: list[bool] = []


def register(slot: str, name: str) -> Callable[[PartType], PartType]:
    """Register a `Part` class under a slot and a name that recipes use.

    Raises `ScorecraftError` for an unknown slot or a name that another class holds already.
    """
    if slot not in SLOT_MODULES:
        raise ScorecraftError(f"unknown slot '{slot}'; {nearest(slot, SLOT_MODULES)}")

    def decorate(cls: PartType) -> PartType:
        holder = _registered.get((slot, name))
        if holder is not None and holder.__qualname__ != cls.__qualname__:
            raise ScorecraftError(
                f"{slot} '{name}' is registered already, by {holder.__module__}.{holder.__qualname__}"
            )
        cls.slot, cls.name = slot, name
        _registered[slot, name] = cls
        return cls

    return decorate


def _load(slot: str) -> None:
    if slot not in SLOT_MODULES:
        raise ScorecraftError(f"unknown slot '{slot}'; {nearest(slot, SLOT_MODULES)}")
    importlib.import_module(SLOT_MODULES[slot])
    if not _plugins_loaded:
        _plugins_loaded.append(True)
        for point in entry_points(group=ENTRY_POINT_GROUP):
            _load_plugin(point)


def _load_plugin(point: EntryPoint) -> None:
    """Load another package's parts; one that cannot be loaded is named, and nothing else suffers."""
    try:
        point.load()
    except Exception as error:
        package = point.dist.name if point.dist else point.value
        warnings.warn(
            f"the parts of package '{package}' are left out: '{point.value}' cannot be loaded "
            f"({type(error).__name__}: {error}); mend or uninstall it",
            ScorecraftWarning,
            stacklevel=2,
        )


def names(slot: str) -> list[str]:
    """Return the names of all parts of a slot, built in and from other packages."""
    _load(slot)
    return sorted(name for held, name in _registered if held == slot)


def find(slot: str, name: str) -> type[Part]:
    """Return the part class of that name; raises `ScorecraftError` with the nearest name if there is none."""
    _load(slot)
    if (slot, name) not in _registered:
        raise ScorecraftError(f"unknown {slot} '{name}': {nearest(name, names(slot))}")
    return _registered[slot, name]
