"""How often a policy is right: its accuracy on held-out problems, sampled at temperature 1."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

import torch

from scorecraft.lm.generate import Forced, React, SamplingSettings, generate
from scorecraft.lm.supervised import trace_example

if TYPE_CHECKING:
    from scorecraft.lm.policy import Policy
    from scorecraft.problem import Problem
    from scorecraft.tasks.task import Task, TunnelTask

BATCH = 500


def sampled_accuracy(
    policy: Policy, task: Task, start: int, count: int, *, max_new_tokens: int, seed: int = 0
) -> float:
    """Return the share of test problems ``start`` to ``start + count`` that one sampled completion each gets right.

    Tool calls are answered and follow-ups asked as the task says; what they take counts in ``max_new_tokens``.
    """
    right = 0
    for first in range(start, start + count, BATCH):
        problems = task.problems("test", first, min(BATCH, start + count - first))
        prompts = [policy.encode_prompt(problem.prompt) for problem in problems]
        width = min(max_new_tokens, policy.context_length - max(map(len, prompts)))
        draws = torch.Generator().manual_seed(seed * 1_000_003 + first)
        uniforms = torch.rand((len(problems), width), generator=draws, dtype=torch.float64)
        stop = (task.tool_call_end,) if task.tool_call_end else ()
        out = generate(
            policy,
            prompts,
            torch.arange(len(problems)),
            uniforms,
            SamplingSettings(width, stop=stop),
            react=_answers(policy, task, problems),
        )
        rows = zip(problems, out.tokens.tolist(), out.lengths.tolist(), strict=True)
        right += sum(task.check(problem, policy.decode(ids[:length])).correct for problem, ids, length in rows)
    return right / count


def completion_limit(policy: Policy, task: TunnelTask, flaw_rate: float = 0.3, count: int = 256) -> int:
    """Return a length limit in tokens that cuts no ordinary completion: the longest of some traces and a quarter."""
    random = Random(0)
    longest = 0
    for problem in task.problems("train", 0, count):
        segments = task.trace(problem, flaw_rate, random)
        example = trace_example(policy, problem.prompt, segments, tool_call_end=task.tool_call_end)
        longest = max(longest, len(example.tokens) - example.learned.index(True))
    return longest + longest // 4 + 4


def _answers(policy: Policy, task: Task, problems: Sequence[Problem]) -> React:
    """Return what a tool or the user says when a row ends a call or a turn."""
    turns: list[list[str]] = [[] for _ in problems]
    starts = [0] * len(problems)

    def answer(row: int, tokens: list[int], turn: int) -> Forced | None:
        del turn
        if tokens[-1] not in policy.eos_ids:
            return Forced(policy.encode(task.call_tool(problems[row], policy.decode(tokens))))
        turns[row].append(policy.decode(tokens[starts[row] :]))
        said = task.follow_up(problems[row], turns[row])
        if said is None:
            return None
        forced = policy.encode_follow_up(said)
        starts[row] = len(tokens) + len(forced)
        return Forced(forced, new_turn=True)

    return answer
