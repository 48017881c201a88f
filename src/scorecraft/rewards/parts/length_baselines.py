"""The parts of the length rewards that others are compared with."""

from __future__ import annotations

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.parts import Scope, register
from scorecraft.rewards.correctness import check_answers, verdict_scores
from scorecraft.rewards.length_baselines import efficient_reasoner_penalty, o1_pruner_penalty
from scorecraft.rewards.reward import Reward
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Note, Trait, Traits

_COMPARES = "it compares a completion's length with others of its prompt: set group_size to 2 or more"


@implements("self-aligned-reward")
@register("reward", "o1-pruner")
class O1Pruner(Reward):
    """How much shorter than its prompt's mean a completion is, relative to its own length, within -1 and 1."""

    @property
    def scope(self) -> Scope:
        """Return that a completion is long or short among the others of its prompt."""
        return "group"

    def traits(self) -> Traits:
        """Return that it compares completions of one prompt."""
        return super().traits() + Traits(needs=(Note(Trait.COMPARISON, _COMPARES),))

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the reward of each completion, by its sampled tokens."""
        del context
        return Scores.of(o1_pruner_penalty(rollouts.mask.sum(1), rollouts.group))


@implements("self-aligned-reward")
@register("reward", "efficient-reasoner")
class EfficientReasoner(Reward):
    """How short a correct completion is among the correct ones of its prompt, by a sigmoid, within -1 and 1."""

    @property
    def scope(self) -> Scope:
        """Return that a completion is long or short among the others of its prompt."""
        return "group"

    def traits(self) -> Traits:
        """Return that it compares completions of one prompt."""
        return super().traits() + Traits(needs=(Note(Trait.COMPARISON, _COMPARES),))

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the reward of each completion; without a verdict on its answer there is no value either."""
        verdicts = verdict_scores(check_answers(rollouts, context))
        values = efficient_reasoner_penalty(rollouts.mask.sum(1), verdicts.values >= 1, rollouts.group)
        return Scores(values.masked_fill(verdicts.values.isnan(), float("nan")), verdicts.outcomes)
