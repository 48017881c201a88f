"""Runs that differ only in their seed, as one line with a band."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorecraft.report.charts import Columns, number


@dataclass(frozen=True, slots=True)
class Series:
    """One recipe's runs: its name, the places of its runs in the report, and their seeds, None where there is none."""

    name: str
    members: tuple[int, ...]
    seeds: tuple[Any, ...]


def series_of(recipes: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Series]:
    """Return the runs by recipe, in the order in which the recipes appear.

    Runs belong together when their recipes are equal but for the seed. A run that repeats recipe and seed of another
    is a series of its own, since it is no further sample.
    """
    found: list[tuple[str, list[int]]] = []
    for place, recipe in enumerate(recipes):
        key = json.dumps(without_seed(recipe), sort_keys=True, default=str)
        for known, members in found:
            if known == key and "seed" in recipe and recipe["seed"] not in [recipes[m].get("seed") for m in members]:
                members.append(place)
                break
        else:
            found.append((key, [place]))
    titles = [_name([names[place] for place in members]) for _, members in found]
    return [
        Series(
            title if titles.count(title) == 1 else f"{names[members[0]]} + {len(members) - 1}",
            tuple(members),
            tuple(recipes[place].get("seed") for place in members),
        )
        for title, (_, members) in zip(titles, found, strict=True)
    ]


def without_seed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe without its seed."""
    return {key: value for key, value in recipe.items() if key != "seed"}


def _name(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    without = {re.sub(r"[-_. ]?seed[-_. ]?\d+$", "", name) for name in names}
    return without.pop() if len(without) == 1 else f"{names[0]} + {len(names) - 1}"


def mean_and_band(tables: Sequence[Columns]) -> tuple[Columns, dict[str, list[list[float | None]]]]:
    """Return the mean over runs at every step, and ``[low, high]`` of its 95 % interval by key.

    The interval is Student's, ``mean +- t(0.975, n-1) s / sqrt(n)`` over the n runs that have a value at a step; None
    where fewer than two have one. A single run has no bands.

    Source: Student, 1908, The Probable Error of a Mean.
    """
    if len(tables) == 1:
        return tables[0], {}
    from scipy.special import stdtrit

    steps = sorted({step for table in tables for step in table.get("step", []) if step is not None})
    if not steps:
        return {}, {}
    means: Columns = {"step": list(steps)}
    bands: dict[str, list[list[float | None]]] = {}
    for key in dict.fromkeys(key for table in tables for key in table if key != "step"):
        values = np.full((len(tables), len(steps)), np.nan)
        for row, table in enumerate(tables):
            if key in table:
                places = np.searchsorted(steps, np.array(table["step"], np.float64))
                values[row, places] = np.array(table[key], np.float64)
        count = (~np.isnan(values)).sum(0)
        mean = np.where(count > 0, np.nansum(values, 0) / np.maximum(count, 1), np.nan)
        variance = np.nansum((values - mean) ** 2, 0) / np.maximum(count - 1, 1)
        error = np.sqrt(variance / np.maximum(count, 1))
        half = np.where(count > 1, stdtrit(np.maximum(count - 1, 1), 0.975) * error, np.nan)
        means[key] = [number(value) for value in mean.tolist()]
        bands[key] = [[number(value) for value in edge.tolist()] for edge in (mean - half, mean + half)]
    return means, bands


def rows_of(columns: Columns) -> list[dict[str, float | None]]:
    """Return columns as one row of metrics per step."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
