"""The base of every sampling part: problems in, `Rollouts` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.lm.generate import Generation, React, SamplingSettings, generate, left_pad
from scorecraft.lm.policy import Policy
from scorecraft.parts import Part
from scorecraft.problem import Problem
from scorecraft.rollouts import Rollouts
from scorecraft.sampling.steps import steps_of_rollouts
from scorecraft.traits import Trait, Traits


class Sampling(Part):
    """How completions are drawn: the options that every sampling part has.

    ``filter_groups`` says what happens to a group whose rewards are all equal, and which therefore teaches
    nothing: "none" keeps it, "skip" leaves it out, "resample" draws further prompts until the batch is full
    (at most ``resample_rounds`` times as many).
    """

    group_size: int = Field(8, ge=1)
    temperature: float = Field(1.0, ge=0)
    top_k: int = Field(0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    max_new_tokens: int = Field(64, ge=1)
    chat: Literal["auto", "always", "never"] = "auto"
    system: str | None = None
    filter_groups: Literal["none", "skip", "resample"] = "none"
    resample_rounds: int = Field(4, ge=1)

    # What happens when a rollout ends a tool call, or its first turn.
    answers_tool_calls: ClassVar[bool] = False
    asks_follow_ups: ClassVar[bool] = False

    @model_validator(mode="after")
    def _group_of_one_cannot_be_filtered(self) -> Sampling:
        if self.group_size == 1 and self.filter_groups != "none":
            raise ValueError("filter_groups needs group_size 2 or more: a group of one is always all equal")
        return self

    def traits(self) -> Traits:
        """Return whether there is something to compare a completion with."""
        return Traits(provides=(Trait.COMPARISON,)) if self.group_size > 1 else Traits()

    def settings(self, context: Context) -> SamplingSettings:
        """Return how tokens are drawn for this task."""
        del context
        return SamplingSettings(self.max_new_tokens, self.temperature, self.top_k, self.top_p)

    def prompts(self, policy: Policy, problems: Sequence[Problem]) -> list[list[int]]:
        """Return the tokens of each problem's prompt, in the chat template where there is one to use."""
        return [policy.encode_prompt(p.prompt, system=self.system, chat=self.chat) for p in problems]

    def react(
        self, policy: Policy, problems: Sequence[Problem], notes: list[dict[str, Any]], context: Context
    ) -> React:
        """Return what happens when a rollout ends a turn or a tool call; here: it is finished."""
        del policy, problems, notes, context
        return lambda row, tokens, turn: None

    def prefixes(
        self, policy: Policy, problems: Sequence[Problem], notes: list[dict[str, Any]], context: Context
    ) -> list[list[int]] | None:
        """Return forced first tokens per rollout; here: none."""
        del policy, problems, notes, context
        return None

    def __call__(self, policy: Policy, problems: Sequence[Problem], context: Context) -> Rollouts:
        """Draw ``group_size`` completions of every problem."""
        if not problems:
            raise ScorecraftError("sampling: no problems were given, expected at least one")
        prompts = self.prompts(policy, problems)
        group = torch.arange(len(problems)).repeat_interleave(self.group_size)
        problem_of = [problems[index] for index in group.tolist()]
        notes: list[dict[str, Any]] = [{} for _ in problem_of]
        settings = self.settings(context)
        uniforms = context.uniforms(len(problem_of), settings.max_new_tokens)
        prefixes = self.prefixes(policy, problem_of, notes, context)
        react = self.react(policy, problem_of, notes, context)
        out = generate(policy, prompts, group, uniforms, settings, prefixes=prefixes, react=react)
        return _assemble(policy, problems, prompts, group, out, notes, settings.temperature or 1.0, context.task)


def _assemble(
    policy: Policy,
    problems: Sequence[Problem],
    prompts: list[list[int]],
    group: torch.Tensor,
    out: Generation,
    notes: list[dict[str, Any]],
    temperature: float,
    task: Any,
) -> Rollouts:
    table, prompt_lengths = left_pad(prompts, policy.pad_id)
    rows = [ids[:n] for ids, n in zip(out.tokens.tolist(), out.lengths.tolist(), strict=True)]
    texts = tuple(policy.decode(ids) for ids in rows)
    asked = [problems[index] for index in group.tolist()]
    steps = steps_of_rollouts(policy, task, asked, rows, texts, out.tokens.shape[1], decoded=True)
    return Rollouts(
        tokens=out.tokens,
        mask=out.mask,
        logprobs=out.logprobs,
        entropies=out.entropies,
        steps=steps,
        turns=out.turns,
        lengths=out.lengths,
        group=group,
        truncated=out.truncated,
        texts=texts,
        notes=tuple(notes),
        prompt_tokens=table,
        prompt_lengths=prompt_lengths,
        problems=tuple(problems),
        temperature=temperature,
    )
