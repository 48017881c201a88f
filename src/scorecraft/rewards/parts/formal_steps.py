"""The part that pays every step by what a prover says of it."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from pydantic import Field

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.parts import register
from scorecraft.rewards.formal_steps import (
    Cvc5Prover,
    EquationFormalizer,
    ExactProver,
    PortfolioProver,
    StepRecord,
    StepState,
    Z3Prover,
    default_prover,
    verify_trace,
)
from scorecraft.rewards.formal_steps.results import Prover
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.steps import step_scores
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Note, Trait, Traits

Kind = Literal["exact", "z3", "cvc5", "best"]


@implements("formal-steps")
@register("reward", "formal-steps")
class FormalSteps(Reward):
    """Every step earns by what a prover says of the arithmetic in it: proved, refuted, or neither.

    prover: "exact" decides what comes down to one calculation and depends on nothing; "z3" and "cvc5" come after it for
        the rest; "best" is z3 where it is installed.
    proved, refuted, unneeded, unknown, unformalized: what a step in that state earns.
    once: whether a step that claims what an earlier one of the completion has proved earns as "unneeded".
    mean: whether a completion's value is the mean over its steps, so that more steps do not earn more, or their sum.
    rounding: whether ``10/3 = 3.33`` counts as an equation to two places.
    seconds: for a question to a solver. budget: seconds for a completion; one that takes longer has no steps.
    most_steps: steps that are looked at; later ones earn nothing.
    """

    prover: Kind = "exact"
    proved: float = 1.0
    refuted: float = -1.0
    unneeded: float = 0.0
    unknown: float = 0.0
    unformalized: float = 0.0
    once: bool = True
    mean: bool = False
    rounding: bool = False
    seconds: float = Field(2.0, gt=0)
    budget: float = Field(60.0, gt=0)
    most_steps: int = Field(256, ge=1)

    def traits(self) -> Traits:
        """Return that it pays step by step and, as a sum, for every further true equation."""
        note = Note(Trait.MAGNITUDE, "it pays in proportion to the steps that are proved")
        own = super().traits() + Traits(relies_on=(note,), provides=(Trait.STEP_REWARDS,))
        if self.mean or self.weight * max(self.proved, self.unneeded) <= 0:
            return own
        text = "every further true equation earns again, whether or not it leads to the answer"
        return own + Traits(brings=(Note(Trait.FARMING, text, "Stop Summation, 2025, arXiv 2504.15275"),))

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the step rewards and their sum or mean; the metrics are the shares of steps in each state."""
        prover, formalizer = prover_of(self.prover, self.seconds), EquationFormalizer(self.rounding)
        end = str(getattr(context.task, "step_delimiter", "\n")) or "\n"
        rows: list[dict[int, float]] = []
        shares: dict[str, list[float]] = {name: [] for name in ("proved", "refuted", "unneeded", "unformalized")}
        for problem, text in zip(rollouts.problem_of, rollouts.texts, strict=True):
            steps = [step.strip() for step in text.split(end) if step.strip()][: self.most_steps]
            records = verify_trace(
                problem.prompt, steps, formalizer, prover, timeout_s=self.seconds, budget_s=self.budget
            )
            rows.append(self._row(records))
            count = max(len(records), 1)
            held = {
                "proved": sum(record.state is StepState.SUCCESS_OF_PROOF for record in records),
                "refuted": sum(record.refuted for record in records),
                "unneeded": sum(record.state is StepState.NO_VERIFICATION_REQUIRED for record in records),
                "unformalized": sum(record.state is StepState.FAILED_FORMALIZATION for record in records),
            }
            for name, number in held.items():
                shares[name].append(number / count)
        metrics = {name: torch.tensor(values, dtype=torch.float32) for name, values in shares.items()}
        return step_scores(rows, metrics)

    def _row(self, records: list[StepRecord]) -> dict[int, float]:
        seen: set[str] = set()
        row: dict[int, float] = {}
        for index, record in enumerate(records):
            goal = record.goal_text
            again = self.once and record.state is StepState.SUCCESS_OF_PROOF and goal in seen
            row[index] = self.unneeded if again else self._earned(record)
            if record.state is StepState.SUCCESS_OF_PROOF:
                seen.add(goal)
        return {index: value / len(row) for index, value in row.items()} if self.mean else row

    def _earned(self, record: StepRecord) -> float:
        match record.state:
            case StepState.SUCCESS_OF_PROOF:
                return self.proved
            case StepState.NO_VERIFICATION_REQUIRED:
                return self.unneeded
            case StepState.FAILED_FORMALIZATION:
                return self.unformalized
        return self.refuted if record.refuted else self.unknown


@lru_cache(maxsize=16)
def prover_of(kind: Kind, seconds: float) -> Prover:
    """Return the prover of an option, one for each process, so that a solver is started once."""
    match kind:
        case "exact":
            return ExactProver(seconds)
        case "z3":
            return PortfolioProver((ExactProver(seconds), Z3Prover(seconds)))
        case "cvc5":
            return PortfolioProver((ExactProver(seconds), Cvc5Prover(seconds)))
    return default_prover()
