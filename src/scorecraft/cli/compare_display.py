"""The progress of a comparison: how far all runs are, and the one at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from scorecraft.cli.terminal import clean, errors
from scorecraft.recipes.display import Level, Metrics, TrainingDisplay, TrainingSummary

if TYPE_CHECKING:
    from scorecraft.recipes.recipe import Recipe


@contextmanager
def comparison_display(runs: int, steps: int, *, quiet: bool) -> Iterator[CompareDisplay]:
    """Give one display for all runs: two bars on a terminal, a line for each run elsewhere, on standard error.

    runs: how many runs there are. steps: the steps of all of them. quiet: say nothing but warnings.
    """
    console = errors()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    show = console.is_terminal and not quiet
    with Progress(*columns, console=console, transient=True, disable=not show) as bars:
        yield CompareDisplay(bars, runs, steps, quiet=quiet)


class CompareDisplay(TrainingDisplay):
    """Takes the progress of one run after the other; what it draws on outlives each of them."""

    def __init__(self, bars: Progress, runs: int, steps: int, *, quiet: bool = False) -> None:
        self.bars, self.runs, self.begun, self.quiet = bars, runs, 0, quiet
        self.whole = bars.add_task("steps of all runs", total=steps)
        self.current = bars.add_task("", total=None)
        self.name, self.steps, self.done = "", 1, 0

    def expect(self, name: str) -> None:
        """Take the name of the run that comes next; what is said from now on is about it."""
        self.begun += 1
        self.name = name

    def start(self, recipe: Recipe, directory: Path, first_step: int, steps: int) -> None:
        """Take how far the run is already."""
        self.steps, self.done = steps, first_step
        self.bars.advance(self.whole, first_step)
        self._show(self.name, first_step, steps)

    def _show(self, text: str, done: int, total: int) -> None:
        self.bars.update(self.current, description=clean(text), completed=done, total=total)

    def message(self, text: str, level: Level = "info") -> None:
        """Print a line, with how many runs are behind it."""
        if self.quiet and level != "warning":
            return
        text = f"warning: {self.name}: {text}" if level == "warning" else f"{self.begun}/{self.runs} {text}"
        self.bars.console.print(clean(text), soft_wrap=True)

    def phase(self, name: str, done: int, total: int) -> None:
        """Show the work in the run's bar, until it is done."""
        self._show(f"{self.name} {name}", done, total)

    def step(self, metrics: Metrics) -> None:
        """Move both bars."""
        self.done += 1
        self.bars.advance(self.whole, 1)
        self._show(self.name, self.done, self.steps)

    def evaluation(self, step: int, metrics: Metrics) -> None:
        """Say nothing; the table at the end has it."""

    def finish(self, summary: TrainingSummary) -> None:
        """Say nothing; the page is written for all runs together."""
