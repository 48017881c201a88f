"""The decision curve: what acting on a forecast is worth, at every threshold that someone may act at."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.binning import BinSums, bin_sums


class DecisionCurve(NamedTuple):
    """Net benefit by threshold, in true positives a row.

    threshold: probability from which on one acts. net_benefit: of acting on the forecast, with its interval from low to
    high. act_on_all: of acting on every row. Acting on none has 0.
    """

    threshold: Float64[np.ndarray, " threshold"]
    net_benefit: Float64[np.ndarray, " threshold"]
    low: Float64[np.ndarray, " threshold"]
    high: Float64[np.ndarray, " threshold"]
    act_on_all: Float64[np.ndarray, " threshold"]


def decision_curve(y_true: Any, y_prob: Any, *, steps: int = 100, confidence: float = 0.95) -> DecisionCurve:
    """Return the net benefit ``TP/n - FP/n t/(1 - t)`` at the thresholds ``1/steps, ..., 1 - 1/steps``.

    Who acts at a threshold t holds a false alarm to cost ``t/(1 - t)`` of what a catch is worth. Acting on all has
    ``o - (1 - o) t/(1 - t)``, with o the share of ones. The interval is that of a mean over rows, whose terms are 1,
    ``-t/(1 - t)`` or 0.

    Args:
        y_true: labels 0 and 1, ``[row]``.
        y_prob: probability of the label 1, ``[row]``; one acts where it is at least the threshold.
        steps: into how many parts thresholds divide [0, 1], at least 2.
        confidence: coverage of the interval at each threshold by itself, in (0, 1).

    Raises `ScorecraftError` as `bin_sums` does, for fewer than 2 steps, and for a confidence outside (0, 1).

    Source: Vickers and Elkin, 2006, Decision Curve Analysis: A Novel Method for Evaluating Prediction Models.
    """
    return decision_curve_of_sums(bin_sums(y_true, y_prob, steps), confidence=confidence)


def decision_curve_of_sums(sums: BinSums, *, confidence: float = 0.95) -> DecisionCurve:
    """Return `decision_curve` at the inner edges of bins, from sums as a stream adds them up.

    Args:
        sums: from `bin_sums`, over 2 bins or more.
        confidence: coverage, in (0, 1).

    Raises `ScorecraftError` for fewer than 2 bins or a confidence outside (0, 1).

    Source: Vickers and Elkin, 2006.
    """
    if not 0 < confidence < 1:
        raise ScorecraftError(f"confidence: expected a number between 0 and 1, such as 0.95, got {confidence}")
    if sums.rows.shape[1] < 2:
        raise ScorecraftError("decision_curve: expected 2 steps or more, for at least one threshold")
    rows = float(sums.weight.sum())
    threshold = sums.edges[1:-1]
    odds = threshold / (1 - threshold)
    alarms, caught = np.cumsum(sums.weight[:, :0:-1], axis=1)[:, ::-1] / rows
    benefit = caught - odds * alarms
    variance = np.maximum(caught + odds**2 * alarms - benefit**2, 0.0)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * np.sqrt(variance / rows)
    share = float(sums.weight[1].sum()) / rows
    return DecisionCurve(threshold, benefit, benefit - half, benefit + half, share - (1 - share) * odds)
