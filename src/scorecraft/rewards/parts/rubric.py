"""The part of the rubric reward."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field, PrivateAttr, field_validator

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.miracle_steps import MIRACLE_STEP
from scorecraft.parts import register
from scorecraft.problem import Outcome, Problem, Verdict
from scorecraft.rewards.correctness import check_answers
from scorecraft.rewards.function import load_function
from scorecraft.rewards.judge import Judge
from scorecraft.rewards.programmatic_rubric import audit_steps, problem_requirements, rubric_for
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.rubric_reward import (
    Mode,
    OnFail,
    Rubric,
    RubricItem,
    RubricScore,
    combine,
    rubric_rewards,
)
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.tasks.rubric import Rubric as RubricTask
from scorecraft.traits import Note, Trait, Traits


@implements("rubric-reward")
@register("reward", "rubric")
class RubricReward(Reward):
    """The grade of the whole solution under the problem's rubric, alone or put together with the answer's verdict.

    mode, rubric_weight: see `scorecraft.rewards.rubric_reward.combine`.
    rubric: "steps" checks the written equations exactly; "problem" takes the rubric that comes with the problem (its
        metadata's "rubric": items with text and points, or the named items of the task "rubric"); "auto" is "problem"
        where there is one, else "steps".
    judge: ``file.py:function``, a function of prompt and temperature that returns a text; asked instead of the checks.
    on_fail, retries, budget, timeout, concurrency: see `rubric_rewards` and `Judge`.
    """

    mode: Mode = "rubric_only"
    rubric_weight: float = Field(1.0, ge=0, le=1)
    rubric: Literal["auto", "steps", "problem"] = "auto"
    judge: str | None = None
    on_fail: OnFail = "zero"
    retries: int = Field(3, ge=0)
    budget: int | None = Field(None, ge=0)
    timeout: float | None = Field(None, gt=0)
    concurrency: int = Field(1, ge=1)

    _judge: Judge | None = PrivateAttr(None)
    _calls: int = PrivateAttr(0)

    @field_validator("judge")
    @classmethod
    def _names_file_and_function(cls, judge: str | None) -> str | None:
        if judge is not None and not all(judge.rpartition(":")[::2]):
            raise ValueError(f"expected 'file.py:function', got '{judge}'")
        return judge

    def traits(self) -> Traits:
        """Return that its grades are partial credit."""
        if self.mode == "addon" and self.rubric_weight == 0:
            return super().traits()
        note = Note(Trait.MAGNITUDE, "it pays in proportion to the points of the rubric")
        return super().traits() + Traits(relies_on=(note,))

    def state(self) -> dict[str, Any]:
        """Return how many calls of the judge are spent."""
        calls = self._judge.calls if self._judge else self._calls
        return {"calls": calls} if calls else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back the number of calls."""
        self._calls = int(state.get("calls", 0))
        if self._judge:
            self._judge.calls = self._calls

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the reward of each solution; the metrics say how grade, answer and reasoning stand."""
        verdicts = check_answers(rollouts, context)
        rows = list(zip(rollouts.problem_of, rollouts.texts, strict=True))
        right = [_right(*row, verdict, context) for row, verdict in zip(rows, verdicts, strict=True)]
        graded = self._grades(rows, right, context)
        score = torch.tensor([grade.score for grade in graded], dtype=torch.float32)
        correct = torch.tensor(right, dtype=torch.bool)
        values = combine(score, correct, mode=self.mode, weight=self.rubric_weight)
        outcomes = [
            self._outcome(value, grade, verdict)
            for value, grade, verdict in zip(values.tolist(), graded, verdicts, strict=True)
        ]
        unscored = torch.tensor([outcome is not Outcome.SCORED for outcome in outcomes], dtype=torch.bool)
        failed = [float(grade.outcome is not Outcome.SCORED) for grade in graded]
        metrics = {
            "rubric_score": score,
            "answer_ok": correct.float(),
            "judge_failed": torch.tensor(failed, dtype=torch.float32),
            **self._steps(rows, right),
        }
        return Scores(values.masked_fill(unscored, float("nan")), tuple(outcomes), metrics=metrics)

    def _grades(self, rows: list[tuple[Problem, str]], right: list[bool], context: Context) -> list[RubricScore]:
        """Grade every solution whose grade the mode reads."""
        read = [not (self.mode == "addon" and accepted) for accepted in right]
        wanted = [row for row, needed in zip(rows, read, strict=True) if needed]
        found = iter(
            rubric_rewards(
                [text for _, text in wanted],
                [self._rubric_of(problem, context) for problem, _ in wanted],
                judge=self._opened_judge(),
                contexts=[{"problem": problem.prompt, "_problem": problem} for problem, _ in wanted],
                on_fail=self.on_fail,
            )
        )
        return [next(found) if needed else RubricScore(math.nan, math.nan) for needed in read]

    def _rubric_of(self, problem: Problem, context: Context) -> Rubric:
        own = problem.metadata.get("rubric") if self.rubric != "steps" else None
        if own is None:
            if self.rubric == "problem":
                raise ScorecraftError(
                    f"reward 'rubric': task '{context.task.name}' has no 'rubric' in its problems' metadata; "
                    "take rubric: steps, or auto"
                )
            return rubric_for(problem_requirements(problem))
        if isinstance(context.task, RubricTask):
            return _task_rubric(context.task, own)
        return _written_rubric(own)

    def _opened_judge(self) -> Judge | None:
        if self.judge is None:
            return None
        if self._judge is None:
            path, _, name = self.judge.rpartition(":")
            self._judge = Judge(
                load_function(path, name),
                retries=self.retries,
                budget=self.budget,
                timeout=self.timeout,
                concurrency=self.concurrency,
            )
            self._judge.calls = self._calls
        return self._judge

    def _outcome(self, value: float, grade: RubricScore, verdict: Verdict) -> Outcome:
        """Return how a value came about; a verdict that failed counts where the mode reads it."""
        readable = verdict.outcome in (Outcome.SCORED, Outcome.UNPARSED)
        if self.mode != "rubric_only" and not readable:
            return verdict.outcome
        return grade.outcome if math.isnan(value) else Outcome.SCORED

    def _steps(self, rows: list[tuple[Problem, str]], right: list[bool]) -> dict[str, torch.Tensor]:
        """Measure soundness of the written steps, whatever the rubric says."""
        sound, miracle = [], []
        for (problem, text), answer_ok in zip(rows, right, strict=True):
            audit = audit_steps(text, problem_requirements(problem))
            sound.append(float(audit.sound))
            miracle.append(float(MIRACLE_STEP in audit.modes(answer_ok)))
        reasoning = torch.tensor(sound, dtype=torch.float32)
        return {
            "reasoning_ok": reasoning,
            "verified": reasoning * torch.tensor(right, dtype=torch.float32),
            "miracle": torch.tensor(miracle, dtype=torch.float32),
        }


def _right(problem: Problem, text: str, verdict: Verdict, context: Context) -> bool:
    """Return whether the answer is right; the task "rubric" gives its verdict on more than the answer."""
    if isinstance(context.task, RubricTask):
        return context.task.grade(problem, text)["right"]
    return verdict.correct


def _task_rubric(task: RubricTask, names: list[str]) -> Rubric:
    def met(name: str) -> Any:
        return lambda solution, context: float(task.grade(context["_problem"], solution)[name])

    return Rubric(tuple(RubricItem(name, 1.0, met(name)) for name in names), max_points=float(len(names)))


def _written_rubric(items: Any) -> Rubric:
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and {"text", "points"} <= set(item) for item in items
    ):
        raise ScorecraftError(
            "reward 'rubric': expected the metadata's 'rubric' to be a list of items such as "
            "{'text': 'states the theorem', 'points': 2}"
        )
    return Rubric(tuple(RubricItem(str(i["text"]), float(i["points"]), tag=i.get("tag")) for i in items))
