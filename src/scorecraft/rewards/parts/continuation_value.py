"""The value of every intermediate state: how often the policy reaches the right answer from there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.problem import Outcome
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.steps import step_table
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Trait, Traits


@implements("stepwise-reward")
@implements("per-step-advantage")
@register("reward", "continuation-value")
class ContinuationValue(Reward):
    """Step rewards that are values: the share of continuations after each step that the task's checker finds right.

    Give it weight 0 and a credit that reads values, such as `stepwise-reward` or `per-step-advantage`; its own value is
    that of the last step. All continuations of a batch are drawn together, and beginnings are computed once.

    samples: continuations of each step. max_new_tokens: after a step; the longest completion of the batch where not
    given. temperature, top_p: of the continuations, by default as the completions. closing: text forced after a step,
    such as the end of a thought. last: whether the last step is continued too, or valued by the answer that followed.
    """

    asks_policy: ClassVar[bool] = True
    samples: int = Field(4, ge=1)
    max_new_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    closing: str = ""
    last: bool = True

    def traits(self) -> Traits:
        """Return that it has step rewards."""
        return Traits(provides=(Trait.STEP_REWARDS,))

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the values; a completion without steps has none."""
        if len(rollouts) == 0:
            return Scores.of([])
        if context.policy is None:
            raise ScorecraftError(
                f"reward '{self.name}' lets the policy go on from each step; it works in training, not on texts alone"
            )
        ends = step_ends(rollouts.steps)
        cuts = [own if self.last else own[:-1] for own in ends]
        rows = [dict(enumerate(shares)) for shares in self._found(rollouts, cuts, context)]
        if not self.last:
            answered = [float(context.task.check(problem, text).correct) for problem, text in
                        zip(rollouts.problem_of, rollouts.texts, strict=True)]  # fmt: skip
            for own, row, answer in zip(ends, rows, answered, strict=True):
                if own:
                    row[len(own) - 1] = answer
        steps, mask = step_table(rows)
        values = torch.tensor([row[max(row)] if row else float("nan") for row in rows], dtype=torch.float32)
        outcomes = tuple(Outcome.SCORED if row else Outcome.ABSTAINED for row in rows)
        first = torch.tensor([row[min(row)] if row else float("nan") for row in rows], dtype=torch.float32)
        return Scores(values, outcomes, steps, mask, {"first_step": first})

    def _found(self, rollouts: Rollouts, cuts: Sequence[Sequence[int]], context: Context) -> list[list[float]]:
        """Return the share of right continuations of each cut of each rollout."""
        policy, problems = context.policy, rollouts.problem_of
        seeds = (context.uniforms(len(rollouts)) * 2**53).long().tolist()
        prompts = [
            rollouts.prompt_tokens[group, -length:].tolist()
            for group, length in zip(
                rollouts.group.tolist(), rollouts.prompt_lengths[rollouts.group].tolist(), strict=True
            )
        ]
        completions = [ids[:n] for ids, n in zip(rollouts.tokens.tolist(), rollouts.lengths.tolist(), strict=True)]
        temperature = rollouts.temperature if self.temperature is None else self.temperature
        width = self.max_new_tokens or rollouts.tokens.shape[1]
        drawn = policy.continuations(
            prompts, completions, cuts, samples=self.samples, seeds=seeds, max_new_tokens=width,
            temperature=temperature, top_p=self.top_p, closing=policy.encode(self.closing) if self.closing else (),
        )  # fmt: skip
        right = [
            float(context.task.check(problems[row], text).correct)
            for row, text in zip(drawn.completion.tolist(), drawn.whole, strict=True)
        ]
        shares = iter(torch.tensor(right).view(-1, self.samples).mean(1).tolist())
        return [[next(shares) for _ in own] for own in cuts]


def step_ends(steps: Tensor) -> list[list[int]]:
    """Return for each row how many tokens there are up to the end of each of its steps, in order.

    Args:
        steps: ``[rollout, token]``, the index of the step a token is in, -1 outside any.
    """
    found = []
    for row in steps.tolist():
        last: dict[int, int] = {}
        for place, step in enumerate(row):
            if step >= 0:
                last[step] = place + 1
        found.append([last[step] for step in sorted(last)])
    return found
