"""Putting several answers to one question together by the confidence stated with each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError


@implements("rlcr")
def confidence_weighted_vote(
    answers: Sequence[Hashable],
    confidence: ArrayLike,
    *,
    mode: Literal["sum", "max", "mean"] = "sum",
    key: Callable[[Hashable], Hashable] | None = None,
) -> tuple[Hashable, float]:
    """Return the answer with the highest sum (maximum, mean) of confidences, and that number; ties go to the first.

    Args:
        answers: of several samples to one question.
        confidence: stated with each, in [0, 1].
        mode: how the confidences of equal answers are put together; "max" takes the most confident sample.
        key: makes equal answers equal; by default they must be the same.

    Raises `ScorecraftError` for no answers, unequal lengths or a confidence outside [0, 1].

    Source: Beyond Binary Rewards, 2025, arXiv 2507.16806.
    """
    stated = np.asarray(confidence, dtype=np.float64)
    if not answers or stated.shape != (len(answers),):
        raise ScorecraftError(f"vote: expected one confidence for each answer, got {len(answers)} and {stated.shape}")
    if not ((stated >= 0) & (stated <= 1)).all():
        raise ScorecraftError("vote: expected confidences in [0, 1]")
    if mode not in ("sum", "max", "mean"):
        raise ScorecraftError(f"vote: unknown mode '{mode}'; expected 'sum', 'max' or 'mean'")
    held: dict[Hashable, list[float]] = {}
    first: dict[Hashable, Hashable] = {}
    for answer, value in zip(answers, stated.tolist(), strict=True):
        same = key(answer) if key else answer
        first.setdefault(same, answer)
        held.setdefault(same, []).append(value)
    combine = {"sum": sum, "max": max, "mean": lambda values: sum(values) / len(values)}[mode]
    scores = {same: float(combine(values)) for same, values in held.items()}
    best = max(scores, key=lambda same: scores[same])
    return first[best], scores[best]


@implements("rlcr")
def confidence_ensemble(confidence: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """Return the mean of the confidences of several analyses of one answer.

    Args:
        confidence: in [0, 1], any shape.
        axis: the one along which analyses lie.

    Raises `ScorecraftError` for an empty axis or a confidence outside [0, 1].

    Source: Beyond Binary Rewards, 2025, arXiv 2507.16806.
    """
    stated = np.asarray(confidence, dtype=np.float64)
    if not stated.size or not ((stated >= 0) & (stated <= 1)).all():
        raise ScorecraftError("confidence_ensemble: expected at least one confidence, all in [0, 1]")
    return stated.mean(axis)
