"""Entries of reasoning-gym data sets by address: name, options, seed and index give the same entry everywhere."""

from __future__ import annotations

import dataclasses
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from scorecraft.errors import nearest, require

if TYPE_CHECKING:
    from reasoning_gym.factory import ProceduralDataset

# Entries of one data set object; some data sets prepare all of them when they are made.
DATASET_SIZE = 8192
RESERVED = ("seed", "size")


def gym_registry() -> dict[str, tuple[type, type]]:
    """Return reasoning-gym's data set and configuration classes by name; raises where it is not installed."""
    require("reasoning_gym", "reasoning-gym", "the task 'reasoning-gym'")
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    del reasoning_gym  # importing the package is what fills the registry
    return DATASETS


def validate_config(dataset: str, config: dict[str, Any]) -> None:
    """Raise `ValueError` with what was expected where a data set or an option of it does not exist or fit."""
    registry = gym_registry()
    if dataset not in registry:
        raise ValueError(f"unknown reasoning-gym data set '{dataset}'; {nearest(dataset, registry)}")
    options = [field.name for field in dataclasses.fields(registry[dataset][1]) if field.name not in RESERVED]
    for key in config:
        if key in RESERVED:
            raise ValueError(f"config of '{dataset}': '{key}' is chosen by the task; set the task's own seed instead")
        if key not in options:
            raise ValueError(f"config of '{dataset}': unknown option '{key}'; {nearest(key, options)}")
    try:
        made = registry[dataset][1](**_typed(dataset, config))
        if hasattr(made, "validate"):
            made.validate()
    except (AssertionError, TypeError, ValueError) as error:
        raise ValueError(f"config of '{dataset}': {error}") from error


def _typed(dataset: str, config: dict[str, Any]) -> dict[str, Any]:
    """Turn the parts of a composite data set, written as mappings, into what reasoning-gym expects."""
    if dataset != "composite" or "datasets" not in config:
        return config
    from reasoning_gym.composite import DatasetSpec

    return {**config, "datasets": [DatasetSpec(**{"weight": 1.0, "config": {}, **spec}) for spec in config["datasets"]]}


@lru_cache(maxsize=64)
def _dataset(dataset: str, config: str, seed: int) -> ProceduralDataset:
    gym_registry()
    from reasoning_gym.factory import create_dataset

    return create_dataset(dataset, seed=seed, size=DATASET_SIZE, **_typed(dataset, json.loads(config)))


def gym_dataset(address: dict[str, Any]) -> ProceduralDataset:
    """Return the data set of an address with the keys ``dataset``, ``config`` and ``seed``."""
    return _dataset(address["dataset"], json.dumps(address["config"], sort_keys=True), address["seed"])


@lru_cache(maxsize=512)
def _entry(dataset: str, config: str, seed: int, index: int) -> dict[str, Any]:
    return _dataset(dataset, config, seed)[index]


def gym_entry(address: dict[str, Any]) -> dict[str, Any]:
    """Return the entry at an address, which also has an ``index``: the stored one, or made again (never change it)."""
    if "entry" in address:
        return address["entry"]
    config = json.dumps(address["config"], sort_keys=True)
    return _entry(address["dataset"], config, address["seed"], address["index"])
