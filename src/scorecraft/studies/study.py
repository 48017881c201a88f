"""What a study is: a paper's claim, the experiments that try it, their arms and the checks that decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Scale = Literal["smoke", "full"]
Relation = Literal["above", "below", "within"]
Results = Mapping[str, float | list[float]]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that every trial returns; ``percent`` says how it is written."""

    name: str
    label: str
    higher_is_better: bool | None = None
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the things compared: a method or a baseline, by the settings handed to the experiment."""

    name: str
    label: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must come out if the claim is true.

    above: mean(arm - baseline) > margin. below: mean(arm - baseline) < -margin. within: its size < margin.
    Without a baseline the arm's own value is compared with ``margin``.
    """

    text: str
    metric: str
    arm: str
    relation: Relation
    baseline: str | None = None
    margin: float = 0.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """The settings tried for each arm, equally many, on seeds that are never reported; the best mean is taken."""

    candidates: Mapping[str, Sequence[Mapping[str, Any]]]
    metric: str
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A list that every trial returns, drawn with its mean and band over seeds."""

    name: str
    label: str
    x_label: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One arm with one seed: what the experiment's function gets."""

    settings: Mapping[str, Any]
    seed: int
    scale: Scale
    folder: Path
    progress: Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Experiment:
    """A question with its arms, metrics and checks; ``limits`` says what it cannot show.

    ``run`` is a module-level function, so that it can be sent to worker processes. With ``decides`` False the
    experiment is shown and does not count in the verdict.
    """

    name: str
    title: str
    question: str
    run: Callable[[Trial], Results]
    arms: tuple[Arm, ...]
    metrics: tuple[Metric, ...]
    checks: tuple[Check, ...]
    seeds: Mapping[Scale, tuple[int, ...]]
    tuning: Tuning | None = None
    curves: tuple[Curve, ...] = field(default=())
    decides: bool = True
    limits: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """A paper's claim and the experiments that try it."""

    slug: str
    claim: str
    experiments: tuple[Experiment, ...]
    limits: str = ""
