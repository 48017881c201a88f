"""The tables a command ends with: held-out metrics with their intervals, before and after."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from scorecraft.cli.terminal import MISSING, clean, duration, figure, known, plain
from scorecraft.recipes.display import TrainingSummary

# What was measured on, rather than a result.
_SIZES = ("step", "seconds", "problems", "samples")
_FIRST = ("accuracy", "reward", "length", "truncated")


def metric_names(*tables: Mapping[str, float | None]) -> list[str]:
    """Return the metrics of all tables once, the important ones first, without sample sizes and ends of intervals."""
    names = dict.fromkeys(name for table in tables for name in table if name not in _SIZES)
    own = [n for n in names if not (n.endswith(("_low", "_high")) and n.rpartition("_")[0] in names)]
    return sorted(own, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))


def with_interval(name: str, metrics: Mapping[str, float | None]) -> str:
    """Return a metric's figure with its interval, where the metrics have ``<name>_low`` and ``<name>_high``."""
    text = figure(name, metrics.get(name))
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    if not known(low) or not known(high) or text == MISSING:
        return text
    return f"{text}  [{figure(name, low).removesuffix(' %')}, {figure(name, high).removesuffix(' %')}]"


def change(name: str, before: float | None, after: float | None) -> str:
    """Return the difference with its sign; shares in percentage points."""
    if not known(before) or not known(after):
        return MISSING
    difference = after - before
    text = figure(name, abs(difference)).replace(" %", " points")
    return f"{'+' if difference >= 0 else '-'}{text}"


def before_and_after(summary: TrainingSummary) -> Table:
    """Return the table of held-out metrics before and after training."""
    table = Table(title="held-out problems, 95 % intervals", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right")
    before, after = summary.before, summary.after
    for name in metric_names(before, after):
        row = [with_interval(name, before), with_interval(name, after)]
        table.add_row(plain(name), *row, change(name, before.get(name), after.get(name)))
    return table


def print_summary(console: Console, summary: TrainingSummary) -> None:
    """Print what a run came to: the table, the time, and where to look."""
    console.print()
    if summary.before or summary.after:
        console.print(before_and_after(summary))
        console.print()
    last = summary.final.get("reward")
    reward = f", reward {figure('reward', last)} in the last step" if last is not None else ""
    console.print(f"{summary.steps} step{'' if summary.steps == 1 else 's'} in {duration(summary.seconds)}{reward}")
    console.print(f"report: {clean(str(summary.report))}", soft_wrap=True)


def print_metrics(console: Console, title: str, metrics: Mapping[str, float | None]) -> None:
    """Print one set of metrics with intervals."""
    console.print(clean(title), soft_wrap=True)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    for name in metric_names(metrics):
        table.add_row(plain(name), with_interval(name, metrics))
    console.print(table)
