"""Does what the task asks fit into what the sampling allows: length, tool calls, follow-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scorecraft.lm.policy import Policy
    from scorecraft.recipes.recipe import Recipe

PROBLEMS = 64


def shortcomings(policy: Policy, recipe: Recipe) -> list[str]:
    """Return a sentence for each thing that the task's solutions need and the sampling does not give."""
    task, sampling = recipe.task, recipe.sampling
    problems = task.problems("train", 0, PROBLEMS)
    found = []
    lengths = [len(policy.encode(problem.gold)) + 1 for problem in problems if problem.gold]
    longer = sum(length > sampling.max_new_tokens for length in lengths)
    if longer:
        found.append(
            f"{longer} of {len(lengths)} known solutions of task '{task.name}' are longer than max_new_tokens "
            f"{sampling.max_new_tokens}, the longest has {max(lengths)} tokens: completions will be cut off; "
            f"set sampling.max_new_tokens={max(lengths) + max(lengths) // 4}"
        )
    if task.tool_call_end is not None and not sampling.answers_tool_calls:
        found.append(
            f"task '{task.name}' has a tool, and sampling '{sampling.name}' answers no calls; set sampling=tools"
        )
    if not sampling.asks_follow_ups and any(task.follow_up(problem, [problem.gold]) for problem in problems):
        found.append(
            f"task '{task.name}' goes on after the first turn, and sampling '{sampling.name}' ends there; "
            "set sampling=two-turn"
        )
    return found
