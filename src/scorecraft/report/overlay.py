"""The data of a page: runs, the recipes they belong to, and what lies between the recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from scorecraft.report import charts, diagnosis
from scorecraft.report.comparison import comparison, final_values
from scorecraft.report.differences import differences
from scorecraft.report.seeds import Series, mean_and_band, rows_of, series_of, without_seed
from scorecraft.report.verdict import verdict
from scorecraft.runs import RunStore


@dataclass(frozen=True, slots=True)
class RunData:
    """What a page takes from one run, but for its rollouts."""

    name: str
    recipe_yaml: str
    recipe: dict[str, Any]
    versions: dict[str, Any]
    citations: str
    metrics: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    groups: charts.Columns

    @property
    def last_step(self) -> int:
        """The last step that was logged."""
        return max((row["step"] for row in self.metrics), default=0)


def read_run(store: RunStore, name: str, rollouts: Mapping[str, Any] | None = None) -> RunData:
    """Return a run's data; ``rollouts`` are its packed ones, which know the spread of the rewards."""
    metrics = charts.with_derived(store.read_metrics())
    return RunData(
        name, store.recipe_yaml, _recipe(store.recipe_yaml), store.versions, store.citations, metrics,
        store.read_evaluations(), rollouts["groups"] if rollouts else {},
    )  # fmt: skip


def report_data(runs: Sequence[RunData]) -> dict[str, Any]:
    """Return all of a report but the rollouts, as JSON values."""
    series = series_of([run.recipe for run in runs], [run.name for run in runs])
    drawn = [_series(one, [runs[member] for member in one.members]) for one in series]
    keys = list(dict.fromkeys(key for one in drawn for key in one["metrics"]))
    evaluated = list(dict.fromkeys(key for one in drawn for key in one["evaluations"]))
    return {
        "runs": [
            {"name": run.name, "recipe": run.recipe_yaml, "versions": run.versions, "citations": run.citations}
            for run in runs
        ],
        "series": drawn,
        "gap": charts.as_json(charts.gap(keys)),
        "parts": charts.as_json(charts.parts(keys)),
        "dynamics": charts.as_json(charts.dynamics([*keys, "reward_spread"])),
        "passes": charts.as_json(charts.pass_at_k(evaluated)),
        "reasons": diagnosis.reasons(keys),
        "words": diagnosis.described(diagnosis.ROLLOUT_REASONS),
        "differences": differences([_shared_recipe(one, runs) for one in series]),
        "comparison": comparison_of(runs, series),
    }


def comparison_of(runs: Sequence[RunData], series: Sequence[Series] | None = None) -> dict[str, Any]:
    """Return how the recipes of these runs compare, see `comparison`."""
    series = series or series_of([run.recipe for run in runs], [run.name for run in runs])
    return comparison(
        series, [final_values(run.metrics, run.evaluations) for run in runs], [run.last_step for run in runs]
    )


def _series(series: Series, runs: Sequence[RunData]) -> dict[str, Any]:
    metrics, metric_bands = mean_and_band([charts.columns(run.metrics) for run in runs])
    evaluations, evaluation_bands = mean_and_band([charts.columns(run.evaluations) for run in runs])
    groups, group_bands = mean_and_band([run.groups for run in runs])
    for bands in (metric_bands, evaluation_bands):
        for key in filter(charts.is_share, bands):
            # Student's interval knows no bounds; a share has them.
            bands[key] = [[None if edge is None else min(max(edge, 0.0), 1.0) for edge in ends] for ends in bands[key]]
    if "accuracy" in evaluation_bands:
        # Over seeds the interval is that of the seeds, not the mean of those over problems.
        evaluations["accuracy_low"], evaluations["accuracy_high"] = evaluation_bands["accuracy"]
    rows = rows_of(metrics)
    return {
        "name": series.name,
        "members": series.members,
        "verdict": verdict(rows, rows_of(evaluations)),
        "why": diagnosis.summary(rows),
        "facts": _facts(runs),
        "metrics": metrics,
        "evaluations": evaluations,
        "groups": groups,
        "bands": {"metrics": metric_bands, "evaluations": evaluation_bands, "groups": group_bands},
    }


def _recipe(text: str) -> dict[str, Any]:
    try:
        recipe = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return recipe if isinstance(recipe, dict) else {}


def _shared_recipe(series: Series, runs: Sequence[RunData]) -> dict[str, Any]:
    recipe = runs[series.members[0]].recipe
    if len(series.members) == 1:
        return recipe
    return {**without_seed(recipe), "seed": ", ".join(map(str, series.seeds))}


def _facts(runs: Sequence[RunData]) -> list[list[str]]:
    recipe = runs[0].recipe
    lasts, planned = sorted({run.last_step for run in runs}), recipe.get("steps")
    last = str(lasts[0]) if len(lasts) == 1 else f"{lasts[0]} to {lasts[-1]}"
    facts = [["Steps", f"{last} of {planned}" if planned and lasts != [planned] else last]]
    seconds = sum(row["seconds"] for run in runs for row in run.metrics if isinstance(row.get("seconds"), int | float))
    if seconds:
        facts.append(["Time", _duration(seconds)])
    for key in ("policy", "task", "reward", "credit", "advantage", "objective"):
        if recipe.get(key) is not None:
            facts.append([key.capitalize(), _part_names(recipe[key])])
    seeds = [str(run.recipe["seed"]) for run in runs if run.recipe.get("seed") is not None]
    if seeds:
        facts.append(["Seed" if len(seeds) == 1 else "Seeds", ", ".join(seeds)])
    return facts


def _part_names(value: Any) -> str:
    return ", ".join(str(name) for name in value) if isinstance(value, dict | list) else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
