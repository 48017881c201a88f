"""What a training run tells about its progress, and to whom: the interface of every display."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from scorecraft.recipes.recipe import Recipe

Level = Literal["info", "warning"]
Metrics = Mapping[str, float | None]


@dataclass(frozen=True)
class TrainingSummary:
    """What came out of a training run.

    directory: the run's folder. steps: the step it ended at. seconds: wall-clock time of this call.
    before, after: metrics on held-out problems before and after training; empty without evaluation.
    final: metrics of the last step. report: the page to look at.
    """

    directory: Path
    steps: int
    seconds: float
    before: dict[str, float]
    after: dict[str, float]
    final: dict[str, float]
    report: Path


class TrainingDisplay(ABC):
    """Receives the progress of a run; used as a context manager, so that a terminal is always left in order."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027  (most displays have nothing to tidy)
        """Give the terminal back; may be called more than once."""

    @abstractmethod
    def start(self, recipe: Recipe, directory: Path, first_step: int, steps: int) -> None:
        """Training begins (or goes on) after ``first_step`` of ``steps`` steps."""

    @abstractmethod
    def message(self, text: str, level: Level = "info") -> None:
        """Tell the reader something in a sentence."""

    @abstractmethod
    def phase(self, name: str, done: int, total: int) -> None:
        """A longer piece of work outside the steps (warm start, evaluation, conversion) has come this far."""

    @abstractmethod
    def step(self, metrics: Metrics) -> None:
        """One step is done."""

    @abstractmethod
    def evaluation(self, step: int, metrics: Metrics) -> None:
        """The policy was measured on held-out problems after ``step`` steps."""

    @abstractmethod
    def finish(self, summary: TrainingSummary) -> None:
        """Training is over."""


class QuietDisplay(TrainingDisplay):
    """Says nothing but warnings, on standard error."""

    def start(self, recipe: Recipe, directory: Path, first_step: int, steps: int) -> None:
        """Say nothing."""

    def message(self, text: str, level: Level = "info") -> None:
        """Print warnings."""
        if level == "warning":
            print(f"warning: {text}", file=sys.stderr)

    def phase(self, name: str, done: int, total: int) -> None:
        """Say nothing."""

    def step(self, metrics: Metrics) -> None:
        """Say nothing."""

    def evaluation(self, step: int, metrics: Metrics) -> None:
        """Say nothing."""

    def finish(self, summary: TrainingSummary) -> None:
        """Say nothing."""
