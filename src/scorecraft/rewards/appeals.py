"""The rate of false negatives, estimated while training: some of a verifier's rejections are checked again."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError

Smoothed = Literal["rate", "counts"]
_STATE = ("estimate", "variance", "false_negatives", "correct", "squares", "extra", "batches", "unappealed", "empty")


class AppealCounts(NamedTuple):
    """What the appeals of one batch say: its false negatives and true positives, and what erring appeals add."""

    false_negatives: float
    true_positives: float
    extra_variance: float


@implements("noisy-verifier")
def appeal_counts(
    n_pos: int,
    n_neg: int,
    n_appealed: int,
    n_overturned: int,
    *,
    appeal_rate: float = 1.0,
    false_positive_share: float = 0.0,
    appeal_rho0: float = 0.0,
    appeal_rho1: float = 0.0,
) -> AppealCounts:
    """Return the Horvitz-Thompson estimates ``FN = S / q`` and ``TP = P (1 - share)`` of one batch.

    An appeal that errs at rates a0 and a1 has ``S = max(0, (S - a0 n) / (1 - a0 - a1))`` for S. Without wrong answers
    among the accepted (``false_positive_share`` 0 where there are some), TP is too high and the rate comes out too low.

    Args:
        n_pos: answers that the verifier accepted (P).
        n_neg: answers that it rejected (N).
        n_appealed: rejections that were checked again (n).
        n_overturned: appeals that found the answer right (S).
        appeal_rate: probability q in (0, 1] with which each rejection was appealed, independently.
        false_positive_share: share of the accepted answers that are wrong, in [0, 1).
        appeal_rho0: a0, the appeal's own rate of false positives.
        appeal_rho1: a1, its rate of false negatives.

    Raises `ScorecraftError` for counts that cannot be.

    Source: Horvitz and Thompson, 1952; arXiv 2510.00915 for appeals; the correction for appeals that err is ours.
    """
    if min(n_pos, n_neg, n_appealed, n_overturned) < 0:
        raise ScorecraftError("appeals: expected counts of at least 0")
    if n_overturned > n_appealed:
        raise ScorecraftError(f"appeals: {n_overturned} were overturned, but only {n_appealed} appealed")
    if n_appealed > n_neg:
        raise ScorecraftError(f"appeals: {n_appealed} were appealed, but only {n_neg} rejected")
    informative = 1 - appeal_rho0 - appeal_rho1
    right = min(max(0.0, (n_overturned - appeal_rho0 * n_appealed) / informative), float(n_appealed))
    errors = right * appeal_rho1 * (1 - appeal_rho1) + (n_appealed - right) * appeal_rho0 * (1 - appeal_rho0)
    return AppealCounts(
        right / appeal_rate, n_pos * (1 - false_positive_share), errors / (informative * appeal_rate) ** 2
    )


@implements("noisy-verifier")
def overturned_rates(
    rho0: float, rho1: float, appeal_rate: float, *, appeal_rho0: float = 0.0, appeal_rho1: float = 0.0
) -> tuple[float, float]:
    """Return the error rates of verdicts in which successful appeals were overturned.

    ``rho1 (1 - q (1 - a1))`` for false negatives, which is ``(1 - q) rho1`` for appeals that do not err, and
    ``rho0 + (1 - rho0) q a0`` for false positives.

    Args:
        rho0: the verifier's rate of false positives.
        rho1: its rate of false negatives.
        appeal_rate: probability q with which a rejection is appealed.
        appeal_rho0: a0, the appeal's own rate of false positives.
        appeal_rho1: a1, its rate of false negatives.
    """
    return rho0 + (1 - rho0) * appeal_rate * appeal_rho0, rho1 * (1 - appeal_rate * (1 - appeal_rho1))


@implements("noisy-verifier")
class AppealEstimator:
    """The rate of false negatives of a verifier, from appeals, smoothed over batches.

    A batch's value is ``FN / (FN + TP)`` with the counts of `appeal_counts`. "rate" smooths these values:
    ``rho1 <- (1 - eta) rho1 + eta value``. Since a ratio of few counts is too low on average, this is biased for small
    batches and small q. "counts" smooths FN and TP alike and divides afterwards. A batch without right answers is
    skipped and counted in ``empty``; one whose rejections were not appealed (q = 0) in ``unappealed``.

    appeal_rate: q in [0, 1]; 0 never changes the estimate. smoothing: eta in (0, 1]. smoothed: what is averaged.
    start: the estimate before any batch; with "rate" it is smoothed with the first; None takes the first as it is.
    maximum: the estimate is cut off there. apply_overturn: says that successful appeals replace the verdicts, see
    `effective_rho1`. The others: see `appeal_counts`.

    Raises `ScorecraftError` for options out of their range.

    Source: arXiv 2510.00915; eta, the maximum, "counts" and the standard error are ours.
    """

    def __init__(
        self,
        appeal_rate: float = 1.0,
        *,
        smoothing: float = 0.1,
        smoothed: Smoothed = "rate",
        start: float | None = None,
        maximum: float = 0.49,
        false_positive_share: float = 0.0,
        appeal_rho0: float = 0.0,
        appeal_rho1: float = 0.0,
        apply_overturn: bool = False,
    ) -> None:
        _check("appeal_rate", appeal_rate, 0 <= appeal_rate <= 1, "in [0, 1]")
        _check("smoothing", smoothing, 0 < smoothing <= 1, "in (0, 1]")
        _check("maximum", maximum, 0 < maximum < 1, "in (0, 1)")
        _check("false_positive_share", false_positive_share, 0 <= false_positive_share < 1, "in [0, 1)")
        _check("appeal_rho0", appeal_rho0, 0 <= appeal_rho0 < 1, "in [0, 1)")
        _check("appeal_rho1", appeal_rho1, 0 <= appeal_rho1 < 1 - appeal_rho0, "in [0, 1 - appeal_rho0)")
        if start is not None:
            _check("start", start, 0 <= start < 1, "in [0, 1)")
        if smoothed not in ("rate", "counts"):
            raise ScorecraftError(f"AppealEstimator: unknown smoothed '{smoothed}'; expected 'rate' or 'counts'")
        self.appeal_rate, self.smoothing, self.smoothed = appeal_rate, smoothing, smoothed
        self.maximum, self.apply_overturn = maximum, apply_overturn
        self.false_positive_share = false_positive_share
        self.appeal_rho0, self.appeal_rho1 = appeal_rho0, appeal_rho1
        self.started = start is not None
        self.estimate, self.variance = start or 0.0, math.inf
        self.false_negatives = self.correct = self.squares = self.extra = 0.0
        self.batches = self.unappealed = self.empty = 0

    def update(self, n_pos: int, n_neg: int, n_appealed: int, n_overturned: int) -> None:
        """Take in the counts of one batch; arguments and errors as `appeal_counts`."""
        counts = appeal_counts(
            n_pos, n_neg, n_appealed, n_overturned, appeal_rate=self.appeal_rate or 1.0,
            false_positive_share=self.false_positive_share, appeal_rho0=self.appeal_rho0, appeal_rho1=self.appeal_rho1,
        )  # fmt: skip
        if self.appeal_rate == 0:
            self.unappealed += n_neg > 0
            return
        correct = counts.false_negatives + counts.true_positives
        if correct == 0:
            self.empty += 1
            return
        eta = self.smoothing if self.batches else 1.0
        self.batches += 1
        self._smooth_counts(eta, counts.false_negatives, correct, counts.extra_variance)
        if self.smoothed == "counts":
            self.estimate = self.false_negatives / self.correct
            self.variance = self._variance(self.estimate, self.correct, self.squares, self.extra)
            return
        value = counts.false_negatives / correct
        own = self._variance(value, correct, correct, counts.extra_variance)
        if self.batches == 1:
            # A start value is known exactly or not at all; its own uncertainty is not counted.
            eta = self.smoothing if self.started else 1.0
            self.variance = eta**2 * own
        else:
            self.variance = (1 - eta) ** 2 * self.variance + eta**2 * own
        self.estimate = (1 - eta) * self.estimate + eta * value

    def _smooth_counts(self, eta: float, false_negatives: float, correct: float, extra: float) -> None:
        self.false_negatives = (1 - eta) * self.false_negatives + eta * false_negatives
        self.correct = (1 - eta) * self.correct + eta * correct
        self.squares = (1 - eta) ** 2 * self.squares + eta**2 * correct
        self.extra = (1 - eta) ** 2 * self.extra + eta**2 * extra

    def _variance(self, rate: float, correct: float, squares: float, extra: float) -> float:
        """Return ``rate (1 - rate) ((1 - rate) / q + rate) sum w^2 C / (sum w C)^2``, plus what erring appeals add.

        By the delta method for FN / (FN + TP), where each of C right answers is rejected with probability ``rate`` and
        a rejected one appealed with q; q = 1 gives the binomial ``rate (1 - rate) / C``.
        """
        inner = rate * (1 - rate) * ((1 - rate) / self.appeal_rate + rate)
        return inner * squares / correct**2 + ((1 - rate) / correct) ** 2 * extra

    @property
    def rho1(self) -> float:
        """The estimated rate of false negatives, at most ``maximum``; 0 or ``start`` before the first batch."""
        return min(max(self.estimate, 0.0), self.maximum)

    @property
    def se(self) -> float:
        """The standard error of the estimate; infinite before the first batch."""
        return math.sqrt(self.variance)

    @property
    def effective_rho1(self) -> float:
        """The rate that is left in the verdicts: lower than `rho1` where successful appeals replace them."""
        if not self.apply_overturn:
            return self.rho1
        return overturned_rates(0.0, self.rho1, self.appeal_rate, appeal_rho1=self.appeal_rho1)[1]

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes back: JSON values."""
        kept = {name: getattr(self, name) for name in _STATE}
        return {**kept, "variance": None if math.isinf(self.variance) else self.variance}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; raises `ScorecraftError` if it is not one of an appeal estimator's."""
        if set(state) != set(_STATE):
            raise ScorecraftError(f"AppealEstimator: not a state of it: {sorted(state)}; expected {sorted(_STATE)}")
        for name, value in state.items():
            setattr(self, name, math.inf if value is None else value)


def _check(name: str, value: float, fits: bool, expected: str) -> None:
    if not fits:
        raise ScorecraftError(f"AppealEstimator: {name} is {value:g}; expected a number {expected}")
