"""The advantage part for rewards that were corrected for a noisy verifier."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float32
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.objectives.advantages import token_advantages
from scorecraft.objectives.channel_advantage import (
    ChannelBaseline,
    ChannelScale,
    Correction,
    Moments,
    batch_moments,
    channel_baseline,
    smoothed_moments,
)
from scorecraft.objectives.interfaces import Advantage, Advantages
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits

_TOTALS = Note(
    Trait.WHOLE_RETURN,
    "its baseline is a mean of total rewards, and the credit part's returns are not the total at every token; take "
    "baseline 'none', or credit 'outcome' without a discount",
)


@implements("noisy-verifier")
@register("advantage", "channel")
class Channel(Advantage):
    """A baseline and a scale that keep the transform ``noise-correction``; ``kind`` says which correction that is."""

    kind: Correction = "backward"
    baseline: ChannelBaseline | None = None
    scale: ChannelScale = "none"
    fixed_scale: float = Field(1.0, gt=0, allow_inf_nan=False)
    min_scale: float = Field(0.1, gt=0, allow_inf_nan=False)
    smoothing: float = Field(0.1, gt=0, le=1)
    _running: list[Moments] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _checked(self) -> Channel:
        empty = torch.zeros(0)
        none, valid = torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool)
        try:
            channel_baseline(empty, none, valid, kind=self.kind, baseline=self.baseline, scale=self.scale)
        except ScorecraftError as error:
            raise ValueError(str(error)) from None
        return self

    def traits(self) -> Traits:
        """Return what the baseline needs, and what baseline and scale take out of the signal."""
        needs, removes = [], []
        if self._compares:
            text = "it compares the completions of a prompt, and with group_size 1 every advantage is 0"
            needs += [_TOTALS, Note(Trait.COMPARISON, text)]
            text = "the mean of the group's others is taken off, and with it whatever all rewards of a group share"
            removes += [Note(Trait.LEVEL, text), Note(Trait.BATCH_LEVEL, text)]
        elif self.baseline == "ema":
            needs.append(_TOTALS)
            text = "the mean of earlier batches is taken off, and with it whatever all rewards share"
            removes.append(Note(Trait.BATCH_LEVEL, text))
        if self.scale == "ema":
            text = "rewards are divided by their own deviation over earlier batches, which takes a common factor away"
            removes.append(Note(Trait.BATCH_MAGNITUDE, text))
        return Traits(needs=tuple(needs), removes=tuple(removes))

    @property
    def _compares(self) -> bool:
        return self.baseline == "leave-one-out" or (self.baseline is None and self.kind == "backward")

    def state(self) -> dict[str, Any]:
        """Return the moments over earlier batches."""
        return {"mean": self._running[0].mean, "deviation": self._running[0].deviation} if self._running else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back the moments over earlier batches."""
        self._running[:] = [Moments(state["mean"], state["deviation"])] if state else []

    def __call__(
        self,
        returns: Float32[Tensor, "rollout token"],
        rollouts: Rollouts,
        rewards: RewardTable,
        context: Context,
    ) -> Advantages:
        """Return the advantages; rollouts without a valid reward are not kept, and are in no mean."""
        everyone = batch_moments(context.gather(rewards.total)[0], context.gather(rewards.valid)[0])
        running = self._running[0] if self._running else None
        pair = channel_baseline(
            rewards.total, rollouts.group, rewards.valid, kind=self.kind, baseline=self.baseline, scale=self.scale,
            running=running, batch=everyone, fixed_scale=self.fixed_scale, min_scale=self.min_scale,
        )  # fmt: skip
        following = smoothed_moments(running, everyone, self.smoothing)
        self._running[:] = [following] if following else []
        return Advantages(token_advantages(returns, *pair, rollouts.mask, rewards.valid), keep=rewards.valid)
