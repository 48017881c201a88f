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

from scorecraft.errors import ScorecraftError
from scorecraft.report.overlay import read_run, report_data
from scorecraft.report.pack import pack_rollouts
from scorecraft.runs import RunStore
from scorecraft.runs.files import replace_text, to_json

# What the rollouts of all runs together may add to a page.
ROLLOUT_BYTES = 13_500_000
_SCRIPTS = (
    "dom.js", "format.js", "unpack.js", "scale.js", "chart.js", "curves.js", "comparison.js", "diagnosis.js",
    "select.js", "detail.js", "completion.js", "browser.js", "page.js",
)  # fmt: skip


def write_report(
    directories: Sequence[Path | str],
    out: Path | str | None = None,
    decode_token: Callable[[int], str] | None = None,
) -> Path:
    """Write the report of one or several runs and return its path.

    directories: the runs; several are drawn over each other, those that differ only in the seed as one line with a
    band, and where recipes share seeds their differences are tabled with intervals.
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
    rollouts = [pack_rollouts(store, ROLLOUT_BYTES // len(stores), decode_token) for store in stores]
    runs = [read_run(store, name, packed) for store, name, packed in zip(stores, names, rollouts, strict=True)]
    page = render(
        report_data(runs),
        rollouts,
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
