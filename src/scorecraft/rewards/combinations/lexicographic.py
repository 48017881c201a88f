"""Rewards in the order of their importance: a later one only decides among those that the earlier call equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field, model_validator

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.parts import Scope, register
from scorecraft.rewards.combination import Combination
from scorecraft.rewards.lexicographic import lexicographic_rank
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.weighted_sum import scored_rows, table_of
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable, Scores
from scorecraft.traits import Note, Trait, Traits

_REMOVES = (Trait.MAGNITUDE, Trait.LEVEL, Trait.BATCH_MAGNITUDE, Trait.BATCH_LEVEL)


@register("combination", "lexicographic")
class Lexicographic(Combination):
    """The rank of a rollout in its group, in [0, 1], by the rewards of ``order``, the most important first.

    tolerances: by reward, how far apart two values may be and still count as equal; 0 where not given. Of a weight
    only the sign counts, so that a reward with a negative weight ranks upside down; rewards of weight 0 are logged
    only. A rollout on which one of them abstains is not ranked and has no total.
    """

    order: Annotated[tuple[str, ...], Field(min_length=1)]
    tolerances: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_fit(self) -> Lexicographic:
        twice = [name for name in self.order if self.order.count(name) > 1]
        if twice:
            raise ValueError(f"order: '{twice[0]}' stands in it twice")
        unknown = [name for name in self.tolerances if name not in self.order]
        if unknown:
            raise ValueError(f"tolerances: '{unknown[0]}' is not in order; {nearest(unknown[0], self.order)}")
        return self

    @property
    def scope(self) -> Scope:
        """Return that a rank is a rank among the completions of the same prompt."""
        return "group"

    def traits(self) -> Traits:
        """Return that of all rewards only the order in the group is left, and that there must be a group."""
        removed = tuple(Note(trait, "only the order of the rewards in a group is left") for trait in _REMOVES)
        needed = Note(Trait.COMPARISON, "a rank needs other completions of the same prompt: set group_size above 1")
        return Traits(removes=removed, needs=(needed,))

    def __call__(self, parts: Mapping[str, tuple[Reward, Scores]], rollouts: Rollouts, context: Context) -> RewardTable:
        """Return the rank of each rollout."""
        del context
        self._check_names(parts)
        scored, valid = scored_rows(parts)
        rows = []
        for name in self.order:
            reward, scores = parts[name]
            sign = 1.0 if reward.weight > 0 else -1.0
            rows.append(torch.where(scored[name], sign * scores.values, torch.nan))
        # What failed is not ranked either, so that it moves nobody's rank.
        values = torch.stack(rows).masked_fill(~valid, float("nan"))
        ranks = lexicographic_rank(values, rollouts.group, [self.tolerances.get(name, 0.0) for name in self.order])
        return table_of(parts, ranks, ~ranks.isnan())

    def _check_names(self, parts: Mapping[str, tuple[Reward, Scores]]) -> None:
        for name in self.order:
            if name not in parts:
                raise ScorecraftError(f"lexicographic: '{name}' is no reward of this recipe; {nearest(name, parts)}")
            if parts[name][0].weight == 0:
                raise ScorecraftError(
                    f"lexicographic: reward '{name}' has weight 0, which only logs it; take it out of order, or set "
                    "its weight to 1 (or -1, for less is better)"
                )
        left = [name for name, (reward, _) in parts.items() if reward.weight and name not in self.order]
        if left:
            raise ScorecraftError(
                f"lexicographic: reward '{left[0]}' has a weight, but no place in order; add it, or set its weight to 0"
            )
