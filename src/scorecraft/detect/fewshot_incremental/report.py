"""What became of old and new classes, session by session: four numbers that the tricks move in opposite directions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError


@dataclass(frozen=True, slots=True)
class SessionAccuracy:
    """Accuracy over all classes seen, over base classes, over new ones (NaN before any came), and what they mean."""

    session: int
    overall: float
    base: float
    novel: float
    harmonic: float


@implements("fewshot-incremental")
def session_accuracy(
    y_true: Int64[Tensor, " row"], y_pred: Int64[Tensor, " row"], base_classes: Collection[int], session: int
) -> SessionAccuracy:
    """Return the accuracies after a session; ``harmonic = 2 B N / (B + N)`` of base and new classes.

    Args:
        y_true: labels of test rows of all classes seen.
        y_pred: predicted labels.
        base_classes: labels of the base session.
        session: 0 for the base session.

    Raises `ScorecraftError` for no rows of a base class.

    Source: arXiv 2403.14392, section 4; the harmonic mean as in few-shot learning with a generalised test set.
    """
    right = (y_true == y_pred).double()
    old = torch.isin(y_true, torch.tensor(sorted(base_classes), dtype=torch.int64))
    if not old.any():
        raise ScorecraftError("session_accuracy: no test rows of a base class")
    base, novel = float(right[old].mean()), float(right[~old].mean()) if (~old).any() else math.nan
    harmonic = 2 * base * novel / (base + novel) if base + novel != 0 else 0.0
    return SessionAccuracy(session, float(right.mean()), base, novel, harmonic)


@dataclass(frozen=True, slots=True)
class FSCILReport:
    """The accuracies after every session, the base session first."""

    sessions: tuple[SessionAccuracy, ...]

    def __post_init__(self) -> None:
        """Raise `ScorecraftError` for a report of no session."""
        if not self.sessions:
            raise ScorecraftError("FSCILReport: no session was evaluated yet")

    @property
    def final(self) -> SessionAccuracy:
        """The accuracies after the last session."""
        return self.sessions[-1]

    @property
    def average(self) -> float:
        """The mean of the overall accuracy over sessions."""
        return sum(session.overall for session in self.sessions) / len(self.sessions)

    @property
    def performance_drop(self) -> float:
        """The overall accuracy after the base session less that after the last one."""
        return self.sessions[0].overall - self.final.overall

    def table(self) -> str:
        """Return a Markdown table, a session a row, and the mean and the drop beneath it."""
        lines = ["| session | overall | base | novel | harmonic |", "|---|---|---|---|---|"]
        for row in self.sessions:
            cells = " | ".join(_percent(value) for value in (row.overall, row.base, row.novel, row.harmonic))
            lines.append(f"| {row.session} | {cells} |")
        lines += ["", f"mean over sessions {_percent(self.average)}, drop {_percent(self.performance_drop)}"]
        return "\n".join(lines)


def ablation_table(reports: Mapping[str, FSCILReport]) -> str:
    """Return a Markdown table of several reports, one a row: mean, drop, and the last session's four accuracies.

    Raises `ScorecraftError` for no reports.
    """
    if not reports:
        raise ScorecraftError("ablation_table: no reports")
    lines = ["| tricks | mean | drop | last | base | novel | harmonic |", "|---|---|---|---|---|---|---|"]
    for name, report in reports.items():
        last = report.final
        values = (report.average, report.performance_drop, last.overall, last.base, last.novel, last.harmonic)
        lines.append(f"| {name} | " + " | ".join(_percent(value) for value in values) + " |")
    return "\n".join(lines)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"
