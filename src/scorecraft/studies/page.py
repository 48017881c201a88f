"""One page with all studies: claim, verdict, picture, checks with their intervals, and what it cannot show."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --edge: #8884; --dim: #777; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2.5rem 0 .3rem } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
.verdict { display: inline-block; padding: 0 .6em; border-radius: 1em; font-size: .85rem; color: #fff; }
.holds { background: #00734f } .does-not-hold { background: #b04a00 } .inconclusive { background: #6b6b6b }
.dim { color: var(--dim) } img { max-width: 100%; background: #fff; border-radius: 6px; }
.wide { overflow-x: auto } table { border-collapse: collapse; min-width: 30rem }
td, th { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--edge); vertical-align: top }
"""


def page(results: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Return the page as HTML that needs nothing else; pictures are read from ``folder``."""
    count = {}
    for result in results:
        count[result["verdict"]] = count.get(result["verdict"], 0) + 1
    said = ", ".join(f"{number} {verdict}" for verdict, number in count.items()) or "none yet"
    index = "".join(
        f'<tr><td><a href="#{escape(r["slug"])}">{escape(r["slug"])}</a></td><td>{_badge(r["verdict"])}</td>'
        f"<td>{escape(r['claim'])}</td></tr>"
        for r in results
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>scorecraft: studies</title><style>{_STYLE}</style></head><body><h1>Studies</h1>"
        f"<p>Published claims, re-run against their own baselines: {escape(said)}. Intervals are 95 % percentile "
        "bootstrap intervals over seeds; differences are paired by seed. A claim holds where every check's interval "
        "lies wholly on the claimed side.</p>"
        f'<div class="wide"><table><tr><th>method</th><th>verdict</th><th>claim</th></tr>{index}</table></div>'
        + "".join(section(result, folder) for result in results)
        + "</body></html>\n"
    )


def section(result: Mapping[str, Any], folder: Path) -> str:
    """Return the part of the page on one study."""
    picture = folder / result["slug"] / f"{result['scale']}.svg"
    image = ""
    if picture.is_file():
        data = base64.b64encode(picture.read_bytes()).decode()
        alternative = f"{result['slug']}: every seed, means and intervals"
        image = f'<p><img alt="{escape(alternative)}" src="data:image/svg+xml;base64,{data}"></p>'
    machine = result["environment"]["machine"]
    ran = (
        f"{result['seconds'] / 60:.0f} min of computing on {machine['processor']}, {machine['cores']} cores; "
        f"commit {str(result['environment'].get('commit', ''))[:12]}"
    )
    return (
        f'<h2 id="{escape(result["slug"])}">{escape(result["title"])}</h2>'
        f"<p>{_badge(result['verdict'])} {escape(result['claim'])}</p>{image}"
        + "".join(_experiment(experiment) for experiment in result["experiments"])
        + (f"<p>What this cannot show: {escape(result['limits'])}</p>" if result["limits"] else "")
        + f'<p class="dim">{escape(ran)}</p>'
    )


def _experiment(experiment: Mapping[str, Any]) -> str:
    role = "" if experiment["decides"] else ' <span class="dim">(shown, does not decide)</span>'
    checks = "".join(
        f"<tr><td>{escape(check['text'])}</td>"
        f"<td>{check['estimate']:.3g} [{check['low']:.3g}, {check['high']:.3g}]</td>"
        f"<td>{_badge(check['verdict'])}</td></tr>"
        for check in experiment["checks"]
    )
    table = f'<div class="wide"><table>{checks}</table></div>' if checks else ""
    limits = f'<p class="dim">{escape(experiment["limits"])}</p>' if experiment["limits"] else ""
    seeds = f"{len(experiment['seeds'])} seeds"
    return (
        f"<h3>{escape(experiment['title'])}{role}</h3>"
        f'<p>{escape(experiment["question"])} <span class="dim">{seeds}</span></p>{table}{limits}'
    )


def _badge(verdict: str) -> str:
    return f'<span class="verdict {escape(verdict.replace(" ", "-").split(",")[0])}">{escape(verdict)}</span>'
