"""The part that measures how deep each step's reasoning is."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.parts import register
from scorecraft.problem import Outcome
from scorecraft.rewards.reward import Reward
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Trait, Traits


@implements("reasoning-depth")
@register("reward", "reasoning-depth")
class ReasoningDepth(Reward):
    """How far late layers move the next-token distribution: the Reasoning Score of each step, in nats.

    Its value is the mean over steps; a completion without a step has none. It is meant to be read by the credit
    'reasoning-depth', so its weight is 0. The features that tell chains that convince and are wrong are its metrics.

    weight: other than 0 pays for depth as such, which overthinking has too.
    scorer: the "policy" as it is before its update, or the frozen "reference" (which needs a 'kl' section).
    layers: which late layers, counted from 1; None for every second one of the upper half.
    attention: also measure how much late steps attend to bad early ones; takes more memory.
    """

    asks_policy: ClassVar[bool] = True
    weight: float = 0.0
    scorer: Literal["policy", "reference"] = "policy"
    layers: tuple[int, ...] | None = None
    attention: bool = False

    def traits(self) -> Traits:
        """Return that it gives step rewards."""
        return super().traits() + Traits(provides=(Trait.STEP_REWARDS,))

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the depth of each completion and of its steps; only tokens that the policy sampled count."""
        scorer: Any = context.policy if self.scorer == "policy" else context.reference
        if scorer is None:
            mend = (
                "it works in training, not on texts alone"
                if self.scorer == "policy"
                else "scorer 'reference' needs a 'kl' section in the recipe"
            )
            raise ScorecraftError(f"reward '{self.name}' reads the layers of a language model: {mend}")
        asked = [
            row[len(row) - length :]
            for row, length in zip(rollouts.prompt_tokens.tolist(), rollouts.prompt_lengths.tolist(), strict=True)
        ]
        steps = rollouts.steps.masked_fill(~rollouts.mask, -1)
        rows = list(zip(rollouts.tokens.tolist(), steps.tolist(), rollouts.lengths.tolist(), strict=True))
        found = scorer.step_depths(
            [asked[group] for group in rollouts.group.tolist()],
            [tokens[:length] for tokens, _, length in rows],
            [own[:length] for _, own, length in rows],
            layers=self.layers, attention=self.attention,
        )  # fmt: skip
        return self._scores(found)

    def _scores(self, found: Any) -> Scores:
        depth, there = found.depth.values, found.depth.step_mask
        some = there.any(1)
        missing = torch.full((len(depth),), float("nan"))
        mean = torch.where(some, depth.sum(1) / there.sum(1).clamp(min=1), missing)
        outcomes = tuple(Outcome.SCORED if each else Outcome.ABSTAINED for each in some.tolist())
        return Scores(mean, outcomes, depth, there, found.chain_metrics())
