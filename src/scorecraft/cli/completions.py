"""Completions in a terminal: the prompt dim, tokens shaded by probability, forced text marked, verdicts below."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

from scorecraft.cli.terminal import plain
from scorecraft.problem import Problem, StepLabel, StepVerdict
from scorecraft.rollouts import Rollouts
from scorecraft.tasks.task import Task

# The style of a sampled token by the least probability it has; sure tokens look like ordinary text.
SHADES = ((0.9, ""), (0.6, "green"), (0.3, "yellow"), (0.1, "dark_orange"), (0.0, "bold red"))
FORCED = "cyan underline"
_STEP_STYLES = {
    StepLabel.CORRECT: ("✓", "green"),
    StepLabel.WRONG: ("✗", "red"),
    StepLabel.REDUNDANT: ("=", "yellow"),
    StepLabel.OFF_TOPIC: ("?", "magenta"),
}


class OwnPrompt:
    """A task as samplers see it when the prompt is the reader's own: its tool and turns, but no truth to check."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def check_steps(self, problem: Problem, completion: str) -> list[StepVerdict]:
        """Return nothing: the checker knows the task's own problems only."""
        del problem, completion
        return []


def shade(probability: float) -> str:
    """Return the style of a sampled token."""
    return next(style for least, style in SHADES if probability >= least)


def legend() -> Text:
    """Return the line that explains the shades."""
    text = Text().append("probability of each token: ", style="dim")
    for least, style in SHADES:
        text.append(f"{least:.0%}+".rjust(5), style=style or "default")
    return text.append("  ").append("put in by the sampler", style=FORCED)


def completion(rollouts: Rollouts, row: int, token_text: Callable[[int], str], *, coloured: bool) -> Text:
    """Return one completion; without colours, forced text stands between guillemets."""
    text = Text()
    length = int(rollouts.lengths[row])
    tokens = rollouts.tokens[row, :length].tolist()
    masks, logprobs = rollouts.mask[row, :length].tolist(), rollouts.logprobs[row, :length].tolist()
    inside = False
    for token, sampled, logprob in zip(tokens, masks, logprobs, strict=True):
        if not coloured and inside == sampled:
            text.append("»" if sampled else "«")
        inside = not sampled
        text.append_text(plain(token_text(token), shade(min(1.0, math.exp(logprob))) if sampled else FORCED))
    return text.append("»") if inside and not coloured else text


def verdict(task: Task, problem: Problem, written: str) -> Text:
    """Return what the exact checkers say of a completion: a line for the answer, and one for each step."""
    result = task.check(problem, written)
    mark, style = ("✓", "bold green") if result.correct else ("✗", "bold red")
    read = "no answer found" if result.parsed is None else f"answer read: {result.parsed}"
    expected = "" if result.correct else f", expected {problem.answer}"
    answer = plain(f"{mark} {result.outcome}, score {result.score:g}, {read}{expected}", style)
    text = Text().append_text(answer)
    for step in task.check_steps(problem, written):
        text.append("\n  ").append_text(step_line(step))
    return text


def step_line(step: StepVerdict) -> Text:
    """Return one step under its label."""
    sign, colour = _STEP_STYLES[step.label]
    return plain(f"{sign} {step.label:<10} {step.text}", colour)


def print_completions(
    console: Console, rollouts: Rollouts, token_text: Callable[[int], str], task: Task | None
) -> None:
    """Print every rollout under its prompt; without a task there is no truth, so no verdict."""
    coloured = console.is_terminal and not console.no_color
    if coloured:
        console.print(legend())
    shown = -1
    for row, (group, problem) in enumerate(zip(rollouts.group.tolist(), rollouts.problem_of, strict=True)):
        console.print()
        if group != shown:
            console.print(plain(problem.prompt.rstrip("\n"), "dim"), soft_wrap=True)
            shown = group
        console.print(completion(rollouts, row, token_text, coloured=coloured), soft_wrap=True)
        if bool(rollouts.truncated[row]):
            console.print(plain("cut off by max_new_tokens", "yellow"))
        if task is not None:
            console.print(verdict(task, problem, rollouts.texts[row]), soft_wrap=True)
