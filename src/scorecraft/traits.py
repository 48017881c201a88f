"""What parts declare about the signal that passes through them, so that a recipe can be checked as a whole.

Nobody lists which two parts do not go together. A part says what its effect rests on, what it takes out of the
signal, what must be there for it, and what danger it brings; `scorecraft.recipes.lint` follows the data through the
recipe and finds what is lost on the way. A part from another package takes part by overriding `Part.traits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Trait(StrEnum):
    """A property of the training signal that parts give, need, keep or take away."""

    MAGNITUDE = "how far apart the rewards of a group are"
    LEVEL = "how high the rewards of a group are"
    BATCH_MAGNITUDE = "how far apart the rewards of a batch are"
    BATCH_LEVEL = "how high the rewards of a batch are"
    TOKEN_DIFFERENCES = "that tokens of one completion earn differently"
    COMPARISON = "two or more completions of each prompt"
    WHOLE_RETURN = "returns that are the total reward at every token"
    STEP_REWARDS = "a reward for every step"
    BINARY_REWARD = "a total reward of 0 or 1"
    FARMING = "a reward that grows with every repeated step"
    GUESSING = "a reward that is highest for a dishonest answer"


@dataclass(frozen=True, slots=True)
class Note:
    """A trait, what it means for this part in one clause, and where that is known from."""

    trait: Trait
    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a part declares.

    relies_on: its effect is lost where a later part removes this. removes: taken out of the signal here.
    needs: must be provided by some part of the recipe. provides: is there because of this part.
    brings: a danger, unless some part of the recipe cures it. cures: dangers that this part takes away.
    """

    relies_on: tuple[Note, ...] = ()
    removes: tuple[Note, ...] = ()
    needs: tuple[Note, ...] = ()
    provides: tuple[Trait, ...] = ()
    brings: tuple[Note, ...] = ()
    cures: tuple[Trait, ...] = ()

    def __add__(self, other: Traits) -> Traits:
        """Return what either declares."""
        return Traits(
            self.relies_on + other.relies_on,
            self.removes + other.removes,
            self.needs + other.needs,
            self.provides + other.provides,
            self.brings + other.brings,
            self.cures + other.cures,
        )
