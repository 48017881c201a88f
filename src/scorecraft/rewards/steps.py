"""Steps: what the task's exact step checker says of each reasoning step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome, StepLabel, StepVerdict
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.tasks.task import Task


def check_steps(rollouts: Rollouts, context: Context, reward: str) -> list[list[StepVerdict]]:
    """Return the step checker's verdicts on every completion.

    Args:
        rollouts: the completions.
        context: holds the task.
        reward: name of the reward that asks, for the message.

    Raises `ScorecraftError` where the task has no step checker.
    """
    task = context.task
    if type(task).check_steps is Task.check_steps:
        raise ScorecraftError(f"reward '{reward}' needs a step checker, and task '{task.name}' has none")
    pairs = zip(rollouts.problem_of, rollouts.texts, strict=True)
    return [task.check_steps(problem, text) for problem, text in pairs]


def step_scores(rows: Sequence[Mapping[int, float]], metrics: Mapping[str, Float32[Tensor, " rollout"]]) -> Scores:
    """Return scores whose value is the sum of the step rewards, with the step rewards as a table.

    Args:
        rows: for each rollout its step rewards by step index.
        metrics: more measurements per rollout.
    """
    steps, mask = step_table(rows)
    return Scores(steps.sum(1), (Outcome.SCORED,) * len(rows), steps, mask, metrics)


def step_table(
    rows: Sequence[Mapping[int, float]],
) -> tuple[Float32[Tensor, "rollout step"], Bool[Tensor, "rollout step"]]:
    """Return step rewards as a padded table, and which steps exist.

    Args:
        rows: for each rollout its step rewards by step index.
    """
    width = max((index + 1 for row in rows for index in row), default=0)
    steps = torch.zeros(len(rows), width, dtype=torch.float32)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for place, row in enumerate(rows):
        for index, value in row.items():
            steps[place, index], mask[place, index] = value, True
    return steps, mask


def correct_step_share(verdicts: Sequence[Sequence[StepVerdict]]) -> Scores:
    """Return the share of correct steps, each correct one of n earning 1/n; 0 without any step.

    A redundant or off-topic step is not a correct one. The metric "steps" counts all steps.

    Args:
        verdicts: of each rollout's steps.
    """
    rows = [{step.index: float(step.label is StepLabel.CORRECT) / len(row) for step in row} for row in verdicts]
    return step_scores(rows, {"steps": torch.tensor([float(len(row)) for row in verdicts], dtype=torch.float32)})
