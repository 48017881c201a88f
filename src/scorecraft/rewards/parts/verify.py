"""The part that verifies answers whatever task they belong to."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field, model_validator

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.problem import Problem, Verdict
from scorecraft.rewards.correctness import verdict_scores
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.verify import Kind, Options, Verification, verify_many
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Trait, Traits


@register("reward", "verify")
class Verify(Reward):
    """1 where the answer is the problem's, by value and not by letter: numbers, formulas, sets, choices, JSON, tests.

    kind: what the answers are; "auto" tells by the form of the true one. absolute, relative: how far a number may be
    off. ignore_case: whether capitals matter in texts. loose: whether an answer counts that nothing marks as one.
    truth: a key of the problem's metadata that holds the true answer, the tests or the entry, instead of ``answer``.
    seconds, memory_mb, workers: limits on the processes that take the hard cases. run_code: allows kind "code".
    """

    kind: Kind = "auto"
    absolute: float | None = Field(None, ge=0, allow_inf_nan=False)
    relative: float | None = Field(None, ge=0, allow_inf_nan=False)
    ignore_case: bool = True
    loose: bool = True
    truth: str = ""
    seconds: float = Field(5.0, gt=0)
    memory_mb: int = Field(1024, ge=256)
    workers: int = Field(2, ge=1)
    run_code: bool = False

    @model_validator(mode="after")
    def _code_is_asked_for(self) -> Verify:
        if self.kind == "code" and not self.run_code:
            raise ValueError("kind 'code' runs what the policy wrote; set run_code: true to allow it")
        return self

    def traits(self) -> Traits:
        """Return that it tells right from wrong by 1 and 0, at weight 1; reasoning-gym's scorers also give shares."""
        binary = self.weight == 1 and self.kind != "reasoning-gym"
        return super().traits() + Traits(provides=(Trait.BINARY_REWARD,) if binary else ())

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the score of each answer; one that cannot be read earns 0 and is counted.

        What ran out of time or failed has no value. "fast" says where no worker process was asked.
        """
        del context
        truths = [self._truth(problem) for problem in rollouts.problem_of]
        options = Options(
            kind=self.kind, absolute=self.absolute, relative=self.relative, ignore_case=self.ignore_case,
            loose=self.loose, seconds=self.seconds, memory_mb=self.memory_mb, workers=self.workers,
            run_code=self.run_code,
        )  # fmt: skip
        found = verify_many(rollouts.texts, truths, options)
        scores = verdict_scores([_verdict(one) for one in found])
        fast = torch.tensor([float(one.path == "fast") for one in found], dtype=torch.float32)
        return Scores(scores.values, scores.outcomes, metrics={**scores.metrics, "fast": fast})

    def _truth(self, problem: Problem) -> Any:
        if not self.truth:
            return problem.answer
        if self.truth not in problem.metadata:
            held = ", ".join(sorted(problem.metadata)) or "nothing"
            raise ScorecraftError(f"reward 'verify': a problem's metadata has no '{self.truth}', it has {held}")
        return problem.metadata[self.truth]


def _verdict(found: Verification) -> Verdict:
    return Verdict(found.score, found.verdict.outcome, found.given or None)
