"""Which proposals are kept: they do not give the answer away, and the model can succeed after them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

import torch

from scorecraft.catalog import implements
from scorecraft.credit.intervention_training.attempts import GuidedAttempt
from scorecraft.credit.intervention_training.coverage import CoverageStatistics, coverage_statistics
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem

Leak = Literal["substring", "token"]

Rollout = Callable[[Sequence[Problem], Sequence[str], int], Sequence[Sequence[str]]]
"""Returns, for every problem with the completion begun so far, that many continuations of it."""

Verify = Callable[[Problem, str], bool]
"""Says whether a whole completion is right."""


class Drop(StrEnum):
    """Why something was dropped: attempts before a proposal was asked for, proposals after."""

    ATTEMPT_CORRECT = "attempt is correct"
    ATTEMPT_REPEATED = "attempt is repeated"
    UNREADABLE = "reply is unreadable"
    NO_ERROR_FOUND = "no error found"
    BAD_LOCATION = "location outside the attempt"
    LEAK = "answer given away"
    DUPLICATE = "duplicate"
    NO_SUCCESS = "too few continuations succeed"
    WRONG_REWRITE = "rewritten solution is wrong"
    NOTHING_TO_LEARN = "nothing to learn before the error"
    TOO_LONG = "too long"


@dataclass(frozen=True)
class Filtered:
    """The rows that are kept, with their counts and suffixes, and the statistics of all that were tried."""

    kept: list[GuidedAttempt]
    statistics: CoverageStatistics


@implements("intervention-training")
def reveals_answer(content: str, answer: str, leak: Leak = "substring") -> bool:
    """Return whether a text gives the answer away.

    "substring": the answer occurs anywhere, so "1" is found in "try 10"; the published rule. "token": it occurs with
    no letter, digit or decimal part attached to it.

    Args:
        content: of an intervention.
        answer: the true one, not blank.
        leak: the rule.

    Raises `ScorecraftError` for an unknown rule or a blank answer.

    Source: InT, 2026, arXiv 2601.14209; the rule "token" is ours.
    """
    wanted = answer.strip()
    if not wanted:
        raise ScorecraftError("reveals_answer: the answer is blank, and would be found in any text")
    if leak == "substring":
        return wanted in content
    if leak != "token":
        raise ScorecraftError(f"reveals_answer: unknown rule '{leak}'; expected 'substring' or 'token'")
    before = r"(?<!\w)(?<!\d[.,])" if re.match(r"\w", wanted) else ""
    after = r"(?!\w)(?![.,]\d)" if re.search(r"\w\Z", wanted) else ""
    return re.search(before + re.escape(wanted) + after, content) is not None


@implements("intervention-training")
def filter_interventions(
    rows: Sequence[GuidedAttempt],
    rollout: Rollout,
    verify: Verify,
    n_rollouts: int = 32,
    min_correct: int = 1,
    problems: int | None = None,
) -> Filtered:
    """Return the rows from which at least ``min_correct`` of ``n_rollouts`` continuations are right.

    Args:
        rows: guided attempts.
        rollout: samples continuations.
        verify: judges the guided prefix with its continuation.
        n_rollouts: continuations of every row.
        min_correct: how many of them must be right, in 1 .. n_rollouts.
        problems: how many problems there are, for the coverage; None for those of the rows.

    Raises `ScorecraftError` for numbers outside their range, or a ``rollout`` that returns another number of texts.

    Source: InT, 2026, arXiv 2601.14209.
    """
    check_rollouts(n_rollouts, min_correct)
    texts = [row.text for row in rows]
    found = rollout([row.attempt.problem for row in rows], texts, n_rollouts) if rows else []
    if len(found) != len(rows) or any(len(continuations) != n_rollouts for continuations in found):
        raise ScorecraftError(
            f"rollout: expected {n_rollouts} continuations for each of {len(rows)} prefixes, "
            f"got {[len(continuations) for continuations in found][:8]}"
        )
    counted = [_counted(row, continuations, verify) for row, continuations in zip(rows, found, strict=True)]
    statistics = coverage_statistics(
        torch.tensor([row.correct for row in counted], dtype=torch.int64),
        n_rollouts,
        torch.tensor([row.attempt.problem_index for row in counted], dtype=torch.int64),
        problems,
    )
    return Filtered([row for row in counted if row.correct >= min_correct], statistics)


def check_rollouts(n_rollouts: int, min_correct: int) -> None:
    """Raise `ScorecraftError` where a filter by continuations could not decide anything."""
    if n_rollouts < 1:
        raise ScorecraftError(f"n_rollouts: expected at least 1 continuation of each prefix, got {n_rollouts}")
    if not 1 <= min_correct <= n_rollouts:
        raise ScorecraftError(f"min_correct: expected a number in 1 .. {n_rollouts} (n_rollouts), got {min_correct}")


def _counted(row: GuidedAttempt, continuations: Sequence[str], verify: Verify) -> GuidedAttempt:
    right = [text for text in continuations if verify(row.attempt.problem, row.text + text)]
    return replace(row, correct=len(right), suffix=right[0] if right else "")
