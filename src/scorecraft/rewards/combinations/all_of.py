"""Combinations that mean something: the log-probability that all properties are good, or that some is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float32
from pydantic import Field
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.parts import register
from scorecraft.rewards.combination import Combination
from scorecraft.rewards.log_sigmoid import combine_and, combine_or
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.weighted_sum import scored_rows, table_of
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable, Scores


class _ByReference(Combination):
    """What both share: a reference, a logit, for each reward by its name in the recipe."""

    references: dict[str, Annotated[float, Field(allow_inf_nan=False)]]

    # What a reward that abstains is taken for, so that it decides nothing.
    absent: ClassVar[float]

    @abstractmethod
    def combine(
        self, values: Float32[Tensor, "property rollout"], references: list[float], weights: dict[str, float]
    ) -> Float32[Tensor, " rollout"]:
        """Return the total of every rollout; ``weights`` are in the order of the rows."""

    def __call__(self, parts: Mapping[str, tuple[Reward, Scores]], rollouts: Rollouts, context: Context) -> RewardTable:
        """Return the combined total."""
        del rollouts, context
        scored, valid = scored_rows(parts)
        unknown = [name for name in self.references if name not in parts]
        if unknown:
            raise ScorecraftError(
                f"combination '{self.name}': a reference for '{unknown[0]}', which is no reward here; "
                f"{nearest(unknown[0], parts)}"
            )
        without = [name for name in scored if name not in self.references]
        if without:
            raise ScorecraftError(
                f"combination '{self.name}' needs a reference for reward '{without[0]}': the logit from which it "
                f"counts as good, as in references: {{{without[0]}: 0.0}}"
            )
        if not scored:
            return table_of(parts, torch.zeros(len(valid)), valid)
        values = torch.stack([parts[name][1].values for name in scored]).nan_to_num(nan=self.absent)
        weights = {name: parts[name][0].weight for name in scored}
        return table_of(parts, self.combine(values, [self.references[name] for name in scored], weights), valid)


@implements("reward-transform")
@register("combination", "all-of")
class AllOf(_ByReference):
    """A logical and: the sum of ``weight * log sigmoid(value - reference)``; one that abstains is left out of it.

    references: by reward, the logit from which it counts as good. For references that are estimated from the base
    policy, give each reward the transform ``log-sigmoid`` and take the weighted sum.
    """

    absent = float("inf")

    def combine(
        self, values: Float32[Tensor, "property rollout"], references: list[float], weights: dict[str, float]
    ) -> Float32[Tensor, " rollout"]:
        """Return the log-probability that all are good."""
        return combine_and(values, references, weights=list(weights.values()))


@implements("reward-transform")
@register("combination", "any-of")
class AnyOf(_ByReference):
    """A logical or: the log-probability that at least one reward is above its reference; weights must be 1 or 0.

    references: by reward, the logit from which it counts as good.
    """

    absent = -float("inf")

    def combine(
        self, values: Float32[Tensor, "property rollout"], references: list[float], weights: dict[str, float]
    ) -> Float32[Tensor, " rollout"]:
        """Return the log-probability that one is good."""
        for name, weight in weights.items():
            if weight != 1:
                raise ScorecraftError(
                    f"combination 'any-of': reward '{name}' has weight {weight:g}, which an or of probabilities cannot "
                    "use; give it weight 1, or 0 to log it only"
                )
        return combine_or(values, references)
