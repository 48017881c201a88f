"""Credit by the outcome and the depth of each step."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Bool, Float32
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.credit.credit import Credit
from scorecraft.credit.min_form import token_returns_of_steps
from scorecraft.credit.named_rewards import outcome_values, process_rewards
from scorecraft.credit.reasoning_depth.reasoning_scores import LARGEST, step_quantile
from scorecraft.credit.reasoning_depth.shaping import ALPHA, Align, clip_depth, depth_of_state, discounts_to_end
from scorecraft.errors import ScorecraftWarning
from scorecraft.parts import Scope, register
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.traits import Note, Trait, Traits


@implements("reasoning-depth")
@register("credit", "reasoning-depth")
class ReasoningDepth(Credit):
    """Every token earns the outcome and, in a step, that step's clipped depth (GRPO-R).

    Reads depths in nats from the steps of the reward ``depth`` (by default the only one that has steps), whatever its
    weight. The outcome is the reward of that name, or the total where none is named.

    align: "own" pays a step for its own depth; "strict" gives it that of the step before, which changes nothing of
        what is best. gamma: discount of the outcome per step.
    alpha: reward for one nat of depth. tau: the largest depth, in nats, that pays; None takes ``quantile`` of the
        batch's steps.
    """

    depth: str | None = None
    outcome: str | None = None
    align: Align = "own"
    alpha: float = Field(ALPHA, ge=0)
    tau: float | None = Field(None, gt=0)
    quantile: float = Field(0.9, ge=0, le=1)
    gamma: float = Field(1.0, gt=0, le=1)

    @property
    def scope(self) -> Scope:
        """Return that without a ``tau`` what pays depends on the whole batch."""
        return "batch" if self.tau is None else "rollout"

    def traits(self) -> Traits:
        """Return that it needs step rewards and differs by token."""
        why = "it pays for the depth of steps; add the reward 'reasoning-depth', with weight 0"
        spreads = Note(Trait.TOKEN_DIFFERENCES, "it credits every step on its own")
        return Traits(relies_on=(spreads,), needs=(Note(Trait.STEP_REWARDS, why),))

    def __call__(self, rollouts: Rollouts, rewards: RewardTable, context: Context) -> Float32[Tensor, "rollout token"]:
        """Return the token returns; rollouts without a valid reward get none."""
        depth, there = process_rewards(rewards, self.depth, self.name)
        there = there & rewards.valid[:, None]
        if bool(((depth[there] < 0) | (depth[there] > LARGEST + 1e-5)).any()):
            warnings.warn(
                f"credit '{self.name}': step rewards outside [0, ln 2] are no depths in nats, which alpha and tau are "
                "for; read the reward 'reasoning-depth', or set both for what is read",
                ScorecraftWarning,
                stacklevel=2,
            )
        clipped = clip_depth(depth, there, self.alpha, self._limit(depth, there, context))
        earned = rewards.total if self.outcome is None else outcome_values(rewards, self.outcome, self.name)

        # What a step adds to the outcome, so that after the last step nothing is discounted, and nothing added.
        added = (discounts_to_end(there, self.gamma) - there.float()) * earned[:, None]
        added = added + depth_of_state(clipped, there, self.align)
        returns = earned[:, None] + token_returns_of_steps(added, there, rollouts.steps, rollouts.mask)
        return returns * (rollouts.mask & rewards.valid[:, None])

    def _limit(
        self, depth: Float32[Tensor, "rollout step"], there: Bool[Tensor, "rollout step"], context: Context
    ) -> float:
        """Return ``tau``, or the quantile over the steps of all workers."""
        if self.tau is not None:
            return self.tau
        width = int(context.gather(torch.tensor([depth.shape[1]], device=depth.device))[0].max())
        padding = (0, width - depth.shape[1])
        everyone = context.gather(F.pad(depth, padding))[0]
        present = context.gather(F.pad(there, padding))[0]
        return step_quantile(everyone, present, self.quantile) if bool(present.any()) else float("inf")
