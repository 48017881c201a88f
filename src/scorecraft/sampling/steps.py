"""Which reasoning step each token is in."""

from __future__ import annotations

from collections.abc import Sequence

from scorecraft.lm.policy import Policy
from scorecraft.problem import Problem
from scorecraft.tasks.task import Task


def step_spans(task: Task, problem: Problem, text: str) -> list[tuple[int, int]]:
    """Return the spans of characters of the steps: the task's own where it checks steps, else by its delimiter."""
    verdicts = task.check_steps(problem, text)
    if verdicts:
        return [(verdict.start, verdict.end) for verdict in verdicts]
    spans, start = [], 0
    for piece in text.split(task.step_delimiter):
        if piece.strip():
            spans.append((start, start + len(piece)))
        start += len(piece) + len(task.step_delimiter)
    return spans


def token_steps(policy: Policy, tokens: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return the step index of every token, -1 outside any.

    A token belongs to the step its first character is in; a delimiter belongs to the step it ends. A special
    token has no characters and belongs to none.
    """
    special = set(policy.tokenizer.all_special_ids)
    labels, position, step = [], 0, -1
    for token in tokens:
        if token in special:
            labels.append(-1)
            continue
        while step + 1 < len(spans) and position >= spans[step + 1][0]:
            step += 1
        # One step reaches up to the next; after the last, only its own delimiter still counts.
        beyond = step == len(spans) - 1 and step >= 0 and position > spans[step][1]
        labels.append(-1 if step < 0 or beyond else step)
        position += len(policy.token_text(token))
    return labels
