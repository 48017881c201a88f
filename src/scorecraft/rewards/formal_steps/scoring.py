"""Scores of solutions from the states of their steps, alone and together with a process reward, and best of N."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Literal

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.formal_steps.records import StepRecord, StepState

How = Literal["product", "sum", "min", "max", "mul"]
Step = StepRecord | StepState | int
ALPHAS = tuple(place / 100 for place in range(100))


def states_of(steps: Sequence[Step]) -> list[StepState]:
    """Return the states of steps; raises `ScorecraftError` for a number that is none."""
    found = []
    for step in steps:
        number = step.state if isinstance(step, StepRecord) else step
        if number not in range(len(StepState)):
            raise ScorecraftError(f"unknown step state {number}; expected 0 to 3")
        found.append(StepState(number))
    return found


@implements("formal-steps")
def rule_score(steps: Sequence[Step]) -> float:
    """Return ``(n1 + n2 / 2 + 1) / (n + 2)``, 0 where a step is refuted or there is none.

    n1 and n2 count SUCCESS_OF_PROOF and NO_VERIFICATION_REQUIRED among the n steps. It needs no training. A state alone
    does not tell a refuted step from one without a proof; records do.

    Args:
        steps: records, or states where nothing is refuted.
    """
    states = states_of(steps)
    if not states or any(isinstance(step, StepRecord) and step.refuted for step in steps):
        return 0.0
    proved = sum(state is StepState.SUCCESS_OF_PROOF for state in states)
    spared = sum(state is StepState.NO_VERIFICATION_REQUIRED for state in states)
    return (proved + 0.5 * spared + 1) / (len(states) + 2)


@implements("formal-steps")
def prospective_score(step_scores: Sequence[float]) -> float:
    """Return the mean of a process reward model's step scores; raises `ScorecraftError` unless all are in [0, 1]."""
    if not step_scores:
        raise ScorecraftError("prospective_score: expected at least one step score")
    for score in step_scores:
        _probability("a step score", score)
    return math.fsum(step_scores) / len(step_scores)


@implements("formal-steps")
def combine(retro: float, pro: float, alpha: float = 0.5, how: How = "product") -> float:
    """Return one score of a solution from its retrospective and its prospective one.

    "product": ``retro^alpha pro^(1 - alpha)``, 0 where retro is 0. "sum": ``alpha retro + (1 - alpha) pro``. "min",
    "max": of the two. "mul": ``retro pro``.

    Args:
        retro: in [0, 1], from verified steps.
        pro: in [0, 1], from a process reward model.
        alpha: weight of retro in [0, 1]; read by "product" and "sum". Choose it on validation data, see `scan_alpha`.
        how: the combination.

    Raises `ScorecraftError` for a score or an alpha outside [0, 1], or an unknown combination.

    Source: Safe, 2025, arXiv 2506.04592.
    """
    _probability("the retrospective score", retro)
    _probability("the prospective score", pro)
    _probability("alpha", alpha)
    match how:
        case "product":
            return 0.0 if retro == 0 else retro**alpha * pro ** (1 - alpha)
        case "sum":
            return alpha * retro + (1 - alpha) * pro
        case "min":
            return min(retro, pro)
        case "max":
            return max(retro, pro)
        case "mul":
            return retro * pro
    raise ScorecraftError(f"combine: unknown how '{how}'; expected 'product', 'sum', 'min', 'max' or 'mul'")


@implements("formal-steps")
def best_of_n(scores: Sequence[float], compat: Literal["safe"] | None = None) -> int:
    """Return the place of the highest score, the first of equal ones; with compat "safe" the last, as published.

    Raises `ScorecraftError` without scores, or for NaN.
    """
    if not scores or any(math.isnan(score) for score in scores):
        raise ScorecraftError(f"best_of_n: expected scores that are numbers, got {list(scores)[:8]}")
    places = range(len(scores) - 1, -1, -1) if compat == "safe" else range(len(scores))
    return max(places, key=lambda place: scores[place])


@implements("formal-steps")
def scan_alpha(
    retro: Sequence[float],
    pro: Sequence[float],
    correct: Sequence[bool],
    problems: Sequence[Hashable],
    how: How = "product",
) -> float:
    """Return the alpha of 0, .01, ..., .99 with which the best of N is right most often; the middle of equal ones.

    Args:
        retro, pro: the scores of every candidate of some validation problems.
        correct: whether each candidate is right.
        problems: which problem each candidate answers.
        how: see `combine`.

    Raises `ScorecraftError` for columns of different lengths or without candidates.
    """
    if not problems or len({len(retro), len(pro), len(correct), len(problems)}) != 1:
        raise ScorecraftError("scan_alpha: expected four columns of one length, with at least one candidate")
    rows: dict[Hashable, list[int]] = {}
    for row, problem in enumerate(problems):
        rows.setdefault(problem, []).append(row)

    def right(alpha: float) -> int:
        scores = [combine(one, other, alpha, how) for one, other in zip(retro, pro, strict=True)]
        return sum(correct[own[best_of_n([scores[row] for row in own])]] for own in rows.values())

    counts = [right(alpha) for alpha in ALPHAS]
    best = [alpha for alpha, count in zip(ALPHAS, counts, strict=True) if count == max(counts)]
    return best[len(best) // 2]


def _probability(what: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ScorecraftError(f"expected {what} in [0, 1], got {value}")
