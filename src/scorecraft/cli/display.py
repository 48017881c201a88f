"""How the progress of a training run looks: a live panel, plain lines, nothing, or JSON lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Table

from scorecraft.cli.summaries import metric_names, print_summary, with_interval
from scorecraft.cli.terminal import clean, duration, errors, figure, output, plain, sparkline
from scorecraft.recipes.display import Level, Metrics, QuietDisplay, TrainingDisplay, TrainingSummary
from scorecraft.runs.files import json_text

if TYPE_CHECKING:
    from scorecraft.recipes.recipe import Recipe

__all__ = ["JsonDisplay", "LiveDisplay", "PlainDisplay", "QuietDisplay", "choose_display", "phase_bar"]

_SHOWN = ("reward", "accuracy", "length", "truncated", "entropy", "tokens_per_second")
_LABELS = {"accuracy": "true accuracy", "tokens_per_second": "tokens/s"}


def choose_display(*, quiet: bool, json: bool) -> TrainingDisplay:
    """Return the display that fits: JSON or quiet where asked for, live on a terminal, plain lines elsewhere."""
    if json:
        return JsonDisplay()
    if quiet:
        return QuietDisplay()
    console = output()
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


class _Clock:
    """Time since the start, and the time left at the pace so far."""

    def __init__(self, first_step: int, steps: int) -> None:
        self.started = time.monotonic()
        self.first_step, self.steps, self.step = first_step, steps, first_step

    def left(self) -> str:
        done = self.step - self.first_step
        if done < 1:
            return ""
        pace = (time.monotonic() - self.started) / done
        return f"{duration(pace * (self.steps - self.step))} left"


def _opening(recipe: Recipe, directory: Path, first_step: int, steps: int) -> str:
    rewards = " + ".join(recipe.reward)
    span = f"steps {first_step + 1} to {steps}" if first_step else f"{steps} steps"
    return clean(f"{recipe.policy.name} on {recipe.task.name}, reward {rewards}, {span} -> {directory}")


class PlainDisplay(TrainingDisplay):
    """Lines for logs and pipes: one every twentieth of the run, and every evaluation."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or output()
        self.clock = _Clock(0, 1)
        self._phase: tuple[str, int] = ("", -1)

    def _line(self, text: str) -> None:
        self.console.print(clean(text), soft_wrap=True)

    def start(self, recipe: Recipe, directory: Path, first_step: int, steps: int) -> None:
        """Print what is about to happen."""
        self.clock = _Clock(first_step, steps)
        self._line(_opening(recipe, directory, first_step, steps))

    def message(self, text: str, level: Level = "info") -> None:
        """Print the message."""
        self._line(f"warning: {text}" if level == "warning" else text)

    def phase(self, name: str, done: int, total: int) -> None:
        """Print a line at every quarter of the work; its end shows by what follows."""
        quarter = 4 * done // max(total, 1)
        if (name, quarter) != self._phase and done < total:
            self._line(f"{name} {done}/{total}")
        self._phase = (name, quarter)

    def step(self, metrics: Metrics) -> None:
        """Print the figures of every twentieth part of the run."""
        self.clock.step = step = int(metrics.get("step") or self.clock.step + 1)
        every = max(1, self.clock.steps // 20)
        if step % every and step not in (self.clock.first_step + 1, self.clock.steps):
            return
        figures = [f"{_LABELS.get(n, n)} {figure(n, metrics[n])}" for n in _SHOWN if metrics.get(n) is not None]
        self._line("  ".join([f"step {step}/{self.clock.steps}", *figures, self.clock.left()]).rstrip())

    def evaluation(self, step: int, metrics: Metrics) -> None:
        """Print the held-out figures."""
        if step == self.clock.first_step:
            self.clock.started = time.monotonic()  # what comes before the first step says nothing of the steps' pace
        figures = [f"{name} {with_interval(name, metrics)}" for name in metric_names(metrics)]
        self._line("  ".join([f"held out after step {step}:", *figures]))

    def finish(self, summary: TrainingSummary) -> None:
        """Print the table and where the report is."""
        print_summary(self.console, summary)


class LiveDisplay(PlainDisplay):
    """A panel that follows the run: bar, time left, figures, and the course of reward and true accuracy."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(console)
        self._live: Live | None = None
        self._working: tuple[str, int, int] | None = None
        self._latest: dict[str, float | None] = {}
        self._courses: dict[str, list[float | None]] = {"reward": [], "accuracy": []}

    def _show(self) -> None:
        if self._live is None:
            self._live = Live(console=self.console, get_renderable=self._panel, refresh_per_second=4)
            self._live.start()

    def close(self) -> None:
        """Take the panel down, leaving its last state on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _panel(self) -> RenderableType:
        width = max(10, min(40, self.console.width - 40))
        rows = Table.grid(padding=(0, 2))
        name, done, total = self._working or ("step", self.clock.step, self.clock.steps)
        bar = ProgressBar(total=max(total, 1), completed=done, width=width)
        rows.add_row(plain(name, "bold"), bar, f"{done}/{total}", "" if self._working else self.clock.left())
        for course, values in self._courses.items():
            if values:
                label = _LABELS.get(course, course)
                rows.add_row(label, sparkline(values, width), figure(course, values[-1]))
        others = [n for n in _SHOWN if n not in self._courses and self._latest.get(n) is not None]
        line = "   ".join(f"{_LABELS.get(n, n)} {figure(n, self._latest[n])}" for n in others)
        return Group(rows, plain(line, "dim")) if line else rows

    def phase(self, name: str, done: int, total: int) -> None:
        """Show the bar of the work instead of that of the steps, until it is done."""
        self._working = None if done >= total else (name, done, total)
        self._show()

    def step(self, metrics: Metrics) -> None:
        """Take the step's figures into the panel."""
        self.clock.step = int(metrics.get("step") or self.clock.step + 1)
        self._working = None
        self._latest = dict(metrics)
        for course, values in self._courses.items():
            if course in metrics:
                values.append(metrics[course])
        self._show()

    def finish(self, summary: TrainingSummary) -> None:
        """Close the panel and print the table."""
        self.close()
        super().finish(summary)


class JsonDisplay(TrainingDisplay):
    """One JSON object a line on standard output, for programs: each has an ``event``; NaN is written as null."""

    def _line(self, event: str, **values: object) -> None:
        sys.stdout.write(json_text({"event": event, **values}) + "\n")
        sys.stdout.flush()

    def start(self, recipe: Recipe, directory: Path, first_step: int, steps: int) -> None:
        """Write the resolved recipe and where the run is."""
        self._line("start", directory=str(directory), first_step=first_step, steps=steps, recipe=recipe.resolved())

    def message(self, text: str, level: Level = "info") -> None:
        """Write the message with its level."""
        self._line("message", level=level, text=text)

    def phase(self, name: str, done: int, total: int) -> None:
        """Write how far the work is."""
        self._line("phase", name=name, done=done, total=total)

    def step(self, metrics: Metrics) -> None:
        """Write the step's metrics."""
        self._line("step", **metrics)

    def evaluation(self, step: int, metrics: Metrics) -> None:
        """Write the held-out metrics."""
        self._line("evaluation", **{**metrics, "step": step})

    def finish(self, summary: TrainingSummary) -> None:
        """Write the summary."""
        paths = {"directory": str(summary.directory), "report": str(summary.report)}
        metrics = {"before": summary.before, "after": summary.after, "final": summary.final}
        self._line("finish", steps=summary.steps, seconds=summary.seconds, **paths, **metrics)


@contextmanager
def phase_bar(*, show: bool = True) -> Iterator[Callable[[str, int, int], None]]:
    """Give a function ``(name, done, total)`` that draws progress on standard error where that is a terminal."""
    console = errors()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not (show and console.is_terminal)) as progress:
        tasks = {}

        def report(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(clean(name), total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield report
