"""The interfaces of advantage and objective parts, and what they exchange."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.context import Context
from scorecraft.parts import Part
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable


@dataclass(frozen=True, eq=False)
class Advantages:
    """Token advantages, and which rollouts the loss keeps (the others do not count in its divisor either)."""

    values: Float32[Tensor, "rollout token"]
    keep: Bool[Tensor, " rollout"]


class Advantage(Part):
    """An advantage part: token returns in, token advantages out."""

    @abstractmethod
    def __call__(
        self,
        returns: Float32[Tensor, "rollout token"],
        rollouts: Rollouts,
        rewards: RewardTable,
        context: Context,
    ) -> Advantages:
        """Return the advantages."""


@dataclass(frozen=True, eq=False)
class LossInputs:
    """What an objective sees: a micro-batch of whole rollouts.

    logprobs: under the policy being trained (carries the gradient).
    old_logprobs: under the policy that sampled.
    advantages: what the recipe's advantage part gave.
    mask: True on the tokens that count.
    reference_logprobs: under the reference policy, None unless the recipe asked for it.
    entropies: of the policy being trained (carries the gradient), None unless the objective asked for them.
    """

    logprobs: Float32[Tensor, "rollout token"]
    old_logprobs: Float32[Tensor, "rollout token"]
    advantages: Float32[Tensor, "rollout token"]
    mask: Bool[Tensor, "rollout token"]
    reference_logprobs: Float32[Tensor, "rollout token"] | None = None
    entropies: Float32[Tensor, "rollout token"] | None = None


@dataclass(frozen=True, eq=False)
class TokenLoss:
    """The loss of every token before aggregation, and per-token measurements to be averaged for the log."""

    values: Float32[Tensor, "rollout token"]
    metrics: Mapping[str, Float32[Tensor, "rollout token"]] = field(default_factory=dict)


class Objective(Part):
    """An objective part: log-probabilities and advantages in, the loss of every token out.

    Aggregation is separate: the engine multiplies the token losses by `aggregation_weights`, computed once over
    the whole optimizer batch, so that micro-batches and workers add up exactly to the full batch.
    """

    @property
    def needs_entropy(self) -> bool:
        """True where `LossInputs.entropies` must be given; a property, so that no recipe can set it."""
        return False

    @property
    def idle_without_advantage(self) -> bool:
        """True where a token of advantage 0 adds neither loss nor gradient, so that computing it can be spared."""
        return False

    @abstractmethod
    def __call__(self, inputs: LossInputs) -> TokenLoss:
        """Return the loss of every token."""

    @abstractmethod
    def weights(
        self, mask: Bool[Tensor, "rollout token"], keep: Bool[Tensor, " rollout"]
    ) -> Float32[Tensor, "rollout token"]:
        """Return the weight of every token's loss in the total; 0 off the mask and in rows not kept."""
