"""A process reward model that pays a repeated correct step again, and more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scorecraft.problem import StepLabel, StepVerdict


def overrated_steps(
    steps: Sequence[StepVerdict], values: Mapping[StepLabel, float], repeat_bonus: float
) -> dict[int, float]:
    """Return each step's reward: the value of its label, plus the bonus where it repeats an earlier step.

    A step repeats when its text, spaces aside, stood in the completion before and it is not wrong or off topic.
    So the sum grows without bound by repetition: the flaw that sum-form credit exploits.

    Args:
        steps: the exact verdicts on the completion's steps.
        values: reward of each label.
        repeat_bonus: added to a repeated step.

    Source: the failure described in Stop Summation (2025), arXiv 2504.15275.
    """
    rewards: dict[int, float] = {}
    seen: set[str] = set()
    for step in steps:
        text = "".join(step.text.split())
        repeats = text in seen and step.label in (StepLabel.CORRECT, StepLabel.REDUNDANT)
        rewards[step.index] = values[step.label] + (repeat_bonus if repeats else 0.0)
        seen.add(text)
    return rewards


def honest_step_sum(steps: Sequence[StepVerdict], values: Mapping[StepLabel, float]) -> float:
    """Return what the same model would pay without the flaw: a redundant or repeated step earns nothing.

    Args:
        steps: the exact verdicts on the completion's steps.
        values: reward of each label.
    """
    total = 0.0
    seen: set[str] = set()
    for step in steps:
        text = "".join(step.text.split())
        correct = step.label is StepLabel.CORRECT
        if step.label is not StepLabel.REDUNDANT and not (correct and text in seen):
            total += values[step.label]
        seen.add(text)
    return total
