"""Which reasoning step each token is in."""

from __future__ import annotations

from collections.abc import Sequence

from scorecraft.lm.policy import Policy
from scorecraft.problem import Problem
from scorecraft.segmentation import segment, steps_of_tokens, token_spans
from scorecraft.tasks.task import Task


def step_spans(task: Task, problem: Problem, text: str) -> list[tuple[int, int]]:
    """Return the spans of characters of the steps: the task's own where it checks steps, else by its delimiter."""
    verdicts = task.check_steps(problem, text)
    if verdicts:
        return [(verdict.start, verdict.end) for verdict in verdicts]
    return [(span.start, span.end) for span in segment(text, by="delimiter", delimiter=task.step_delimiter)]


def token_steps(
    policy: Policy,
    tokens: Sequence[int],
    spans: Sequence[tuple[int, int]],
    *,
    delimiter: str = "\n",
    text: str | None = None,
) -> list[int]:
    """Return the step index of every token, -1 outside any.

    A token belongs to the first step that it has a character of; a delimiter belongs to the step it ends. A special
    token has no characters and belongs to none.

    Args:
        policy: its tokenizer wrote the tokens.
        tokens: of one completion.
        spans: of its steps, in characters of the decoded text.
        delimiter: what ends a step.
        text: the decoded text, where it is at hand.
    """
    places = token_spans(policy.tokenizer, tokens, text)
    return steps_of_tokens(spans, places, delimiter_length=len(delimiter))
