"""One panel of calibration numbers that cover each other's blind spots, and the Brier score taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.arrays import as_binary, as_probabilities
from scorecraft.metrics.balance_score import balance_parts
from scorecraft.metrics.calibration import ece

# The bins that a suspected cancellation is judged by, and that the Brier score is taken apart by.
BINS = 10


class BrierParts(NamedTuple):
    """A Brier score in parts: ``brier = reliability - resolution + uncertainty + within_bins``.

    reliability: mean squared gap between forecast and frequency of a bin; 0 is best. resolution: how far frequencies
    of bins are from that of all rows. uncertainty: the variance of the labels. within_bins: what is left, because
    forecasts of one bin differ.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float


def brier_decomposition(y_true: ArrayLike, y_prob: ArrayLike, n_bins: int = BINS) -> BrierParts:
    """Return the Brier score ``mean (p - y)^2`` and its parts over bins of equal width.

    With ``n_b`` rows, mean forecast ``p_b`` and frequency of ones ``o_b`` in bin b, and ``o`` the frequency in all:
    ``reliability = sum_b n_b/n (p_b - o_b)^2``, ``resolution = sum_b n_b/n (o_b - o)^2``, ``uncertainty = o (1 - o)``.

    Args:
        y_true: labels 0 and 1, ``[row]``.
        y_prob: probability of the label 1, ``[row]``, in [0, 1].
        n_bins: number of bins, each with its lower edge, the last with both.

    Raises `ScorecraftError` for no rows, unequal lengths, values outside their range, or fewer than 1 bin.

    Source: Murphy, 1973, A New Vector Partition of the Probability Score; for ``within_bins`` Stephenson, Coelho and
    Jolliffe, 2008, Two Extra Components in the Brier Score Decomposition.
    """
    if n_bins < 1:
        raise ScorecraftError(f"brier_decomposition: expected at least 1 bin, got {n_bins}")
    labels = as_binary(y_true)
    stated = as_probabilities(y_prob, rows=len(labels))
    # Rounded as in `ece`, so that both have the same bins.
    bins = np.floor(np.round(stated * n_bins, 12)).clip(0, n_bins - 1).astype(np.int64)
    count = np.bincount(bins, minlength=n_bins)
    held = count > 0
    share = count[held] / len(labels)
    forecast = np.bincount(bins, stated, minlength=n_bins)[held] / count[held]
    frequency = np.bincount(bins, labels, minlength=n_bins)[held] / count[held]
    base = labels.mean()
    score = float(((stated - labels) ** 2).mean())
    reliability = float((share * (forecast - frequency) ** 2).sum())
    resolution = float((share * (frequency - base) ** 2).sum())
    uncertainty = float(base * (1 - base))
    return BrierParts(score, reliability, resolution, uncertainty, score - (reliability - resolution + uncertainty))


@implements("balance-score")
def calibration_panel(
    y_true: ArrayLike, y_prob: ArrayLike, bins: Sequence[int] = (5, 10, 15, 20, 50)
) -> dict[str, float | bool]:
    """Return the Balance score beside what sees its blind spots.

    ``balance`` with ``standard_error``, ``z``, ``accuracy`` and ``confidence`` (see `Balance`); ``bias_in_large =
    mean(p - y)``, which sees a constant shift; ``ece_M`` for every number of bins and for 10, which sees regions that
    cancel; ``brier`` with ``reliability``, ``resolution``, ``uncertainty`` and ``within_bins`` (see `BrierParts`);
    ``log_loss``, infinite where something happened that was given the probability 0; and ``cancellation_suspected``,
    where ``ece_10 > 3 |balance| + 2 standard_error``: a Balance near 0 is then no sign of calibration.

    The binned errors are above 0 for the best forecasts too, by about ``0.3 sqrt(M/n)``; with few rows the flag is
    therefore raised at times where nothing is wrong.

    Args:
        y_true: labels 0 and 1, ``[row]``.
        y_prob: probability of the label 1, ``[row]``, in [0, 1].
        bins: numbers of bins of equal width.

    Raises `ScorecraftError` and warns as `balance_terms` does, and for fewer than 1 bin.

    Source: Rethinking Evaluation Metric for Probability Estimation Models Using Esports Data, 2023, arXiv 2309.06248,
    for Balance; the flag is an addition.
    """
    balance = balance_parts(y_true, y_prob)
    labels, stated = as_binary(y_true), as_probabilities(y_prob)
    errors = {count: ece(labels, stated, count) for count in sorted({*bins, BINS})}
    with np.errstate(divide="ignore"):
        log_loss = float(-np.log(np.where(labels, stated, 1 - stated)).mean())
    return {
        "balance": balance.score,
        "standard_error": balance.standard_error,
        "z": balance.z,
        "accuracy": balance.accuracy,
        "confidence": balance.confidence,
        "bias_in_large": float((stated - labels).mean()),
        **{f"ece_{count}": error for count, error in errors.items()},
        **brier_decomposition(labels, stated)._asdict(),
        "log_loss": log_loss,
        "cancellation_suspected": errors[BINS] > 3 * abs(balance.score) + 2 * balance.standard_error,
    }
