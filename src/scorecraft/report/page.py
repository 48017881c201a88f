"""`write_report`: one HTML file that holds a run, or several side by side, and needs nothing but a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from scorecraft.errors import ScorecraftError
from scorecraft.report import charts, diagnosis
from scorecraft.report.differences import differences
from scorecraft.report.pack import pack_rollouts
from scorecraft.report.verdict import verdict
from scorecraft.runs import RunStore
from scorecraft.runs.files import replace_text, to_json

# What the rollouts of all runs together may add to a page.
ROLLOUT_BYTES = 13_500_000
_SCRIPTS = (
    "dom.js", "format.js", "unpack.js", "scale.js", "chart.js", "curves.js", "diagnosis.js",
    "select.js", "detail.js", "completion.js", "browser.js", "page.js",
)  # fmt: skip


def write_report(
    directories: Sequence[Path | str],
    out: Path | str | None = None,
    decode_token: Callable[[int], str] | None = None,
) -> Path:
    """Write the report of one or several runs and return its path.

    directories: the runs; several are drawn over each other.
    out: the file to write; by default ``report.html`` in the run, or ``comparison.html`` beside the first of several.
    decode_token: the text of a token id; needed only for runs that did not save their tokens' texts.

    Raises `ScorecraftError` where a directory is not a run. A run that is still being written can be reported.
    """
    if not directories:
        raise ScorecraftError("report: expected at least one run directory, got none")
    stores = [RunStore.open(directory) for directory in directories]
    first = Path(directories[0])
    path = Path(out) if out else first / "report.html" if len(stores) == 1 else first.parent / "comparison.html"
    names = run_names([store.directory for store in stores])
    page = render(
        report_data(stores, names),
        [pack_rollouts(store, ROLLOUT_BYTES // len(stores), decode_token) for store in stores],
        title=" · ".join(names) if len(names) <= 3 else f"{len(names)} runs",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, page)
    return path


def run_names(directories: Sequence[Path]) -> list[str]:
    """Return the shortest names that tell the runs apart: the directory's, with its parents where needed."""
    parts = [directory.resolve().parts for directory in directories]
    depth = 1
    while len({part[-depth:] for part in parts}) < len(set(parts)):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]


def report_data(stores: Sequence[RunStore], names: Sequence[str]) -> dict[str, Any]:
    """Return all of a report but the rollouts, as JSON values."""
    runs = [_run(store, name) for store, name in zip(stores, names, strict=True)]
    keys = list(dict.fromkeys(key for run in runs for key in run["metrics"]))
    evaluated = list(dict.fromkeys(key for run in runs for key in run["evaluations"]))
    return {
        "runs": runs,
        "parts": charts.as_json(charts.parts(keys)),
        "dynamics": charts.as_json(charts.dynamics(keys)),
        "passes": charts.as_json(charts.pass_at_k(evaluated)),
        "reasons": diagnosis.reasons(keys),
        "differences": differences([_recipe(store) for store in stores]),
    }


def _run(store: RunStore, name: str) -> dict[str, Any]:
    metrics, evaluations = store.read_metrics(), store.read_evaluations()
    return {
        "name": name,
        "verdict": verdict(metrics, evaluations),
        "facts": _facts(store, metrics),
        "metrics": charts.columns(metrics),
        "evaluations": charts.columns(evaluations),
        "recipe": store.recipe_yaml,
        "versions": store.versions,
    }


def _recipe(store: RunStore) -> dict[str, Any]:
    try:
        recipe = yaml.safe_load(store.recipe_yaml)
    except yaml.YAMLError:
        return {}
    return recipe if isinstance(recipe, dict) else {}


def _facts(store: RunStore, metrics: list[dict[str, Any]]) -> list[list[str]]:
    recipe = _recipe(store)
    last = max((row["step"] for row in metrics), default=0)
    planned = recipe.get("steps")
    facts = [["Steps", f"{last} of {planned}" if planned and planned != last else str(last)]]
    seconds = sum(row["seconds"] for row in metrics if isinstance(row.get("seconds"), int | float))
    if seconds:
        facts.append(["Time", _duration(seconds)])
    for key in ("policy", "task", "reward", "credit", "advantage", "objective", "seed"):
        if recipe.get(key) is not None:
            facts.append([key.capitalize(), _part_names(recipe[key])])
    return facts


def _part_names(value: Any) -> str:
    return ", ".join(str(name) for name in value) if isinstance(value, dict | list) else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def render(data: dict[str, Any], rollouts: list[dict[str, Any] | None], title: str) -> str:
    """Return the page: style, script and data in one file, with a policy that lets nothing else run or load."""
    assets = resources.files("scorecraft.report") / "assets"
    style = (assets / "style.css").read_text(encoding="utf-8")
    source = "\n".join((assets / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    script = f'(() => {{\n"use strict";\n{source}\n}})();\n'
    values = {
        "title": html.escape(title.encode(errors="replace").decode()),
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'",
        "style": style,
        "script": script,
        "report": embedded(data),
        "rollouts": embedded(rollouts),
    }
    page = (assets / "page.html").read_text(encoding="utf-8")
    # One pass, so that nothing inside a value is taken for a place to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], page)


def embedded(value: Any) -> str:
    """Return a value as JSON that cannot end the script element it stands in, nor start another."""
    text = json.dumps(to_json(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # Halves of surrogate pairs, which a model's bytes can decode to, have no UTF-8.
    return re.sub(r"[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
