"""Does a wider gap between two models make their density ratio a better reward: every pair out of several models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.density_ratio import Normalize

Pairs = Literal["strong-over-weak", "ordered"]


@dataclass(frozen=True, slots=True)
class GapRow:
    """One pair of models: how much better the strong one is, and how often its ratio prefers the right response."""

    strong: str
    weak: str
    gap: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Correlation:
    """Pearson's and Spearman's correlation, the former with a 95 % bootstrap interval over models."""

    pearson: float
    spearman: float
    low: float
    high: float


@dataclass(frozen=True)
class GapStudy:
    """The pairs of a study, and how many models it had."""

    rows: tuple[GapRow, ...]
    models: tuple[str, ...]

    def correlation(self, *, resamples: int = 999, seed: int = 0) -> Correlation:
        """Return the correlation of gap and accuracy over pairs.

        Pairs share models, so the interval draws models with replacement and keeps the pairs between different ones; a
        draw with fewer than three pairs or without spread is left out. Raises `ScorecraftError` for fewer than three
        pairs, or a gap or an accuracy that is the same in all.

        Args:
            resamples: draws of the bootstrap.
            seed: of the draws.
        """
        gaps, accuracies = (np.array([getattr(row, name) for row in self.rows]) for name in ("gap", "accuracy"))
        if not _varies(gaps, accuracies):
            raise ScorecraftError(
                "gap study: a correlation needs three pairs or more, of different gaps and accuracies"
            )
        place = {name: index for index, name in enumerate(self.models)}
        ends = np.array([(place[row.strong], place[row.weak]) for row in self.rows])
        random, found = np.random.default_rng(seed), []
        for _ in range(resamples):
            times = np.bincount(random.integers(len(place), size=len(place)), minlength=len(place))
            picked = np.repeat(np.arange(len(gaps)), times[ends[:, 0]] * times[ends[:, 1]])
            if _varies(gaps[picked], accuracies[picked]):
                found.append(_pearson(gaps[picked], accuracies[picked]))
        low, high = np.percentile(found, (2.5, 97.5)) if found else (np.nan, np.nan)
        return Correlation(_pearson(gaps, accuracies), _pearson(_ranks(gaps), _ranks(accuracies)), low, high)


@implements("density-ratio-reward")
def gap_study(
    models: Sequence[str],
    metric: Float64[Tensor, " model"],
    chosen: Float64[Tensor, "model pair"],
    rejected: Float64[Tensor, "model pair"],
    chosen_tokens: Int64[Tensor, "model pair"] | None = None,
    rejected_tokens: Int64[Tensor, "model pair"] | None = None,
    *,
    normalize: Normalize = "mean",
    pairs: Pairs = "strong-over-weak",
) -> GapStudy:
    """Return gap and accuracy of the density ratio of each pair of models.

    The models' log-probabilities are given, since each model is run once, not once a pair. Ties count half.

    Args:
        models: names.
        metric: how good each model is, higher for better; a gap is a difference of two.
        chosen: sum of the log-probabilities of each right response.
        rejected: of each wrong one.
        chosen_tokens: tokens of the right responses for each model; needed by normalize "mean".
        rejected_tokens: of the wrong ones.
        normalize: "mean" (by the strong model's tokens) or "sum".
        pairs: "strong-over-weak" takes each pair the way round in which the gap is positive; "ordered" both ways, as
            the paper's grid does, which makes it antisymmetric and the correlation larger.

    Raises `ScorecraftError` for shapes that do not belong together, or normalize "mean" without tokens.

    Source: CDR: Customizable Density Ratios of Strong-over-weak LLMs for Preference Annotation, 2024, arXiv 2411.02481.
    """
    if not len(models) == len(metric) == len(chosen) == len(rejected) or chosen.shape != rejected.shape:
        raise ScorecraftError(
            f"gap study: expected a metric and two rows of log-probabilities for each of {len(models)}"
        )
    if normalize == "char" or (normalize == "mean" and (chosen_tokens is None or rejected_tokens is None)):
        raise ScorecraftError(f"gap study: normalize '{normalize}' needs tokens; give them, or take 'sum'")
    rows = []
    for strong in range(len(models)):
        for weak in range(len(models)):
            gap = float(metric[strong] - metric[weak])
            if strong == weak or (pairs == "strong-over-weak" and not gap > 0):
                continue
            right, wrong = chosen[strong] - chosen[weak], rejected[strong] - rejected[weak]
            if normalize == "mean" and chosen_tokens is not None and rejected_tokens is not None:
                right = right / chosen_tokens[strong].clamp(min=1)
                wrong = wrong / rejected_tokens[strong].clamp(min=1)
            accuracy = float(((right > wrong).double() + 0.5 * (right == wrong).double()).mean())
            rows.append(GapRow(models[strong], models[weak], gap, accuracy))
    return GapStudy(tuple(rows), tuple(models))


def _varies(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    return len(first) > 2 and bool(np.ptp(first) > 0) and bool(np.ptp(second) > 0)


def _pearson(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    return rankdata(values)
