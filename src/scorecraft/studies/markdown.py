"""What the site says of a method: its functions, and what its study found, from the catalog and committed results."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scorecraft.catalog import papers
from scorecraft.catalog.functions import implementations
from scorecraft.studies import results


def method_markdown(slug: str, folder: Path = results.FOLDER) -> str:
    """Return a method's claim, functions and study as Markdown; figures come from the committed result."""
    paper = papers()[slug]
    source = f"[{paper.title}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else paper.title
    lines = [f"**Claim.** {paper.claim}", "", f"*{source}*, {paper.month}. `scorecraft cite {slug}`", ""]
    if functions := implementations().get(slug):
        lines += ["**Functions**", "", *(f"- `{name}`" for name in functions), ""]
    if (folder / slug / "full.json").is_file():
        lines += _study(results.read(slug, folder=folder), folder)
    return "\n".join(lines)


def _study(result: Mapping[str, Any], folder: Path) -> list[str]:
    slug = result["slug"]
    lines = [f"**What came out here: {result['verdict']}**", ""]
    for experiment in result["experiments"]:
        aside = "" if experiment["decides"] else " (shown, decides nothing)"
        lines += [f"*{experiment['title']}.* {experiment['question']}{aside}", ""]
        if experiment["checks"]:
            lines += ["| what must come out | found, 95 % interval | |", "|---|---|---|"]
            lines += [
                f"| {_cell(check['text'])} | {_found(check)} | {check['verdict']} |" for check in experiment["checks"]
            ]
            lines.append("")
        if experiment["limits"]:
            lines += [f"{experiment['limits']}", ""]
    picture = folder / slug / "full.svg"
    if picture.is_file():
        data = base64.b64encode(picture.read_bytes()).decode()
        lines += [f"![{slug}: every seed, means and intervals](data:image/svg+xml;base64,{data})", ""]
    if result["limits"]:
        lines += [f"**Not shown.** {result['limits']}", ""]
    seeds = sorted({seed for experiment in result["experiments"] for seed in experiment["seeds"]})
    ran = f"{result['seconds'] / 60:.1f} minutes of computing, seeds {', '.join(map(str, seeds))}"
    return [
        *lines,
        f"`scorecraft study run {slug} --scale full` ({ran}); `scorecraft study show {slug}` prints every seed.",
    ]


def _found(check: Mapping[str, Any]) -> str:
    return f"{check['estimate']:.3g} [{check['low']:.3g}, {check['high']:.3g}]"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
