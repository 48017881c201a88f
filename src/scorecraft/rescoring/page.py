"""The page on a scored file: distribution, groups, lengths, outcomes, examples, and the comparison if there was one.

One file that needs nothing else. Everything that a model or a file wrote is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from scorecraft.rescoring.run import ScoringResult
from scorecraft.rescoring.tally import failures, mean

BINS = 24
_STYLE = """
:root { color-scheme: light dark; --edge: #8883; --dim: #6b6b6b; --bar: #2f6fba; --bad: #b04a00; --card: #8881; }
@media (prefers-color-scheme: dark) { :root { --dim: #a5a5a5; --bar: #6ea8e8; --bad: #ef9a5d; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem }
.dim { color: var(--dim) } .bad { color: var(--bad) } .wide { overflow-x: auto }
table { border-collapse: collapse } td, th { text-align: left; padding: .25rem 1.2rem .25rem 0; vertical-align: top;
border-bottom: 1px solid var(--edge) } td.n { text-align: right; font-variant-numeric: tabular-nums }
svg { max-width: 100%; height: auto } svg rect { fill: var(--bar) } svg text { fill: var(--dim); font: 11px system-ui }
details { background: var(--card); border-radius: 6px; padding: .4rem .8rem; margin: .4rem 0 }
summary { cursor: pointer } pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0; font-size: .85rem }
"""


def write_page(result: ScoringResult, title: str) -> Path:
    """Write ``report.html`` beside the scores and return its path.

    Args:
        result: what `score_file` returned.
        title: the name of what was scored.
    """
    from scorecraft.runs import files

    path = result.folder / "report.html"
    files.replace_text(path, page(result, title))
    return path


def page(result: ScoringResult, title: str) -> str:
    """Return the page as HTML."""
    counts = result.counts
    sections = [
        _head(result, title),
        _distribution(result),
        _rewards(result),
        _lengths(counts),
        _comparison(result),
        _examples(counts),
        _bad_rows(counts),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{policy}"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · scorecraft</title><style>{_STYLE}</style></head><body>"
        + "".join(sections)
        + "</body></html>\n"
    )


def _head(result: ScoringResult, title: str) -> str:
    counts = result.counts
    total, groups = counts["total"], counts["groups"]
    without = counts["rows"] - counts["unreadable"] - int(total["count"])
    lines = [
        f"<h1>{escape(title)}</h1><p>{counts['rows']:,} rows of format '{escape(result.format)}', mean reward "
        f"<b>{_number(mean(total))}</b>. {groups['count']:,.0f} groups; of {groups['compared']:,.0f} with two or more "
        f"rewards {groups['equal']:,.0f} are all equal and would teach nothing.</p>"
    ]
    if without or counts["unreadable"]:
        lines.append(
            f'<p class="bad">{without:,} rows have no total, since a reward failed or abstained; '
            f"{counts['unreadable']:,} could not be read.</p>"
        )
    if not result.has_answers:
        lines.append(
            '<p class="bad">The file has no column of true answers, so a reward that checks answers saw none.</p>'
        )
    return "".join(lines)


def _distribution(result: ScoringResult) -> str:
    """Return how totals, and the mean totals of groups, are distributed."""
    total = result.counts["total"]
    if not total["count"]:
        return ""
    low, high = total["low"], total["high"]
    if high - low < 1e-12:
        return f"<h2>Distribution</h2><p>Every total is {_number(low)}.</p>"
    rows, groups = np.zeros(BINS), np.zeros(BINS)
    for values, means in totals(result.folder):
        rows += np.histogram(values, bins=BINS, range=(low, high))[0]
        groups += np.histogram(means, bins=BINS, range=(low, high))[0]
    by_row = "<h2>Distribution of the total</h2>" + _histogram(rows, low, high, "rows")
    if groups.sum() == rows.sum():
        return by_row
    return (
        by_row
        + "<h2>By group: mean total of each prompt's completions</h2>"
        + _histogram(groups, low, high, "groups")
        + "<p class=dim>Prompts at either end teach little: all their completions earn nearly the same.</p>"
    )


def _histogram(heights: np.ndarray, low: float, high: float, what: str) -> str:
    width, height = 640, 150
    bar, most = width / BINS, heights.max()
    bars = "".join(
        f'<rect x="{place * bar:.1f}" y="{height - height * count / most:.1f}" width="{bar - 1:.1f}" '
        f'height="{height * count / most:.1f}"><title>{low + place * (high - low) / BINS:.3g} to '
        f"{low + (place + 1) * (high - low) / BINS:.3g}: {count:,.0f} {what}</title></rect>"
        for place, count in enumerate(heights)
        if count
    )
    return (
        f'<svg viewBox="0 0 {width} {height + 18}" role="img" width="{width}" '
        f'aria-label="Histogram of {what} from {low:.3g} to {high:.3g}">{bars}'
        f'<text x="0" y="{height + 14}">{_number(low)}</text>'
        f'<text x="{width}" y="{height + 14}" text-anchor="end">{_number(high)}</text></svg>'
    )


def totals(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, part by part, the totals that there are and the mean of each group."""
    import pyarrow.parquet as pq

    for path in sorted((folder / "parts").glob("part-*.parquet")):
        table = pq.read_table(str(path), columns=["total", "group"])
        known = table.filter(table.column("total").is_valid())
        values = known.column("total").to_numpy().astype(np.float64)
        _, place = np.unique(known.column("group").to_numpy(), return_inverse=True)
        yield values, np.bincount(place, values) / np.maximum(np.bincount(place), 1)


def _rewards(result: ScoringResult) -> str:
    rows = []
    for name, reward in result.counts["rewards"].items():
        values = reward["values"]
        lost = ", ".join(f"{count:,} {outcome}" for outcome, count in failures(reward).items()) or "none"
        measures = "; ".join(
            f"{escape(key)} {_number(mean(found))}" for key, found in reward["measures"].items() if found["count"]
        )
        bounds = f"{_number(values.get('low'))} to {_number(values.get('high'))}"
        weight = _number(result.weights["reward"].get(name))
        rows.append([escape(name), weight, _number(mean(values)), bounds, escape(lost), measures])
    head = ("reward", "weight", "mean", "from, to", "without a value", "measured beside it")
    return "<h2>Rewards</h2>" + _table(head, rows)


def _lengths(counts: Mapping[str, Any]) -> str:
    rows = [
        [f"up to {size}", f"{count:,.0f}", _number(total / count)]
        for size, (count, total) in sorted(counts["lengths"].items(), key=lambda item: int(item[0]))
    ]
    return "<h2>By length of the completion</h2>" + _table(("length", "rows", "mean total"), rows) if rows else ""


def _comparison(result: ScoringResult) -> str:
    found = result.comparison
    if found is None:
        return ""
    rows = [[escape(name), escape(text)] for name, text in comparison_lines(found)]
    parts = [
        [side, escape(name), _number(value)]
        for side, own in found["contributions"].items()
        for name, value in own.items()
    ]
    return (
        "<h2>Against the other reward</h2>"
        + _table(("", ""), rows)
        + "<h2>What each reward adds to the mean total</h2>"
        + _table(("recipe", "reward", "adds"), parts)
    )


def comparison_lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the comparison in rows of a name and a text."""
    difference = found["difference"]
    interval = "" if difference["low"] is None else f" [{difference['low']:+.3g}, {difference['high']:+.3g}]"
    estimate = "-" if difference["estimate"] is None else f"{difference['estimate']:+.3g}"
    pairs, rows = max(found["pairs"], 1), max(found["rows"], 1)
    return [
        ("mean difference (95 % interval over groups)", f"{estimate}{interval}, {found['rows']:,} rows in "
         f"{found['groups']:,} groups"),
        ("pairs within a group ranked the other way round", f"{found['flips']:,} of {found['pairs']:,} "
         f"({found['flips'] / pairs:.1%}), in {found['flipped_groups']:,} groups"),
        ("mean change of the standardised advantage", f"{found['mean_advantage_change']:.3g}"),
        ("advantages that change sign", f"{found['sign_changes']:,} ({found['sign_changes'] / rows:.1%})"),
        ("completions with an advantage only here", f"{found['signal_gained']:,}"),
        ("completions with an advantage only there", f"{found['signal_lost']:,}"),
    ]  # fmt: skip


def _examples(counts: Mapping[str, Any]) -> str:
    found = []
    for kind, examples in counts["examples"].items():
        if not examples:
            continue
        found.append(f"<h2>Examples: {escape(kind)}</h2>")
        found += [
            f"<details><summary>{_number(one['total'])} <span class=dim>{escape(one['where'])}, length "
            f"{one['length']}</span></summary><pre class=dim>{escape(one['prompt'])}</pre>"
            f"<pre>{escape(one['completion'])}</pre>"
            f"<p class=dim>true answer: {escape(one['answer'] or 'none')}</p></details>"
            for one in examples
        ]
    return "".join(found)


def _bad_rows(counts: Mapping[str, Any]) -> str:
    if not counts["bad_rows"]:
        return ""
    listed = "".join(f"<li>{escape(text)}</li>" for text in counts["bad_rows"])
    return f"<h2>Rows that could not be read</h2><ul>{listed}</ul>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _number(value: float | None) -> str:
    # Adding 0 makes minus 0 plain 0.
    return "-" if value is None else f"{value + 0.0:.4g}"
