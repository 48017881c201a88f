"""Advantage and objective parts of recipes: options, and the hand-over to the pure functions of this room."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float32, Int64
from pydantic import Field, model_validator
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.objectives import channel_part, dual_level_part
from scorecraft.objectives.advantages import (
    BaselineScale,
    Singleton,
    group_sum,
    no_baseline,
    rollout_advantages,
    token_advantages,
)
from scorecraft.objectives.aggregation import AggregationMode, aggregation_weights
from scorecraft.objectives.batch_standardized import batch_standardized, batch_standardized_over_tokens
from scorecraft.objectives.clipped_surrogate import clipped_surrogate
from scorecraft.objectives.entropy import entropy_bonus
from scorecraft.objectives.group_mean import group_mean
from scorecraft.objectives.group_standardized import Deviation, group_standardized
from scorecraft.objectives.interfaces import Advantage, Advantages, LossInputs, Objective, TokenLoss
from scorecraft.objectives.leave_one_out import leave_one_out
from scorecraft.objectives.lost_transforms import warn_of_lost_transforms
from scorecraft.objectives.presets import PRESETS, Preset
from scorecraft.objectives.ratio import RatioLevel
from scorecraft.objectives.reinforce import reinforce
from scorecraft.objectives.signed_sample import RewardRange, SampleMode, signed_sample_advantages
from scorecraft.objectives.step_baselines import (
    StepBaseline,
    compared_returns,
    masked_whiten,
    pure_advantages,
    token_rewards_of_returns,
)
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits

# Parts in files of their own, which register themselves.
_ELSEWHERE = (channel_part, dual_level_part)

_BASELINE = Note(
    Trait.WHOLE_RETURN,
    "its baseline is a mean of total rewards, and the credit part's returns are not the total at every token, so "
    "tokens are pushed up or down by where they stand; take advantage 'none', or credit 'outcome' without a discount",
)
_STANDARDIZED = Note(
    Trait.MAGNITUDE,
    "dividing by the group's standard deviation brings every group to one size: where nothing else differs in a group, "
    "the smallest difference counts like the largest; take advantage 'group-mean' or 'leave-one-out'",
    "Dr. GRPO, 2025, arXiv 2503.20783",
)
_COMMON = "whatever all rewards of a group share"
_CENTRED = tuple(
    Note(trait, f"the mean of the group is taken off, and with it {_COMMON}; take advantage 'channel' or 'none'")
    for trait in (Trait.LEVEL, Trait.BATCH_LEVEL)
)
_BATCH_CENTRED = Note(
    Trait.BATCH_LEVEL, "the mean of the batch is taken off, and with it whatever all rewards of a batch share"
)
_BATCH_STANDARDIZED = Note(
    Trait.BATCH_MAGNITUDE,
    "dividing by a standard deviation takes away a factor that all rewards have in common, unless other rewards stand "
    "beside this one; take advantage 'channel', 'group-mean' or 'leave-one-out'",
)


def _compares(singleton: Singleton) -> Traits:
    """Return what a baseline from the rest of the group needs, and that it takes the group's level away."""
    if singleton == "raw":
        return Traits(needs=(_BASELINE,), removes=_CENTRED)
    text = "it compares the completions of a prompt, and with group_size 1 every advantage is 0: nothing is learned"
    return Traits(needs=(_BASELINE, Note(Trait.COMPARISON, text)), removes=_CENTRED)


class _Estimator(Advantage):
    """What the built-in advantage parts share: presets, and the step from (baseline, scale) to tokens."""

    @model_validator(mode="before")
    @classmethod
    def _fill_preset(cls, options: Any) -> Any:
        # Written-out options win over the preset; an unknown preset is left to its field to refuse.
        if not isinstance(options, dict) or not isinstance(options.get("preset"), str):
            return options
        return {**PRESETS.get(cls.name, {}).get(options["preset"], {}), **options}

    @abstractmethod
    def pair(
        self, returns: Float32[Tensor, "rollout token"], rollouts: Rollouts, rewards: RewardTable
    ) -> BaselineScale:
        """Return the baseline and the scale of every rollout."""

    def __call__(
        self,
        returns: Float32[Tensor, "rollout token"],
        rollouts: Rollouts,
        rewards: RewardTable,
        context: Context,
    ) -> Advantages:
        """Return the advantages; rollouts without a valid reward are not kept."""
        del context
        pair = self.pair(returns, rollouts, rewards)

        def of(total: Float32[Tensor, " rollout"]) -> Float32[Tensor, " rollout"]:
            own = self.pair(returns, rollouts, replace(rewards, total=total))
            return rollout_advantages(total, *own, rewards.valid)

        warn_of_lost_transforms(self.name, rewards, of)
        return Advantages(token_advantages(returns, *pair, rollouts.mask, rewards.valid), keep=rewards.valid)


@register("advantage", "none")
class NoBaseline(_Estimator):
    """The returns as they are: plain REINFORCE."""

    def cites(self) -> tuple[str, ...]:
        """Return what it is from."""
        return ("reinforce",)

    def pair(
        self, returns: Float32[Tensor, "rollout token"], rollouts: Rollouts, rewards: RewardTable
    ) -> BaselineScale:
        """Return baseline 0 and scale 1."""
        del returns, rollouts
        return no_baseline(rewards.valid)


@register("advantage", "group-mean")
class GroupMean(_Estimator):
    """The group mean as baseline, no division (Dr. GRPO)."""

    preset: Preset | None = None
    singleton: Singleton = "zero"

    def cites(self) -> tuple[str, ...]:
        """Return what it is from."""
        return ("dr-grpo",)

    def traits(self) -> Traits:
        """Return what the group's mean needs."""
        return _compares(self.singleton)

    def pair(
        self, returns: Float32[Tensor, "rollout token"], rollouts: Rollouts, rewards: RewardTable
    ) -> BaselineScale:
        """Return the group mean and scale 1."""
        del returns
        return group_mean(rewards.total, rollouts.group, rewards.valid, singleton=self.singleton)


@register("advantage", "group-standardized")
class GroupStandardized(_Estimator):
    """The reward standardised within its group (GRPO); without a preset the constants are TRL's."""

    preset: Preset | None = None
    epsilon: float = Field(1e-4, ge=0)
    ddof: Literal[0, 1] = 1
    singleton: Singleton = "zero"
    deviation: Deviation = "group"

    def cites(self) -> tuple[str, ...]:
        """Return what it is from."""
        return ("grpo",)

    def traits(self) -> Traits:
        """Return what the group's mean needs, and that its standard deviation takes the size of differences away."""
        removes = (_STANDARDIZED,) if self.deviation == "group" else ()
        scaled = (_BATCH_STANDARDIZED,) if self.deviation != "none" else ()
        return _compares(self.singleton) + Traits(removes=removes + scaled)

    def pair(
        self, returns: Float32[Tensor, "rollout token"], rollouts: Rollouts, rewards: RewardTable
    ) -> BaselineScale:
        """Return the group mean and the standard deviation."""
        del returns
        return group_standardized(
            rewards.total,
            rollouts.group,
            rewards.valid,
            epsilon=self.epsilon,
            ddof=self.ddof,
            singleton=self.singleton,
            deviation=self.deviation,
        )


@register("advantage", "leave-one-out")
class LeaveOneOut(_Estimator):
    """The mean of the group's other rollouts as baseline (RLOO)."""

    preset: Literal["trl", "verl", "skyrl"] | None = None
    singleton: Singleton = "zero"

    def cites(self) -> tuple[str, ...]:
        """Return what it is from."""
        return ("rloo",)

    def traits(self) -> Traits:
        """Return what the mean of the others needs."""
        return _compares(self.singleton)

    def pair(
        self, returns: Float32[Tensor, "rollout token"], rollouts: Rollouts, rewards: RewardTable
    ) -> BaselineScale:
        """Return the mean of the others and scale 1."""
        del returns
        return leave_one_out(rewards.total, rollouts.group, rewards.valid, singleton=self.singleton)


@register("advantage", "batch-standardized")
class BatchStandardized(_Estimator):
    """Standardised over the batch (REINFORCE++): over its rollouts, or over its tokens as verl and SkyRL do."""

    preset: Literal["verl", "skyrl"] | None = None
    epsilon: float = Field(1e-8, ge=0)
    ddof: Literal[0, 1] = 1
    over: Literal["rollout", "token"] = "rollout"

    def cites(self) -> tuple[str, ...]:
        """Return what it is from."""
        return ("reinforce-plus-plus",)

    def traits(self) -> Traits:
        """Return what the batch's mean needs (over tokens it is that of the returns), and what is taken away."""
        needs = (_BASELINE,) if self.over == "rollout" else ()
        return Traits(needs=needs, removes=(_BATCH_CENTRED, _BATCH_STANDARDIZED))

    def pair(
        self, returns: Float32[Tensor, "rollout token"], rollouts: Rollouts, rewards: RewardTable
    ) -> BaselineScale:
        """Return mean and standard deviation of the batch."""
        if self.over == "token":
            return batch_standardized_over_tokens(
                returns, rollouts.mask, rewards.valid, epsilon=self.epsilon, ddof=self.ddof
            )
        return batch_standardized(rewards.total, rewards.valid, epsilon=self.epsilon, ddof=self.ddof)


@implements("min-form-credit")
@register("advantage", "leave-one-out-tokens")
class LeaveOneOutTokens(Advantage):
    """The other rollouts' returns as baseline, token by token: for credit that differs along a completion (PURE)."""

    baseline: StepBaseline = "verl"
    whiten: bool = True

    def traits(self) -> Traits:
        """Return that it compares completions, and that whitening brings every batch to one size."""
        text = "it compares the completions of a prompt, and a group of one cannot be compared"
        removes = (_BATCH_STANDARDIZED,) if self.whiten else ()
        return Traits(needs=(Note(Trait.COMPARISON, text),), removes=removes)

    def __call__(
        self,
        returns: Float32[Tensor, "rollout token"],
        rollouts: Rollouts,
        rewards: RewardTable,
        context: Context,
    ) -> Advantages:
        """Return the advantages; a rollout without a valid reward is not kept, one without company gets 0."""
        del context
        keep = rewards.valid & rollouts.mask.any(1)
        compared = keep & (group_sum(torch.ones(len(keep), dtype=torch.float64), rollouts.group, keep) > 1)
        if not bool(compared.any()):
            return Advantages(torch.zeros_like(returns), keep=keep)
        # Rows are only moved where some have no company.
        rows = slice(None) if bool(compared.all()) else compared
        own = self._advantages(returns[rows], rollouts.mask[rows], rollouts.steps[rows], rollouts.group[rows])
        if isinstance(rows, slice):
            return Advantages(own, keep=keep)
        values = torch.zeros_like(returns)
        values[rows] = own
        return Advantages(values, keep=keep)

    def _advantages(
        self,
        returns: Float32[Tensor, "rollout token"],
        mask: Bool[Tensor, "rollout token"],
        steps: Int64[Tensor, "rollout token"],
        group: Int64[Tensor, " rollout"],
    ) -> Float32[Tensor, "rollout token"]:
        if self.baseline == "verl":
            found = compared_returns(returns, mask, group)
            return masked_whiten(found, mask) if self.whiten else found
        rewards = token_rewards_of_returns(returns, mask)
        ends = _step_ends(steps, mask)
        return pure_advantages(rewards, mask, group, baseline=self.baseline, step_end=ends, whiten=self.whiten)[0]


def _step_ends(
    steps: Int64[Tensor, "rollout token"], mask: Bool[Tensor, "rollout token"]
) -> Bool[Tensor, "rollout token"]:
    """Return True on the last sampled token of every step."""
    later = torch.cat((steps[:, 1:], torch.full_like(steps[:, :1], -1)), dim=1)
    sampled_later = torch.cat((mask[:, 1:], torch.zeros_like(mask[:, :1])), dim=1)
    return mask & (steps >= 0) & ((later != steps) | ~sampled_later)


@implements("negative-reinforcement")
@register("advantage", "signed-sample")
class SignedSample(Advantage):
    """Learning from right answers only, wrong answers only, or both with the right ones damped (W-REINFORCE)."""

    mode: SampleMode = "weighted"
    positive_weight: float = Field(0.1, ge=0)
    reward_range: RewardRange = "01"

    def traits(self) -> Traits:
        """Return that it needs a reward of 0 or 1, and gives every token of a completion the same."""
        needs = Note(
            Trait.BINARY_REWARD,
            "it tells right from wrong by a reward of 0 or 1; take the reward 'correct' with weight 1, and no other",
        )
        alike = Note(Trait.TOKEN_DIFFERENCES, "every token of a completion gets the same advantage")
        return Traits(needs=(needs,) if self.reward_range == "01" else (), removes=(alike,))

    def __call__(
        self,
        returns: Float32[Tensor, "rollout token"],
        rollouts: Rollouts,
        rewards: RewardTable,
        context: Context,
    ) -> Advantages:
        """Return the advantages; a rollout without a valid reward, or of the other kind, is not kept."""
        del returns, context
        keep = rewards.valid.clone()
        values = torch.zeros(len(keep), dtype=torch.float32)
        own, kept = signed_sample_advantages(
            rewards.total[keep], self.mode, self.positive_weight, reward_range=self.reward_range
        )
        values[keep] = own
        keep[keep.clone()] = kept
        return Advantages(values[:, None] * rollouts.mask, keep=keep)


class _TokenObjective(Objective):
    """What the built-in objectives share: aggregation and the entropy bonus."""

    normalize: AggregationMode = "token"
    constant_length: float | None = Field(None, gt=0)
    entropy_coefficient: float = 0.0

    @model_validator(mode="after")
    def _check_constant_length(self) -> _TokenObjective:
        if (self.normalize == "constant") != (self.constant_length is not None):
            raise ValueError("constant_length and normalize: constant belong together; give both or neither")
        return self

    @property
    def needs_entropy(self) -> bool:
        """True with an entropy bonus."""
        return self.entropy_coefficient != 0

    @property
    def idle_without_advantage(self) -> bool:
        """True without an entropy bonus: both losses are proportional to the advantage."""
        return not self.needs_entropy

    def weights(
        self, mask: Bool[Tensor, "rollout token"], keep: Bool[Tensor, " rollout"]
    ) -> Float32[Tensor, "rollout token"]:
        """Return the weight of every token's loss in the total."""
        return aggregation_weights(mask, keep, self.normalize, self.constant_length)

    def with_entropy(self, loss: TokenLoss, inputs: LossInputs) -> TokenLoss:
        """Return the loss with the entropy bonus, where one is asked for."""
        if not self.needs_entropy:
            return loss
        if inputs.entropies is None:
            raise ScorecraftError(f"objective '{self.name}' has an entropy_coefficient, but was given no entropies")
        bonus = entropy_bonus(inputs.entropies, inputs.mask, self.entropy_coefficient)
        return replace(loss, values=loss.values + bonus)


@register("objective", "clipped-surrogate")
class ClippedSurrogate(_TokenObjective):
    """PPO's clipped loss; asymmetric bounds for clip-higher, level "sequence" or "sequence-token" for GSPO."""

    low: float = Field(0.2, ge=0, le=1)
    high: float = Field(0.2, ge=0)
    dual_clip: float | None = Field(None, gt=1)
    level: RatioLevel = "token"

    def cites(self) -> tuple[str, ...]:
        """Return what it is from."""
        return ("ppo",) + (("dapo",) if self.high != self.low else ()) + (("gspo",) if self.level != "token" else ())

    def traits(self) -> Traits:
        """Return that one ratio for the whole sequence spreads every token's advantage over all of them."""
        if self.level != "sequence":
            return Traits()
        text = (
            "with one ratio per sequence the gradient of every token is the mean of all advantages of the completion; "
            "take level: sequence-token or token"
        )
        source = "Group Sequence Policy Optimization, 2025, arXiv 2507.18071"
        return Traits(removes=(Note(Trait.TOKEN_DIFFERENCES, text, source),))

    def __call__(self, inputs: LossInputs) -> TokenLoss:
        """Return the loss of every token."""
        loss = clipped_surrogate(
            inputs.logprobs,
            inputs.old_logprobs,
            inputs.advantages,
            inputs.mask,
            low=self.low,
            high=self.high,
            dual_clip=self.dual_clip,
            level=self.level,
        )
        return self.with_entropy(loss, inputs)


@register("objective", "reinforce")
class Reinforce(_TokenObjective):
    """Log-probability times advantage; for one update per batch of rollouts."""

    def cites(self) -> tuple[str, ...]:
        """Return what it is from."""
        return ("reinforce",)

    def __call__(self, inputs: LossInputs) -> TokenLoss:
        """Return the loss of every token."""
        return self.with_entropy(
            reinforce(inputs.logprobs, inputs.old_logprobs, inputs.advantages, inputs.mask), inputs
        )
