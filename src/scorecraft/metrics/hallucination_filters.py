"""Answers whose rate of hallucination has a bound: refuse, resample or search by the cheat-corrected confidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.arrays import as_probabilities

Answer = TypeVar("Answer")


@implements("second-order-calibration")
def selective_filter(confidence: Any, beta: float) -> Bool[np.ndarray, " row"]:
    """Return which sampled answers to give: those with ``1 - C <= beta``; refuse the others.

    Of the answers given, at most the share beta has a true probability of 0, if the model is second-order calibrated.

    Args:
        confidence: C of each answer, in [0, 1], from `epistemic_confidence` or `self_cheat`.
        beta: the rate of hallucinations allowed, in (0, 1).

    Raises `ScorecraftError` for a confidence outside [0, 1] or a beta outside (0, 1).

    Source: Experts Don't Cheat: Learning What You Don't Know By Predicting Pairs, 2024, arXiv 2402.08733.
    """
    _check_beta(beta)
    return 1 - as_probabilities(confidence, "confidence") <= beta


@implements("second-order-calibration")
def rejection_sample(
    sample: Callable[[], Answer], confidence: Callable[[Answer], float], beta: float, max_tries: int
) -> Answer | None:
    """Return the first sampled answer with ``1 - C < beta``, or None after ``max_tries``.

    Args:
        sample: draws an answer.
        confidence: returns C of an answer, in [0, 1].
        beta: the rate of hallucinations allowed, in (0, 1).
        max_tries: at least 1.

    Raises `ScorecraftError` for a confidence outside [0, 1], a beta outside (0, 1), or fewer than 1 try.

    Source: arXiv 2402.08733.
    """
    _check_beta(beta)
    if max_tries < 1:
        raise ScorecraftError(f"rejection_sample: expected at least 1 try, got {max_tries}")
    for _ in range(max_tries):
        answer = sample()
        stated = confidence(answer)
        if not 0 <= stated <= 1:
            raise ScorecraftError(f"rejection_sample: confidence {stated}; expected a number in [0, 1]")
        if 1 - stated < beta:
            return answer
    return None


@implements("second-order-calibration")
def top1_search(y_prob: Any, confidence: Any, beta: float) -> int | None:
    """Return the likeliest answer among those with ``1 - C < beta``, or None, which means to abstain.

    Args:
        y_prob: probability of each answer to one question.
        confidence: C of each.
        beta: the rate of hallucinations allowed, in (0, 1).

    Raises `ScorecraftError` for values outside [0, 1], unequal lengths or a beta outside (0, 1).

    Source: arXiv 2402.08733.
    """
    _check_beta(beta)
    p = as_probabilities(y_prob)
    allowed = 1 - as_probabilities(confidence, "confidence", len(p)) < beta
    return int(np.where(allowed, p, -1.0).argmax()) if allowed.any() else None


def _check_beta(beta: float) -> None:
    if not 0 < beta < 1:
        raise ScorecraftError(f"beta: expected a number between 0 and 1, such as 0.1, got {beta}")
