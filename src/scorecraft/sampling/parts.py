"""The built-in sampling parts: one turn, two turns, with a tool, with a forced prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.lm.generate import Forced, React, SamplingSettings
from scorecraft.lm.policy import Policy
from scorecraft.parts import register
from scorecraft.problem import Problem
from scorecraft.rollouts import Rollouts
from scorecraft.sampling import flawed_prefix, function_tools
from scorecraft.sampling.sampling import Sampling

# Parts in files of their own, which register themselves.
_ELSEWHERE = (flawed_prefix, function_tools)


@register("sampling", "single-turn")
class SingleTurn(Sampling):
    """One completion per rollout, until an end token, a stop string or the length limit."""

    stop: tuple[str, ...] = ()

    def settings(self, context: Context) -> SamplingSettings:
        """Return the settings with the stop strings."""
        del context
        return SamplingSettings(self.max_new_tokens, self.temperature, self.top_k, self.top_p, self.stop)


@register("sampling", "two-turn")
class TwoTurn(Sampling):
    """A first answer, the task's follow-up, and a second answer; the follow-up is masked out."""

    turns: int = Field(2, ge=2)
    asks_follow_ups: ClassVar[bool] = True

    def react(
        self, policy: Policy, problems: Sequence[Problem], notes: list[dict[str, Any]], context: Context
    ) -> React:
        """Put in what the user says next, until the conversation or ``turns`` ends."""
        texts: list[list[str]] = [[] for _ in problems]
        starts = [0] * len(problems)

        def answer(row: int, tokens: list[int], turn: int) -> Forced | None:
            texts[row].append(policy.decode(tokens[starts[row] :]))
            said = context.task.follow_up(problems[row], texts[row]) if turn + 1 < self.turns else None
            if said is None:
                return None
            forced = policy.encode_follow_up(said, chat=self.chat)
            starts[row] = len(tokens) + len(forced)
            notes[row].setdefault("follow_ups", []).append(said)
            return Forced(forced, new_turn=True)

        return answer


@register("sampling", "tools")
class Tools(Sampling):
    """Tool calls are answered in place by the task's tool; what it says is masked out."""

    max_calls: int = Field(8, ge=1)
    answers_tool_calls: ClassVar[bool] = True

    def settings(self, context: Context) -> SamplingSettings:
        """Return the settings with the end of a tool call as stop string."""
        end = context.task.tool_call_end
        if end is None:
            raise ScorecraftError(
                f"sampling 'tools': task '{context.task.name}' has no tool; use 'single-turn', or the task 'calculator'"
            )
        return SamplingSettings(self.max_new_tokens, self.temperature, self.top_k, self.top_p, (end,))

    def react(
        self, policy: Policy, problems: Sequence[Problem], notes: list[dict[str, Any]], context: Context
    ) -> React:
        """Answer a finished tool call, up to ``max_calls`` of them; an end token ends the rollout."""

        def answer(row: int, tokens: list[int], turn: int) -> Forced | None:
            del turn
            if tokens[-1] in policy.eos_ids:
                return None
            calls = notes[row].setdefault("tool_calls", [])
            if len(calls) >= self.max_calls:
                return None
            result = context.task.call_tool(problems[row], policy.decode(tokens))
            calls.append(result)
            return Forced(policy.encode(result))

        return answer


@register("sampling", "forced-prefix")
class ForcedPrefix(Sampling):
    """Completions that start with a given text, or with a part of the gold solution, which others wrote.

    Its tokens are masked out; with ``gradient_weight`` above 0 each carries that multiple of the advantage of the first
    token after the prefix, so that what led to it is learned as well. ``gold_share`` takes that share of the characters
    of the problem's gold completion, cut at the last whole step; ``text`` is used as it stands. Give one of the two.
    """

    text: str = ""
    gold_share: float = Field(0.0, ge=0, lt=1)
    gradient_weight: float = Field(0.0, ge=0)

    def __call__(self, policy: Policy, problems: Sequence[Problem], context: Context) -> Rollouts:
        """Draw the completions, and say how much the gradient of their prefixes counts."""
        rollouts = super().__call__(policy, problems, context)
        if self.gradient_weight == 0:
            return rollouts
        forced = rollouts.real & ~rollouts.mask & (rollouts.mask.cumsum(1) == 0)
        return replace(rollouts, foreign=forced.float() * self.gradient_weight)

    def prefixes(
        self, policy: Policy, problems: Sequence[Problem], notes: list[dict[str, Any]], context: Context
    ) -> list[list[int]]:
        """Return the forced first tokens of every rollout, and note the text."""
        if bool(self.text) == bool(self.gold_share):
            raise ScorecraftError("sampling 'forced-prefix': give one of 'text' and 'gold_share'")
        prefixes = []
        for row, problem in enumerate(problems):
            text = self.text or _whole_steps(problem.gold, self.gold_share, context.task.step_delimiter)
            notes[row]["prefix"] = text
            prefixes.append(policy.encode(text) if text else [])
        return prefixes


def _whole_steps(gold: str, share: float, delimiter: str) -> str:
    cut = gold[: round(len(gold) * share)]
    end = cut.rfind(delimiter)
    return "" if end < 0 else cut[: end + len(delimiter)]
