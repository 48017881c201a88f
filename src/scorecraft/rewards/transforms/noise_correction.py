"""The transform that corrects the verdicts of a verifier with known, or appealed, error rates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float32, Int64
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.parts import Scope, register
from scorecraft.problem import Outcome
from scorecraft.rewards.appeals import AppealEstimator
from scorecraft.rewards.correctness import check_answers
from scorecraft.rewards.noisy_verifier import MIN_DENOMINATOR, backward_correct, binary_verdicts, forward_weights
from scorecraft.rewards.transform import Transform
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Note, Trait, Traits

_SOURCE = "Reinforcement Learning with Verifiable yet Noisy Rewards under Imperfect Verifiers, 2025, arXiv 2510.00915"


@implements("noisy-verifier")
@register("transform", "noise-correction")
class NoiseCorrection(Transform):
    """Corrects 0/1 verdicts for the verifier's error rates, by backward correction or forward weights.

    false_positive, false_negative: the rates. by, rates: a key of the problems' metadata, and
    ``{value: [false_positive, false_negative]}`` for problems that have other rates; where one pair of rates holds for
    all problems, the correction is a rescaling (backward) or a constant (forward) and turns no gradient.
    appeal_rate: share of the rejections that the task's own checker sees again, to estimate false_negative (its start
    value then) for each value of ``by``. apply_overturn: whether a successful appeal also makes the verdict 1.
    threshold: from which value a verdict counts as 1.
    """

    kind: Literal["backward", "forward"] = "backward"
    false_positive: float = Field(0.0, ge=0, lt=1)
    false_negative: float = Field(0.0, ge=0, lt=1)
    min_denominator: float = Field(MIN_DENOMINATOR, gt=0, lt=1)
    threshold: float | None = None
    by: str = ""
    rates: dict[str, tuple[float, float]] = Field(default_factory=dict)
    appeal_rate: float = Field(0.0, ge=0, le=1)
    appeal_smoothing: float = Field(0.1, gt=0, le=1)
    apply_overturn: bool = False
    _estimators: list[AppealEstimator] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _checked(self) -> NoiseCorrection:
        if bool(self.by) != bool(self.rates):
            raise ValueError("by and rates belong together; give both or neither")
        if self.apply_overturn and not self.appeal_rate:
            raise ValueError("apply_overturn needs an appeal_rate above 0")
        try:
            for false_positive, false_negative in self._pairs:
                self._corrected(torch.zeros(1), torch.tensor([false_positive]), torch.tensor([false_negative]))
        except ScorecraftError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def _appeals(self) -> list[AppealEstimator]:
        """One estimator for each pair of rates, where there are appeals."""
        if self.appeal_rate and not self._estimators:
            # So that an estimate never brings the J of a backward correction below its least.
            least = self.min_denominator if self.kind == "backward" else 0.0
            most = [max(1e-6, min(0.49, 1 - false_positive - least)) for false_positive, _ in self._pairs]
            self._estimators.extend(
                AppealEstimator(
                    self.appeal_rate, smoothing=self.appeal_smoothing, smoothed="counts", start=false_negative,
                    maximum=maximum, apply_overturn=self.apply_overturn,
                )
                for (_, false_negative), maximum in zip(self._pairs, most, strict=True)
            )  # fmt: skip
        return self._estimators

    @property
    def _pairs(self) -> list[tuple[float, float]]:
        return [(self.false_positive, self.false_negative), *self.rates.values()]

    @property
    def scope(self) -> Scope:
        """Return that appeals estimate a rate from whole batches."""
        return "batch" if self.appeal_rate else "rollout"

    def traits(self) -> Traits:
        """Return what the correction rests on: one pair of rates is common to the batch, several to a group each."""
        if self.kind == "forward":
            shared = "prompt" if self.by else "batch"
            text = f"forward weights differ from the raw verdicts by a number that is the same for every {shared}"
            return Traits(relies_on=(Note(Trait.LEVEL if self.by else Trait.BATCH_LEVEL, text, _SOURCE),))
        if not self.appeal_rate and not any(map(any, self._pairs)):
            return Traits()
        shared = "prompt" if self.by else "batch"
        text = f"backward correction stretches the rewards of every {shared} by one factor"
        return Traits(relies_on=(Note(Trait.MAGNITUDE if self.by else Trait.BATCH_MAGNITUDE, text, _SOURCE),))

    def state(self) -> dict[str, Any]:
        """Return the estimators' states."""
        return {"estimators": [each.state_dict() for each in self._estimators]} if self._estimators else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back the estimators' states."""
        self._estimators.clear()
        if state:
            for each, kept in zip(self._appeals, state["estimators"], strict=True):
                each.load_state_dict(kept)

    def __call__(self, scores: Scores, rollouts: Rollouts, context: Context) -> Scores:
        """Return the corrected scores; step rewards cannot be corrected by a verdict's rates and are refused."""
        if scores.steps is not None:
            raise ScorecraftError(
                "transform 'noise-correction' needs a verdict of 0 or 1, and this reward scores steps"
            )
        scored = ~scores.values.isnan()
        verdicts = binary_verdicts(scores.values.nan_to_num(), self.threshold)
        which, metrics = self._which(rollouts), {}
        if self.appeal_rate:
            verdicts, metrics = self._appeal(verdicts, scored, which, rollouts, context)
        pairs = torch.tensor(self._current(), dtype=torch.float32)[which]
        corrected = self._corrected(verdicts, pairs[:, 0], pairs[:, 1])
        if self.appeal_rate:
            metrics["false_negative_rate"] = pairs[:, 1]
        return replace(scores.with_values(corrected), metrics={**scores.metrics, **metrics})

    def _corrected(
        self,
        verdicts: Float32[Tensor, " rollout"],
        rho0: Float32[Tensor, " rollout"],
        rho1: Float32[Tensor, " rollout"],
    ) -> Float32[Tensor, " rollout"]:
        if self.kind == "forward":
            return forward_weights(verdicts, rho1)
        return backward_correct(verdicts, rho0, rho1, min_denominator=self.min_denominator)

    def _current(self) -> list[tuple[float, float]]:
        """Return the rates of the verdicts as they stand, estimated where there are appeals."""
        if not self.appeal_rate:
            return self._pairs
        found = zip(self._pairs, self._appeals, strict=True)
        return [(false_positive, each.effective_rho1) for (false_positive, _), each in found]

    def _which(self, rollouts: Rollouts) -> Int64[Tensor, " rollout"]:
        """Return for each rollout the row of its rates: 0, or the place of its problem's value in ``rates``."""
        if not self.by:
            return torch.zeros(len(rollouts), dtype=torch.int64)
        places = {value: place for place, value in enumerate(self.rates, start=1)}
        rows = []
        for problem in rollouts.problem_of:
            if self.by not in problem.metadata:
                known = ", ".join(sorted(problem.metadata)) or "none"
                raise ScorecraftError(
                    f"transform 'noise-correction': the problems have no metadata '{self.by}'; they have: {known}"
                )
            rows.append(places.get(str(problem.metadata[self.by]), 0))
        return torch.tensor(rows, dtype=torch.int64)

    def _appeal(
        self,
        verdicts: Float32[Tensor, " rollout"],
        scored: Bool[Tensor, " rollout"],
        which: Int64[Tensor, " rollout"],
        rollouts: Rollouts,
        context: Context,
    ) -> tuple[Float32[Tensor, " rollout"], dict[str, Float32[Tensor, " rollout"]]]:
        """Check some rejections again and update the estimates; return the verdicts and what was appealed."""
        rejected = scored & (verdicts == 0)
        appealed = rejected & (context.uniforms(len(rollouts)) < self.appeal_rate)
        found = check_answers(rollouts.select(appealed), context)
        rows = appealed.nonzero()[:, 0]
        right = torch.tensor([verdict.correct for verdict in found], dtype=torch.bool)
        failed = torch.tensor(
            [verdict.outcome not in (Outcome.SCORED, Outcome.UNPARSED) for verdict in found], dtype=torch.bool
        )
        overturned, unheard = torch.zeros_like(scored), torch.zeros_like(scored)
        overturned[rows], unheard[rows] = right & ~failed, failed
        columns = torch.stack((scored & ~rejected, rejected, appealed, overturned), dim=1).long()
        own = torch.zeros(len(self._pairs), 4, dtype=torch.int64).index_add(0, which, columns)
        for each, counts in zip(self._appeals, context.gather(own[None])[0].sum(0).tolist(), strict=True):
            each.update(*counts)
        metrics = {"appealed": appealed, "overturned": overturned, "appeal_failed": unheard}
        if self.apply_overturn:
            verdicts = torch.where(overturned, torch.ones_like(verdicts), verdicts)
        return verdicts, {name: values.float() for name, values in metrics.items()}
