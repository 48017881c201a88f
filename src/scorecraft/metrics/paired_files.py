"""Two models on the same rows, each in a file of its own or in two columns of one: differences row by row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.comparison import compare_losses
from scorecraft.metrics.prediction_columns import BinaryLabels, ClassLabels, find_probabilities, probabilities
from scorecraft.metrics.prediction_file import open_predictions
from scorecraft.metrics.ranking import delong_test
from scorecraft.metrics.scoring_rules import brier_scores, log_losses
from scorecraft.metrics.streaming import Moments

# Up to so many rows the test is that of permutations; DeLong's test takes all rows at once.
PERMUTED_ROWS, RANKED_ROWS = 100_000, 5_000_000
TITLES = {
    "brier": "Brier score", "log_loss": "log loss (nats)", "accuracy": "accuracy", "auroc": "AUROC",
}  # fmt: skip
LOWER_IS_BETTER = ("brier", "log_loss")


class Difference(NamedTuple):
    """One metric of both models, the difference first less second with its interval, and the p-value of none.

    better: which of both, "first" or "second", or "" where the interval holds 0. test: that the p-value is of. note:
    why a value is missing.
    """

    name: str
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    test: str
    note: str = ""

    @property
    def title(self) -> str:
        """What the metric is called in tables."""
        return TITLES[self.name]

    @property
    def better(self) -> str:
        """Which model is better beyond chance."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return ""
        return "first" if (self.high < 0) == (self.name in LOWER_IS_BETTER) else "second"


class Paired(NamedTuple):
    """The differences of two models, and how many rows they share."""

    first: str
    second: str
    rows: int
    differences: list[Difference]


class _Side:
    """The columns of one of both files."""

    def __init__(self, path: Path, label: str, prob: list[str], positive: str | None) -> None:
        self.file = open_predictions(path)
        self.found = find_probabilities(self.file, prob, label)
        self.label, self.path = label, path
        several = len(self.found.columns) > 1
        self.labels = ClassLabels(path, label, self.found) if several else BinaryLabels(path, label, positive)

    def rows(self, progress: Callable[[int, int], None] | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield labels and probabilities, batch by batch."""
        first = 1
        for batch in self.file.batches([self.label, *self.found.columns], progress):
            labels = self.labels.decode(batch.column(self.label), first)
            yield labels, probabilities(batch, self.found.columns, self.path, first)
            first += batch.num_rows


def compare_files(
    first: tuple[Path, list[str]],
    second: tuple[Path, list[str]],
    label: str,
    *,
    positive: str | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Paired:
    """Return the differences of two models whose files have the same rows in the same order.

    Means over rows (Brier score, log loss, accuracy) differ by the mean of the rows' differences, with Student's
    interval; the p-value is that of a permutation test up to 100,000 rows, beyond it Student's. Areas under the ROC
    curve are compared by DeLong's test, up to 5 million rows.

    Args:
        first: file and columns of probabilities of the first model.
        second: of the second; the same file with other columns will do.
        label: column of labels, in both files.
        positive: which label a single probability is of.
        confidence: coverage of each interval, in (0, 1).
        seed: of the permutations.
        progress: told how much of the first file was read.

    Raises `ScorecraftError` where the files have unequal numbers of rows, or a row's labels differ, with the row.
    """
    one, other = (_Side(path, label, prob, positive) for path, prob in (first, second))
    if len(one.found.columns) != len(other.found.columns):
        raise ScorecraftError(
            f"{other.path}: {len(other.found.columns)} columns of probabilities, but {one.path} has "
            f"{len(one.found.columns)}; expected as many"
        )
    sums = _Sums(binary=len(one.found.columns) == 1)
    for labels, left, right in _aligned(one, other, progress):
        sums.add(labels, left, right)
    if not sums.rows:
        raise ScorecraftError(f"{one.path}: no rows; expected one or more predictions")
    names = (str(first[0]), str(second[0])) if first[0] != second[0] else ("/".join(first[1]), "/".join(second[1]))
    return Paired(*names, sums.rows, sums.differences(confidence, seed))


def _aligned(
    one: _Side, other: _Side, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield labels and both probabilities of the same rows, however the files are cut into batches."""
    done = 0
    left, right = one.rows(progress), other.rows(None)
    held: list[tuple[np.ndarray, np.ndarray] | None] = [None, None]
    while True:
        for place, side in enumerate((left, right)):
            if held[place] is None or not len(held[place][0]):  # pyright: ignore[reportOptionalSubscript]
                held[place] = next(side, None)
        a, b = held
        if a is None or b is None:
            break
        count = min(len(a[0]), len(b[0]))
        differ = a[0][:count] != b[0][:count]
        if differ.any():
            row = done + int(np.flatnonzero(differ)[0]) + 1
            raise ScorecraftError(
                f"{other.path}: row {row}: its '{one.label}' differs from that in {one.path}; expected the same rows "
                "in the same order"
            )
        yield a[0][:count], a[1][:count], b[1][:count]
        held = [(a[0][count:], a[1][count:]), (b[0][count:], b[1][count:])]
        done += count
    rest = [
        sum(len(labels) for labels, _ in itertools.chain([] if part is None else [part], side))
        for part, side in zip(held, (left, right), strict=True)
    ]
    if rest[0] != rest[1]:
        raise ScorecraftError(
            f"{other.path}: {done + rest[1]:,} rows, but {one.path} has {done + rest[0]:,}; expected the same rows"
        )


class _Sums:
    """What is added up over rows, and the rows themselves while they are few."""

    def __init__(self, *, binary: bool) -> None:
        self.binary, self.rows, self.infinite = binary, 0, [0, 0]
        names = ("brier", "log_loss", "accuracy")
        self.moments = {name: (Moments(), Moments(), Moments()) for name in names}
        self.losses: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in names}
        self.scores: list[tuple[np.ndarray, np.ndarray, np.ndarray]] | None = [] if binary else None

    def add(
        self, labels: Bool[np.ndarray, " row"] | Int64[np.ndarray, " row"], left: Float[np.ndarray, ...],
        right: Float[np.ndarray, ...],
    ) -> None:  # fmt: skip
        """Add rows."""
        for name, loss in (("brier", brier_scores), ("log_loss", log_losses), ("accuracy", self._right)):
            pair = (loss(labels, left), loss(labels, right))
            if name == "log_loss":
                finite = np.isfinite(pair[0]) & np.isfinite(pair[1])
                self.infinite = [
                    count + int(np.isinf(column).sum()) for count, column in zip(self.infinite, pair, strict=True)
                ]
                pair = (pair[0][finite], pair[1][finite])
            for moments, column in zip(self.moments[name], (*pair, pair[0] - pair[1]), strict=True):
                moments.add(column)
            if self.rows <= PERMUTED_ROWS:
                self.losses[name].append(pair)
        self.rows += len(labels)
        if self.scores is not None:
            self.scores.append((labels, left, right))
            if self.rows > RANKED_ROWS:
                self.scores = None

    def _right(self, labels: np.ndarray, prob: np.ndarray) -> Float[np.ndarray, " row"]:
        return ((prob >= 0.5) == labels if self.binary else prob.argmax(1) == labels).astype(np.float64)

    def differences(self, confidence: float, seed: int) -> list[Difference]:
        """Return all differences."""
        found = [self._of_means(name, confidence, seed) for name in self.moments]
        return [*found, self._of_areas(confidence)] if self.binary else found

    def _of_means(self, name: str, confidence: float, seed: int) -> Difference:
        from scipy.stats import t

        first, second, gap = self.moments[name]
        if name == "log_loss" and any(self.infinite):
            note = "infinite on {:,} rows of the first and {:,} of the second".format(*self.infinite)
            return _missing(name, note)
        if self.rows < 2:
            return _missing(name, "one row only")._replace(first=first.mean, second=second.mean, difference=gap.mean)
        error = gap.standard_error
        half = float(t.ppf((1 + confidence) / 2, gap.count - 1)) * error
        test, p_value = "Student", float(2 * t.sf(abs(gap.mean) / error, gap.count - 1)) if error else 1.0
        if self.rows <= PERMUTED_ROWS:
            left, right = (np.concatenate(column) for column in zip(*self.losses[name], strict=True))
            found = compare_losses(left, right, confidence=confidence, resamples=1999, seed=seed)
            test, p_value = "permutation", found.p_value
        return Difference(
            name, first.mean, second.mean, gap.mean, gap.mean - half, gap.mean + half, p_value, test
        )  # fmt: skip

    def _of_areas(self, confidence: float) -> Difference:
        if self.scores is None:
            return _missing("auroc", f"more than {RANKED_ROWS:,} rows")
        labels, left, right = (np.concatenate(column) for column in zip(*self.scores, strict=True))
        if labels.all() or not labels.any():
            return _missing("auroc", f"only the label {int(labels[0])} occurs")
        try:
            found = delong_test(labels, left, right, confidence=confidence)
        except ScorecraftError as error:
            return _missing("auroc", str(error))
        return Difference(
            "auroc", found.first, found.second, found.difference, found.low, found.high, found.p_value, "DeLong"
        )


def _missing(name: str, note: str) -> Difference:
    return Difference(name, None, None, None, None, None, None, "", note)
