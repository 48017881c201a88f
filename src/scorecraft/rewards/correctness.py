"""Correctness: what the task's exact answer checker says of each completion."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from scorecraft.context import Context
from scorecraft.problem import Outcome, Verdict
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores


def check_answers(rollouts: Rollouts, context: Context) -> list[Verdict]:
    """Return the task's verdict on every completion.

    Args:
        rollouts: the completions.
        context: holds the task.
    """
    pairs = zip(rollouts.problem_of, rollouts.texts, strict=True)
    return [context.task.check(problem, text) for problem, text in pairs]


def verdict_scores(verdicts: Sequence[Verdict]) -> Scores:
    """Return verdicts as scores: an answer that cannot be read is worth 0 and counted in the metric "unparsed".

    A checker that abstained, ran out of time or failed leaves no value, under its own outcome.

    Args:
        verdicts: one for each rollout.
    """
    values, outcomes = [], []
    for verdict in verdicts:
        has_value = verdict.outcome in (Outcome.SCORED, Outcome.UNPARSED)
        unparsed = verdict.outcome is Outcome.UNPARSED
        values.append((0.0 if unparsed else verdict.score) if has_value else float("nan"))
        outcomes.append(Outcome.SCORED if has_value else verdict.outcome)
    counted = [float(verdict.outcome is Outcome.UNPARSED) for verdict in verdicts]
    return Scores(
        torch.tensor(values, dtype=torch.float32),
        tuple(outcomes),
        metrics={"unparsed": torch.tensor(counted, dtype=torch.float32)},
    )
