"""Which reasoning step each token is in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

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


def steps_of_rollouts(
    policy: Policy,
    task: Task,
    problems: Sequence[Problem],
    tokens: Sequence[Sequence[int]],
    texts: Sequence[str],
    width: int,
    *,
    decoded: bool,
) -> Int64[Tensor, "rollout token"]:
    """Return `token_steps` of a batch as a table, -1 in the padding.

    Args:
        policy: its tokenizer wrote the tokens.
        task: finds the steps.
        problems: one for each rollout.
        tokens: of each completion.
        texts: of each completion.
        width: number of token columns.
        decoded: whether the texts are what the policy decodes the tokens to, which spares decoding them again.
    """
    steps = torch.full((len(tokens), width), -1, dtype=torch.int64)
    for row, (problem, ids, text) in enumerate(zip(problems, tokens, texts, strict=True)):
        spans, known = step_spans(task, problem, text), text if decoded else None
        labels = token_steps(policy, ids, spans, delimiter=task.step_delimiter, text=known)
        steps[row, : len(ids)] = torch.tensor(labels, dtype=torch.int64)
    return steps
