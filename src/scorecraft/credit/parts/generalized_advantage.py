"""Credit by generalised advantage estimation, with a value function learned on the way."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float32
from pydantic import Field, PrivateAttr
from torch import Tensor

from scorecraft.context import Context
from scorecraft.credit.credit import Credit
from scorecraft.credit.generalized_advantage import generalized_advantages, rewards_at_the_end
from scorecraft.credit.linear_value import LinearValue
from scorecraft.credit.min_form import scatter_step_rewards
from scorecraft.credit.named_rewards import process_rewards
from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits


@register("credit", "generalized-advantage")
class GeneralizedAdvantage(Credit):
    """Advantages against a learned value of every state (GAE); take advantage 'none' after it, or 'batch-standardized'.

    The value is linear in the policy's last hidden state and fitted by ridge regression to the returns of the batches
    before, each keeping ``decay`` of its weight. The total is earned at the last sampled token; with ``process``, that
    reward's steps are earned at their ends as well, times ``process_weight``.
    """

    asks_policy: ClassVar[bool] = True
    gamma: float = Field(1.0, ge=0, le=1)
    lam: float = Field(0.95, ge=0, le=1)
    process: str | None = None
    process_weight: float = 1.0
    ridge: float = Field(1e-3, gt=0)
    decay: float = Field(0.9, ge=0, le=1)
    _value: list[LinearValue] = PrivateAttr(default_factory=list)

    def cites(self) -> tuple[str, ...]:
        """Return what it is from."""
        return ("gae",)

    def traits(self) -> Traits:
        """Return that it differs by token."""
        return Traits(relies_on=(Note(Trait.TOKEN_DIFFERENCES, "every token has an advantage of its own"),))

    @property
    def value(self) -> LinearValue:
        """The value function."""
        if not self._value:
            self._value.append(LinearValue(self.ridge, self.decay))
        return self._value[0]

    def state(self) -> dict[str, Any]:
        """Return what the value function has learned."""
        value = self.value
        if value.products is None or value.targets is None:
            return {}
        return {"products": value.products, "targets": value.targets}

    def restore(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._value.clear()
        if state:
            self.value.products, self.value.targets = state["products"], state["targets"]

    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return the advantages, then learn from the returns; rollouts without a valid reward teach nothing."""
        mask = rollouts.mask & rewards.valid[:, None]
        if context.policy is None:
            raise ScorecraftError(f"credit '{self.name}' reads the policy's hidden states; it works in training only")
        features = context.policy.state_features(rollouts)[rewards.valid[:, None].expand_as(mask)[rollouts.mask]]
        values = torch.zeros(mask.shape).masked_scatter(mask, self.value(features))
        found = generalized_advantages(
            self._rewards(rollouts, rewards, mask), values, mask, gamma=self.gamma, lam=self.lam
        )
        own = LinearValue.sums(features, found.returns[mask])
        self.value.learn(*(context.gather(sums[None])[0].sum(0) for sums in own))
        return found.advantages

    def _rewards(self, rollouts: Rollouts, rewards: RewardTable, mask: Tensor) -> Float32[Tensor, "rollout token"]:
        earned = rewards_at_the_end(rewards.total, mask)
        if self.process is None:
            return earned
        steps, step_mask = process_rewards(rewards, self.process, self.name)
        ends, there = last_tokens(rollouts.steps, mask, steps.shape[1])
        at_ends = scatter_step_rewards(steps, ends, step_mask & there, mask.shape[1])
        return earned + self.process_weight * at_ends


def last_tokens(steps: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the column of the last sampled token of each of ``count`` steps, and which steps have one.

    Args:
        steps: ``[rollout, token]``, the index of the step a token is in, -1 outside any.
        mask: True where the policy sampled the token.
        count: number of steps.
    """
    columns = torch.arange(steps.shape[1], device=steps.device).expand_as(steps)
    inside = mask & (steps >= 0) & (steps < count)
    ends = torch.full((len(steps), count), -1, dtype=torch.int64, device=steps.device)
    if count and steps.shape[1]:
        where = torch.where(inside, steps, torch.zeros_like(steps))
        ends.scatter_reduce_(1, where, torch.where(inside, columns, torch.full_like(columns, -1)), "amax")
    return ends, ends >= 0
