"""The part of the signed final answer, read without the prefix that a completion was made to start with."""

from __future__ import annotations

from typing import Literal

import torch

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.parts import register
from scorecraft.problem import Verdict
from scorecraft.rewards.correctness import verdict_scores
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.signed_answer import ExtractFrom, boxed_answer_rulings, own_texts, prefixes_of
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores


@implements("repair-from-flawed")
@register("reward", "signed-answer")
class SignedAnswer(Reward):
    """+1 for a right answer, -1 for any other, read from what the policy wrote and not from a forced prefix.

    answer: "task" asks the task's own checker, "boxed" compares the last ``\\boxed`` with the true answer by value.
    extract_from: "completion", or "prefill+completion" where an answer in the prefix shall count.
    """

    answer: Literal["task", "boxed"] = "task"
    extract_from: ExtractFrom = "completion"

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the sign of each answer; what could not be judged in time has no value.

        "flawed" says which completions started from a prefix, "repaired" which of those are right nevertheless, and
        "clean" which of the others are right.
        """
        scores = verdict_scores(self._verdicts(rollouts, context))
        right = (scores.values >= 1).float()
        forced = torch.tensor([bool(prefix) for prefix in prefixes_of(rollouts)], dtype=torch.bool)
        missing = torch.full_like(right, float("nan"))
        known = ~scores.values.isnan()
        metrics = {
            **scores.metrics,
            "flawed": forced.float(),
            "repaired": torch.where(forced & known, right, missing),
            "clean": torch.where(~forced & known, right, missing),
        }
        values = torch.where(known, 2 * right - 1, missing)
        return Scores(values, scores.outcomes, metrics=metrics)

    def _verdicts(self, rollouts: Rollouts, context: Context) -> list[Verdict]:
        own = own_texts(rollouts)
        problems = rollouts.problem_of
        if self.answer == "task":
            texts = own if self.extract_from == "completion" else rollouts.texts
            return [context.task.check(problem, text) for problem, text in zip(problems, texts, strict=True)]
        rulings = boxed_answer_rulings(
            own,
            [problem.answer for problem in problems],
            prefills=prefixes_of(rollouts),
            extract_from=self.extract_from,
        )
        return [Verdict(ruling.score, ruling.verdict.outcome, ruling.given or None) for ruling in rulings]
