"""A classifier that is nothing but two distributions of scores, so that its quality is known exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.arrays import as_binary, as_floats


@implements("imbalanced-metrics")
@dataclass(frozen=True, slots=True)
class HypotheticalClassifier:
    """Scores of positives and of negatives as two normal or two Beta distributions; exactly one of them is given.

    d_prime: positives ~ N(d_prime, 1), negatives ~ N(0, 1).
    beta: ``(a, b)`` of the positives' Beta distribution, then ``(a, b)`` of the negatives', all above 0.

    Raises `ScorecraftError` for neither, both, or parameters that are not finite or not positive.

    Source: arXiv 2208.11904 for experiments on a hypothetical classifier; the distributions are this library's.
    """

    d_prime: float | None = None
    beta: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        if (self.d_prime is None) == (self.beta is None):
            raise ScorecraftError("HypotheticalClassifier: expected either d_prime or beta")
        if self.d_prime is not None and not math.isfinite(self.d_prime):
            raise ScorecraftError(f"HypotheticalClassifier: expected a finite d_prime, got {self.d_prime}")
        if self.beta is not None and not (
            len(self.beta) == 4 and all(value > 0 and math.isfinite(value) for value in self.beta)
        ):
            raise ScorecraftError(
                f"HypotheticalClassifier: expected beta as four numbers above 0, a and b of the positives and a and b"
                f" of the negatives, got {self.beta}"
            )

    def scores(self, y_true: Any, rng: np.random.Generator) -> Float64[np.ndarray, " row"]:
        """Return a score for every row, drawn from its class.

        Args:
            y_true: 0 or 1 of each row.
            rng: source of chance.
        """
        true = as_binary(y_true, "y_true")
        if self.d_prime is not None:
            return rng.normal(size=len(true)) + self.d_prime * true
        assert self.beta is not None
        a_positive, b_positive, a_negative, b_negative = self.beta
        return rng.beta(np.where(true, a_positive, a_negative), np.where(true, b_positive, b_negative))

    def rates(self, thresholds: Any) -> Float64[np.ndarray, "threshold 2"]:
        """Return the exact true- and false-positive rate of calling scores of at least a threshold 1.

        Args:
            thresholds: one or more.
        """
        from scipy.stats import beta, norm

        cuts = as_floats(thresholds, "thresholds")
        if self.d_prime is not None:
            return np.stack((norm.sf(cuts - self.d_prime), norm.sf(cuts)), axis=1)
        assert self.beta is not None
        a_positive, b_positive, a_negative, b_negative = self.beta
        return np.stack((beta.sf(cuts, a_positive, b_positive), beta.sf(cuts, a_negative, b_negative)), axis=1)
