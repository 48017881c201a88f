"""One panel of calibration numbers that cover each other's blind spots."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from scorecraft.catalog import implements
from scorecraft.metrics.arrays import as_binary, as_probabilities
from scorecraft.metrics.balance_score import balance_parts
from scorecraft.metrics.calibration_errors import expected_calibration_error
from scorecraft.metrics.scoring_rules import brier_decomposition, log_loss

# The bins that a suspected cancellation is judged by, and that the Brier score is taken apart by.
BINS = 10


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
    errors = {count: expected_calibration_error(labels, stated, n_bins=count) for count in sorted({*bins, BINS})}
    return {
        "balance": balance.score,
        "standard_error": balance.standard_error,
        "z": balance.z,
        "accuracy": balance.accuracy,
        "confidence": balance.confidence,
        "bias_in_large": float((stated - labels).mean()),
        **{f"ece_{count}": error for count, error in errors.items()},
        **brier_decomposition(labels, stated, BINS)._asdict(),
        "log_loss": log_loss(labels, stated),
        "cancellation_suspected": errors[BINS] > 3 * abs(balance.score) + 2 * balance.standard_error,
    }
