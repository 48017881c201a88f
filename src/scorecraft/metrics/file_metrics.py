"""All metrics of a file of predictions, from one pass over it in memory that does not grow with the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from numpy.typing import NDArray

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.multiclass import MulticlassStream, MulticlassTotals, multiclass_metrics
from scorecraft.metrics.prediction_columns import (
    BinaryLabels,
    Categories,
    ClassLabels,
    Probabilities,
    as_text,
    find_probabilities,
    probabilities,
)
from scorecraft.metrics.prediction_file import PredictionFile, open_predictions
from scorecraft.metrics.slices import CalibrationSlice, SliceSums, calibration_slices
from scorecraft.metrics.streaming import BinaryStream, BinaryTotals
from scorecraft.metrics.summary import CONFIDENCE, RESAMPLES, Measured, binary_metrics

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[int, int], None]

# Up to so many rows scores are kept as they are and all metrics are exact.
EXACT_ROWS = 2_000_000
# Bits of the bins of a group, which are many; columns that slices are made of by themselves, at most.
GROUP_BITS, MOST_SLICED = 10, 30
RANGES = 6  # of a column of numbers


class Group(NamedTuple):
    """One value of a column of groups, and its metrics."""

    column: str
    value: str
    rows: int
    mean_prob: float
    metrics: list[Measured]


@dataclass(frozen=True)
class FileMetrics:
    """What a file's probabilities are worth.

    classes: of several columns; none for one. exact: whether scores were kept as they are. totals: of the one column,
    or of "the most probable class is right" and its probability. slices: tested together, the worst first. sliced: the
    columns that they were made of.
    """

    path: Path
    label: str
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    rows: int
    exact: bool
    metrics: list[Measured]
    totals: BinaryTotals
    groups: list[Group]
    slices: list[CalibrationSlice]
    sliced: tuple[str, ...]
    confidence: float = CONFIDENCE


@dataclass
class Settings:
    """What is read, and how: the column of labels and those of probabilities; which label the one probability is of;
    columns of groups; whether the other columns are sliced as well; at which probability a row counts as positive."""

    label: str
    prob: list[str]
    positive: str | None = None
    group: list[str] = field(default_factory=list[str])
    slices: bool = True
    threshold: float = 0.5
    confidence: float = CONFIDENCE
    resamples: int = RESAMPLES
    seed: int = 0
    exact_rows: int = EXACT_ROWS


def measure_file(path: Path, settings: Settings, progress: Progress | None = None) -> FileMetrics:
    """Return all metrics of a file of predictions.

    Args:
        path: a Parquet, CSV, TSV or JSON Lines file.
        settings: which columns, and how.
        progress: told how much was read of how much.

    Raises `ScorecraftError` for columns that are not there, values that are no labels or probabilities, with their row,
    a threshold outside [0, 1], and a file without rows.
    """
    if not 0 <= settings.threshold <= 1:
        raise ScorecraftError(f"threshold: expected a probability, got {settings.threshold}")
    if not 0 < settings.confidence < 1:
        raise ScorecraftError(f"confidence: expected a number between 0 and 1, such as 0.95, got {settings.confidence}")
    file = open_predictions(path)
    found = find_probabilities(file, settings.prob, settings.label)
    for name in settings.group:
        file.check([name])
        if name == settings.label:
            raise ScorecraftError(f"{path}: '{name}' is the label; expected another column of groups")
    pass_ = _Pass(file, found, settings)
    columns = [settings.label, *found.columns, *(name for name in pass_.sliced if name not in found.columns)]
    for batch in file.batches(columns, progress):
        pass_.add(batch)
    return pass_.finish()


class _Pass:
    """One pass over a file: everything that is added up."""

    def __init__(self, file: PredictionFile, found: Probabilities, settings: Settings) -> None:
        self.file, self.found, self.settings = file, found, settings
        self.rows, self.exact = 0, True
        self.several = len(found.columns) > 1
        self.labels = (
            ClassLabels(file.path, settings.label, found) if self.several
            else BinaryLabels(file.path, settings.label, settings.positive)
        )  # fmt: skip
        self.stream = (
            MulticlassStream(len(found.columns)) if self.several else BinaryStream(threshold=settings.threshold)
        )
        known = {settings.label, *found.columns}
        others = [name for name in file.names if name not in known and name not in settings.group]
        self.sliced = _slicers(file, settings.group, others if settings.slices else [])
        self.slice_sums = {name: SliceSums() for name in self.sliced}
        self.groups: dict[str, list[BinaryStream]] = {name: [] for name in settings.group}

    def add(self, batch: pa.RecordBatch) -> None:
        """Add a batch of rows."""
        path, first = self.file.path, self.rows + 1
        labels = self.labels.decode(batch.column(self.settings.label), first)
        prob = probabilities(batch, self.found.columns, path, first)
        if isinstance(self.stream, MulticlassStream):
            self.stream.add(labels, prob)
            best = prob.argmax(1)
            labels, prob = best == labels, np.take_along_axis(prob, best[:, None], 1)[:, 0].clip(0, 1)
        else:
            self.stream.add(labels, prob)
        for name, slicer in self.sliced.items():
            codes = slicer.decode(batch.column(name))
            self.slice_sums[name].add(codes, labels, prob)
            if name in self.groups:
                self._add_groups(self.groups[name], codes, labels, prob)
        self.rows += batch.num_rows
        if self.exact and self.rows > self.settings.exact_rows:
            self.exact = False
            self.stream.fold()

    def _add_groups(
        self,
        streams: list[BinaryStream],
        codes: Int64[np.ndarray, " row"],
        labels: Bool[np.ndarray, " row"],
        prob: Float[np.ndarray, " row"],
    ) -> None:
        for code in np.unique(codes).tolist():
            while len(streams) <= code:
                streams.append(BinaryStream(bits=GROUP_BITS, threshold=self.settings.threshold))
                streams[-1].fold()
            rows = codes == code
            streams[code].add(labels[rows], prob[rows])

    def finish(self) -> FileMetrics:
        """Return what all rows say."""
        if not self.rows:
            raise ScorecraftError(f"{self.file.path}: no rows; expected one or more predictions")
        if isinstance(self.labels, BinaryLabels):
            self.labels.finish()
        chosen = self.settings
        options: dict[str, Any] = {
            "confidence": chosen.confidence, "resamples": chosen.resamples, "seed": chosen.seed,
        }  # fmt: skip
        totals = self.stream.totals()
        if isinstance(totals, MulticlassTotals):
            metrics, whole = multiclass_metrics(totals, **options), totals.top
        else:
            metrics, whole = binary_metrics(totals, **options), totals
        columns = [(name, slicer.names, self.slice_sums[name]) for name, slicer in self.sliced.items()]
        return FileMetrics(
            self.file.path, chosen.label, self.found.columns, self.found.classes, self.rows, self.exact, metrics, whole,
            self._groups(options), calibration_slices(columns, confidence=chosen.confidence), tuple(self.sliced),
            chosen.confidence,
        )  # fmt: skip

    def _groups(self, options: dict[str, Any]) -> list[Group]:
        found = []
        for name, streams in self.groups.items():
            for value, stream in zip(self.sliced[name].names, streams, strict=True):
                totals = stream.totals()
                mean = float(totals.sums.prob.sum() / totals.rows)
                found.append(Group(name, value, totals.rows, mean, binary_metrics(totals, **options)))
        return sorted(found, key=lambda group: (group.column, -group.rows))


class _Ranges:
    """Numbers the ranges of a column of numbers, cut where a sample of it has its quantiles."""

    def __init__(self, path: Path, name: str, cuts: Float64[np.ndarray, " cut"]) -> None:
        self.path, self.name, self.cuts = path, name, cuts
        ends = [f"{cut:.4g}" for cut in cuts]
        self.names = [
            f"below {ends[0]}",
            *(f"{low} to {high}" for low, high in pairwise(ends)),
            f"{ends[-1]} and above",
            "(empty)",
        ]

    def decode(self, column: pa.Array) -> NDArray[np.int64]:
        """Return the number of each row's range; what is no number has the last."""
        values = _numeric(column)
        if values is None:
            return np.full(len(column), len(self.names) - 1, dtype=np.int64)
        return np.where(np.isnan(values), len(self.names) - 1, np.searchsorted(self.cuts, values, side="right"))


def _slicers(file: PredictionFile, groups: Sequence[str], others: Sequence[str]) -> dict[str, Categories | _Ranges]:
    """Return what numbers the values of each column that slices are made of.

    Columns that were asked for are taken as they are; others where a sample of the file has few values, or numbers,
    which are cut into ranges.
    """
    found: dict[str, Categories | _Ranges] = {name: Categories(file.path, name) for name in groups}
    usable = [name for name in others if file.names.count(name) == 1]
    if not usable:
        return found
    sample = [batch.slice(0, 20_000) for batch in file.sample(usable)]
    for name in usable:
        if len(found) >= MOST_SLICED:
            break
        slicer = _slicer(file.path, name, [batch.column(name) for batch in sample])
        if slicer is not None:
            found[name] = slicer
    return found


def _slicer(path: Path, name: str, columns: list[pa.Array]) -> Categories | _Ranges | None:
    import pyarrow as pa

    kind = columns[0].type if columns else pa.null()
    if pa.types.is_nested(kind) or pa.types.is_null(kind):
        return None
    texts = {as_text(value) for column in columns for value in column.unique().to_pylist()}
    rows = sum(len(column) for column in columns)
    if len(texts) <= 20:
        return Categories(path, name, most=20, merge=True) if len(texts) > 1 else None
    values = [_numeric(column) for column in columns]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        few = len(texts) <= 100 and 20 * len(texts) <= rows
        return Categories(path, name, most=100, merge=True) if few else None
    all_values = np.concatenate(known)
    all_values = all_values[np.isfinite(all_values)]
    # As many values as rows, one apart: a number of rows and no measurement.
    if not len(all_values) or (len(texts) == rows > 1 and (np.diff(all_values) == 1).all()):
        return None
    cuts = np.unique(np.quantile(all_values, np.arange(1, RANGES) / RANGES, method="lower"))
    cuts = cuts[cuts > all_values.min()]
    return _Ranges(path, name, cuts) if len(cuts) else None


def _numeric(column: pa.Array) -> Float64[np.ndarray, " row"] | None:
    """Return a column as numbers, NaN where it is empty; None where it holds anything else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            trimmed = pc.call_function("utf8_trim_whitespace", [column])
            column = pc.call_function("if_else", [pc.call_function("equal", [trimmed, pa.scalar("")]), None, trimmed])
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    except pa.ArrowException:
        return None
