"""The ordinary reward parts: correctness, format, length, steps, and a function of the user's own."""

from __future__ import annotations

import re

from pydantic import Field, field_validator, model_validator

from scorecraft.context import Context
from scorecraft.parts import Scope, register
from scorecraft.rewards.adaptive_length import adaptive_length
from scorecraft.rewards.brevity import brevity
from scorecraft.rewards.correctness import check_answers, verdict_scores
from scorecraft.rewards.format import matches, parseable
from scorecraft.rewards.function import call_function, function_columns, load_function
from scorecraft.rewards.overlong import overlong
from scorecraft.rewards.reward import Reward
from scorecraft.rewards.steps import check_steps, correct_step_share
from scorecraft.rollouts import Rollouts
from scorecraft.scores import Scores
from scorecraft.traits import Note, Trait, Traits


@register("reward", "correct")
class Correct(Reward):
    """The task's exact verdict on the answer; an answer that cannot be read earns 0 and is counted."""

    def traits(self) -> Traits:
        """Return that it tells right from wrong by 1 and 0, at weight 1."""
        return super().traits() + Traits(provides=(Trait.BINARY_REWARD,) if self.weight == 1 else ())

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the score of each answer."""
        return verdict_scores(check_answers(rollouts, context))


@register("reward", "format")
class Format(Reward):
    """1 where an answer can be read from the completion, or where the whole text matches ``pattern``."""

    pattern: str | None = None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return 0 or 1 for each completion."""
        if self.pattern is None:
            return parseable(check_answers(rollouts, context))
        return Scores.of(matches(rollouts.texts, self.pattern))


@register("reward", "brevity")
class Brevity(Reward):
    """A penalty for sampled tokens beyond ``target``: -1 at twice the target, never below ``-cap``."""

    target: int = Field(32, ge=1)
    cap: float = Field(1.0, gt=0)

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the penalty of each completion."""
        del context
        return Scores.of(brevity(rollouts.mask.sum(1), self.target, self.cap))


@register("reward", "adaptive-length")
class AdaptiveLength(Reward):
    """A penalty for correct completions that are long among the correct ones of their prompt."""

    strength: float = Field(0.1, ge=0, lt=1)

    @property
    def scope(self) -> Scope:
        """Return that a completion is long or short among the others of its prompt."""
        return "group"

    def traits(self) -> Traits:
        """Return that its strength is meant to be small beside the verdict."""
        note = Note(Trait.MAGNITUDE, f"its strength {self.strength:g} is to be small beside being right")
        return super().traits() + Traits(relies_on=(note,))

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the penalty of each completion; without a verdict on its answer there is no value either."""
        verdicts = verdict_scores(check_answers(rollouts, context))
        values = adaptive_length(rollouts.mask.sum(1), verdicts.values >= 1, rollouts.group, self.strength)
        return Scores(values.masked_fill(verdicts.values.isnan(), float("nan")), verdicts.outcomes)


@register("reward", "overlong")
class Overlong(Reward):
    """DAPO's soft punishment over the last ``buffer`` tokens before ``max_length``."""

    max_length: int = Field(ge=1)
    buffer: int = Field(ge=1)

    @model_validator(mode="after")
    def _buffer_fits(self) -> Overlong:
        if self.buffer > self.max_length:
            raise ValueError(f"buffer ({self.buffer}) must not exceed max_length ({self.max_length})")
        return self

    def cites(self) -> tuple[str, ...]:
        """Return what it is from."""
        return ("dapo",)

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the punishment of each completion."""
        del context
        return Scores.of(overlong(rollouts.lengths, self.max_length, self.buffer))


@register("reward", "steps")
class Steps(Reward):
    """The share of correct steps, by the task's exact step checker; fills the step rewards."""

    def traits(self) -> Traits:
        """Return that it gives partial credit, step by step."""
        note = Note(Trait.MAGNITUDE, "it pays in proportion to the share of right steps")
        return super().traits() + Traits(relies_on=(note,), provides=(Trait.STEP_REWARDS,))

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return the share for each completion."""
        return correct_step_share(check_steps(rollouts, context, self.name))


@register("reward", "function")
class Function(Reward):
    """A function ``function`` of the Python file ``path``, called as TRL calls reward functions.

    over: what one value depends on: the rollout alone, the group (all completions of a prompt) or the whole batch.
    """

    path: str
    function: str
    over: Scope = "rollout"

    @property
    def scope(self) -> Scope:
        """Return what ``over`` says."""
        return self.over

    def __call__(self, rollouts: Rollouts, context: Context) -> Scores:
        """Return what the function gives each completion."""
        del context
        function = load_function(self.path, self.function)
        return Scores.of(call_function(function, function_columns(rollouts), f"{self.path}:{self.function}"))
