"""Metrics to TensorBoard, Weights & Biases or trackio, beside the run's own log.

A tracker is a copy for looking at. The run's own `metrics.jsonl` is what is kept and resumed from, so a tracker that
stops working costs a warning and never the run.
"""

from __future__ import annotations

import importlib.util
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from scorecraft.errors import ScorecraftError, nearest

PROJECT = "scorecraft"


class Tracker(ABC):
    """Takes the metrics of every step of one run."""

    @abstractmethod
    def __init__(self, directory: Path, recipe: Mapping[str, Any], step: int) -> None:
        """Begin, or go on after ``step``, with the run kept in ``directory``."""

    @abstractmethod
    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Take finite numbers by name."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is still held back."""


class TensorBoard(Tracker):
    """Event files under ``tensorboard/`` in the run; what a resumed run does again replaces what was there."""

    def __init__(self, directory: Path, recipe: Mapping[str, Any], step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1 if step else None)
        if step == 0:
            self.writer.add_text("recipe", f"```\n{recipe}\n```")

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Write one scalar for each metric."""
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    def finish(self) -> None:
        """Flush and close the file."""
        self.writer.close()


class WeightsAndBiases(Tracker):
    """A run of the project ``scorecraft``; project, mode and login as W&B's own environment variables say."""

    def __init__(self, directory: Path, recipe: Mapping[str, Any], step: int) -> None:
        import wandb

        settings = wandb.Settings(silent=True, init_timeout=30)
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT, name=directory.name, dir=str(directory),
            config=dict(recipe), id=run_id(directory), resume="allow" if step else None, settings=settings,
        )  # fmt: skip

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the step; W&B itself leaves out a step that it has already."""
        self.run.log(dict(metrics), step=step)

    def finish(self) -> None:
        """Wait until the run is written."""
        self.run.finish()


class Trackio(Tracker):
    """A run of the local project ``scorecraft``; ``trackio show --project scorecraft`` draws it."""

    def __init__(self, directory: Path, recipe: Mapping[str, Any], step: int) -> None:
        import trackio

        self.run = trackio.init(
            project=PROJECT, name=f"{directory.name}-{run_id(directory)[:4]}", config=_flat(recipe),
            resume="allow" if step else "never", embed=False,
        )  # fmt: skip

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the step."""
        self.run.log(dict(metrics), step=step)

    def finish(self) -> None:
        """Write what is waiting."""
        self.run.finish()


TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "trackio": Trackio}


def check_trackers(names: Sequence[str]) -> None:
    """Raise `ScorecraftError` for a tracker that is unknown, given twice, or whose library is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise ScorecraftError(f"unknown tracker '{name}': {nearest(name, TRACKERS)}")
        if importlib.util.find_spec(name) is None:
            raise ScorecraftError(f"tracker '{name}' needs '{name}': pip install 'scorecraft[trackers]'")
    if len(set(names)) < len(names):
        raise ScorecraftError(f"a tracker is given twice: {', '.join(names)}")


class Trackers:
    """Hands each step's metrics to every tracker; one that fails is warned about and left out from then on."""

    def __init__(
        self, names: Sequence[str], directory: Path, recipe: Mapping[str, Any], step: int, warn: Callable[[str], None]
    ) -> None:
        self.warn = warn
        self.open: dict[str, Tracker] = {}
        for name in names:
            self._try(name, lambda name=name: self.open.__setitem__(name, TRACKERS[name](directory, recipe, step)))

    def log(self, metrics: Mapping[str, Any], step: int, prefix: str = "") -> None:
        """Hand on every finite number of ``metrics``, under ``prefix`` and its name."""
        numbers = {
            f"{prefix}{name}": float(value)
            for name, value in metrics.items()
            if name != "step" and isinstance(value, int | float) and math.isfinite(value)
        }
        for name, tracker in list(self.open.items()):
            self._try(name, lambda tracker=tracker: tracker.log(numbers, step))

    def finish(self) -> None:
        """Close all trackers."""
        for name, tracker in list(self.open.items()):
            self._try(name, tracker.finish)
        self.open.clear()

    def _try(self, name: str, call: Callable[[], Any]) -> None:
        # Whatever a tracker's library raises (network, login, disk) must not end a training.
        try:
            call()
        except Exception as error:
            self.open.pop(name, None)
            first = (str(error).strip().splitlines() or [""])[0]
            self.warn(
                f"tracker '{name}' stopped working ({type(error).__name__}: {first}); training goes on without it, "
                "and the run's own metrics.jsonl is complete"
            )


def run_id(directory: Path) -> str:
    """Return an id that is the same whenever the run of this directory is resumed."""
    return sha256(str(directory.resolve()).encode()).hexdigest()[:16]


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested options under dotted names, which trackio's tables can show."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{name}.")
        else:
            flat[name] = value
    return flat
