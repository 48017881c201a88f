"""Probabilities batch by batch, in memory that does not grow with the rows.

What is a sum over rows is exact. What needs the order of scores is kept as it is while there are few rows, and beyond
that as counts in fixed narrow bins, whose cost every metric states (see `scorecraft.metrics.score_counts`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.binning import BinSums, bin_sums
from scorecraft.metrics.imbalanced_metrics import Confusion
from scorecraft.metrics.score_counts import ScoreCounts, count_scores
from scorecraft.metrics.scoring_rules import brier_scores, log_losses

# Bins of equal width that sums are kept in: 15, 50 and 100 bins are whole numbers of them.
SUM_BINS = 300
# Below 2^-7, and so near 1, bins of scores have a width relative to the score, down to 2^-40.
_FINER_BELOW, _LOWEST = 7, 40
# Rows of one step, few enough for the processor's cache.
_BLOCK_ROWS = 16_384


class Moments:
    """Number, mean and squared deviations of numbers that come batch by batch."""

    def __init__(self) -> None:
        self.count, self.mean, self.deviations = 0, 0.0, 0.0

    def add(self, values: Float[np.ndarray, " row"]) -> None:
        """Add a batch.

        Args:
            values: finite numbers.

        Source: Chan, Golub and LeVeque, 1979, Updating Formulae and a Pairwise Algorithm for Computing Variances.
        """
        rows = len(values)
        if not rows:
            return
        mean = float(values.mean(dtype=np.float64))
        away = mean - self.mean
        # Deviations of a rounding error are none: equal numbers have a variance of 0.
        spread = values - mean
        own = float(spread @ spread) if np.ptp(values) > 0 else 0.0
        whole = self.count + rows
        self.deviations += own + (away * away * self.count * rows / whole if abs(away) > 1e-15 else 0.0)
        self.mean += away * rows / whole
        self.count = whole

    @property
    def standard_error(self) -> float:
        """Standard error of the mean; infinite for fewer than 2 numbers."""
        if self.count < 2:
            return math.inf
        return math.sqrt(self.deviations / (self.count - 1) / self.count)


class StreamedSums:
    """The sums of `bin_sums` with their squares, batch by batch."""

    def __init__(self, n_bins: int = SUM_BINS) -> None:
        self.n_bins = n_bins
        self.sums = BinSums(
            np.linspace(0, 1, n_bins + 1), np.zeros((2, n_bins), dtype=np.int64), np.zeros((2, n_bins)),
            np.zeros((2, n_bins)), np.zeros((3, 2, n_bins)), 1.0, 1.0,
        )  # fmt: skip

    def add(self, labels: Bool[np.ndarray, " row"], prob: Float[np.ndarray, " row"]) -> None:
        """Add a batch.

        Args:
            labels: True for the label 1.
            prob: its probability.
        """
        if len(labels):
            new = bin_sums(labels, prob, self.n_bins, squares=True)
            held = self.sums
            self.sums = held._replace(
                rows=held.rows + new.rows, weight=held.weight + new.weight, prob=held.prob + new.prob,
                squares=held.squares + new.squares,
            )  # fmt: skip


def coarser(sums: BinSums, n_bins: int) -> BinSums:
    """Return sums over fewer bins of equal width.

    Args:
        sums: over a multiple of that many bins.
        n_bins: how many there shall be.

    Raises `ScorecraftError` where the bins are no multiple.
    """
    held = sums.rows.shape[-1]
    if n_bins < 1 or held % n_bins:
        raise ScorecraftError(f"coarser: expected a number of bins that divides {held}, got {n_bins}")
    rows, weight, prob, squares = (column.reshape(*column.shape[:-1], n_bins, -1).sum(-1) for column in sums[1:5])
    return BinSums(sums.edges[:: held // n_bins], rows, weight, prob, squares, sums.least, sums.most)


class ScoreBins:
    """Counts of both classes in fixed bins of probabilities, none wider than ``2^-bits``.

    From ``2^-7`` to ``1 - 2^-7`` bins have that width; nearer to 0 they are narrower, ``2^(bits - 7)`` in each octave
    down to ``2^-40``, and nearer to 1 the same. 0, 1/2 and 1 have bins of their own.
    """

    def __init__(self, bits: int = 16) -> None:
        if not 8 <= bits <= 20:
            raise ScorecraftError(f"ScoreBins: expected 8 to 20 bits, got {bits}")
        self.bits = bits
        self.side = 2 + (_LOWEST - _FINER_BELOW << bits - _FINER_BELOW) + 2 ** (bits - 1) - 2 ** (bits - _FINER_BELOW)
        self.size = 2 * self.side + 1
        self.rows = np.zeros(2 * self.size, dtype=np.int64)
        self.score = np.zeros(2 * self.size)
        self.first = np.full(self.size, np.nan)
        self.mixed = np.zeros(self.size, dtype=np.bool_)

    def add(self, labels: Bool[np.ndarray, " row"], prob: Float[np.ndarray, " row"]) -> None:
        """Add a batch.

        Args:
            labels: True for the label 1.
            prob: its probability, in [0, 1].
        """
        number = prob.astype(np.float64, copy=False)
        place = self.place(number)
        cell = place + self.size * labels
        self.rows += np.bincount(cell, minlength=2 * self.size)
        self.score += np.bincount(cell, number, minlength=2 * self.size)
        held = self.first[place]
        new = np.isnan(held)
        if new.any():
            self.first[place[new]] = number[new]
            held = self.first[place]
        self.mixed[place[held != number]] = True

    def place(self, prob: Float64[np.ndarray, " row"]) -> Int64[np.ndarray, " row"]:
        """Return the bin of each probability; a higher one never has a lower bin.

        Args:
            prob: in [0, 1].
        """
        found = np.empty(len(prob), dtype=np.int64)
        for start in range(0, len(prob), _BLOCK_ROWS):
            block = prob[start : start + _BLOCK_ROWS]
            upper = block >= 0.5
            place = self._from_end(np.where(upper, 1 - block, block))
            found[start : start + _BLOCK_ROWS] = np.where(upper, self.size - 1 - place, place)
        return found

    def _from_end(self, near: Float64[np.ndarray, " row"]) -> Int64[np.ndarray, " row"]:
        """Return the bin of numbers in [0, 1/2], counted from 0."""
        shift = 52 - (self.bits - _FINER_BELOW)
        # The bits of a positive number, exponent first, grow with it: their upper part is a bin on a logarithmic scale.
        base = np.float64(2.0**-_LOWEST).view(np.int64) >> shift
        fine = np.maximum((near.view(np.int64) >> shift) - base + 2, near > 0)
        octaves = 2 + (_LOWEST - _FINER_BELOW << self.bits - _FINER_BELOW)
        even = (near * 2.0**self.bits).astype(np.int64) + (octaves - 2 ** (self.bits - _FINER_BELOW))
        return np.where(near < 2.0**-_FINER_BELOW, fine, even)

    def counts(self) -> ScoreCounts:
        """Return the bins that hold rows."""
        rows, score = self.rows.reshape(2, -1), self.score.reshape(2, -1)
        held = rows.sum(0) > 0
        return ScoreCounts(self.first[held], rows[0, held], rows[1, held], score[:, held], self.mixed[held])


class Scores:
    """Labels and probabilities as they are, until `fold` puts them into bins and all that follow with them."""

    def __init__(self, bits: int = 16) -> None:
        self.bits = bits
        self.bins: ScoreBins | None = None
        self._held: list[tuple[Bool[np.ndarray, " row"], Float[np.ndarray, " row"]]] = []

    def add(self, labels: Bool[np.ndarray, " row"], prob: Float[np.ndarray, " row"]) -> None:
        """Add a batch.

        Args:
            labels: True for the label 1.
            prob: its probability, in [0, 1].
        """
        if self.bins is None:
            self._held.append((labels, prob))
        else:
            self.bins.add(labels, prob)

    def fold(self) -> None:
        """Give up the rows for their bins."""
        if self.bins is None:
            self.bins, held, self._held = ScoreBins(self.bits), self._held, []
            for labels, prob in held:
                self.bins.add(labels, prob)

    def counts(self) -> ScoreCounts:
        """Return the counts: by distinct score, or by bin after `fold`."""
        if self.bins is not None:
            return self.bins.counts()
        return count_scores(*(np.concatenate(column) for column in zip(*self._held, strict=True)))


class BinaryTotals(NamedTuple):
    """What is known of one column of probabilities after all batches.

    rows: how many there were. brier, log_loss and balance: moments of the numbers per row; log_loss of the finite ones.
    impossible: rows whose label was given the probability 0. confusion: at the threshold. sums: over `SUM_BINS` bins.
    counts: by score.
    """

    rows: int
    brier: Moments
    log_loss: Moments
    balance: Moments
    impossible: int
    confusion: Confusion
    sums: BinSums
    counts: ScoreCounts


class BinaryStream:
    """Statistics of one column of probabilities, batch by batch."""

    def __init__(self, *, bits: int = 16, threshold: float = 0.5) -> None:
        self.threshold = threshold
        self.brier, self.log_loss, self.balance = Moments(), Moments(), Moments()
        self.impossible = 0
        self.sums, self.scores = StreamedSums(), Scores(bits)
        self._confusion = np.zeros(4, dtype=np.int64)

    def add(self, labels: Bool[np.ndarray, " row"], prob: Float[np.ndarray, " row"]) -> None:
        """Add a batch.

        Args:
            labels: True for the label 1.
            prob: its probability, in [0, 1].
        """
        if not len(labels):
            return
        number = prob.astype(np.float64, copy=False)
        self.brier.add(brier_scores(labels, number))
        losses = log_losses(labels, number)
        finite = np.isfinite(losses)
        if not finite.all():
            losses = losses[finite]
        self.impossible += len(labels) - len(losses)
        self.log_loss.add(losses)
        self.balance.add(((number >= 0.5) == labels) - np.maximum(number, 1 - number))
        self._confusion += np.bincount(2 * labels + (number >= self.threshold), minlength=4)
        self.sums.add(labels, prob)
        self.scores.add(labels, prob)

    def fold(self) -> None:
        """Give up the rows for bins of their probabilities."""
        self.scores.fold()

    def totals(self) -> BinaryTotals:
        """Return what is known by now, of at least one row."""
        tn, fp, fn, tp = self._confusion.tolist()
        return BinaryTotals(
            self.brier.count, self.brier, self.log_loss, self.balance, self.impossible, Confusion(tp, fp, fn, tn),
            self.sums.sums, self.scores.counts(),
        )  # fmt: skip
