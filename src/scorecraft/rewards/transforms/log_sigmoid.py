"""The transform to log-sigmoid-centred rewards: the log-probability of beating a reference."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Float32
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.parts import Scope, register
from scorecraft.rewards.log_sigmoid import lsc
from scorecraft.rewards.reference_reward import QUANTILE, ReferenceReward
from scorecraft.rewards.transform import Transform
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores


@implements("reward-transform")
@register("transform", "log-sigmoid")
class LogSigmoid(Transform):
    """``log sigmoid((value - reference) / temperature)``; for rewards that are logits.

    reference: "constant" is ``value`` for every prompt. The others are taken, prompt by prompt, from the rewards of the
    base policy, for which those of the first ``base_steps`` steps stand: "gaussian-quantile" and "quantile" at ``q``,
    or "mean". A prompt that first comes later gets the mean of the other prompts' references, with a warning; with
    ``fallback`` null it is refused. Rewards that go through this and are summed with weights 1 are a logical and.
    """

    reference: Literal["constant", "gaussian-quantile", "quantile", "mean"] = "gaussian-quantile"
    value: float = Field(0.0, allow_inf_nan=False)
    q: float = Field(QUANTILE, gt=0, lt=1)
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False)
    base_steps: int = Field(10, ge=1)
    fallback: Literal["global"] | None = "global"
    _samples: dict[str, list[float]] = PrivateAttr(default_factory=dict)
    _fitted: list[ReferenceReward] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _value_is_used(self) -> LogSigmoid:
        if self.value != 0 and self.reference != "constant":
            raise ValueError("value belongs to reference: constant; give both or neither")
        return self

    @property
    def _references(self) -> ReferenceReward:
        if not self._fitted:
            self._fitted.append(ReferenceReward(self.reference, q=self.q, value=self.value, fallback=self.fallback))
        return self._fitted[0]

    @property
    def scope(self) -> Scope:
        """Return that a learned reference comes from the batches before."""
        return "rollout" if self.reference == "constant" else "batch"

    def state(self) -> dict[str, Any]:
        """Return the base policy's rewards by prompt."""
        return {"samples": {key: list(values) for key, values in self._samples.items()}} if self._samples else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back the base policy's rewards."""
        self._samples.clear()
        self._fitted.clear()
        self._add((key, value) for key, values in state.get("samples", {}).items() for value in values)

    def __call__(self, scores: Scores, rollouts: Rollouts, context: Context) -> Scores:
        """Return the transformed scores; the metric "reference" is what each was compared with."""
        if scores.steps is not None:
            raise ScorecraftError(
                "transform 'log-sigmoid' is for the reward of a whole completion, and this reward scores steps"
            )
        scored = ~scores.values.isnan()
        keys = [problem.key for problem in rollouts.problem_of]
        if self.reference != "constant" and context.step < self.base_steps:
            self._observe(keys, scores.values, context)
        known = scored.nonzero()[:, 0].tolist()
        reference = torch.full_like(scores.values, float("nan"))
        reference[scored] = self._references([keys[row] for row in known])
        values = scores.values.clone()
        values[scored] = lsc(values[scored], reference[scored], temperature=self.temperature)
        return replace(scores.with_values(values), metrics={**scores.metrics, "reference": reference})

    def _observe(self, keys: list[str], values: Float32[Tensor, " rollout"], context: Context) -> None:
        """Add the rewards of all workers to their prompts; what has no value is left out."""
        # Keys are 16 hexadecimal digits; numbers can be sent between workers.
        numbers = torch.tensor([int(key, 16) - 2**63 for key in keys], dtype=torch.int64)
        everyone = zip(context.gather(numbers)[0].tolist(), context.gather(values)[0].tolist(), strict=True)
        self._add((f"{number + 2**63:016x}", value) for number, value in everyone if not math.isnan(value))

    def _add(self, pairs: Any) -> None:
        touched: dict[str, None] = {}
        for key, value in pairs:
            self._samples.setdefault(key, []).append(value)
            touched[key] = None
        least = 1 if self.reference == "mean" else 2
        for key in touched:
            if len(self._samples[key]) >= least:
                self._references.fit(torch.tensor([self._samples[key]]), [key])
