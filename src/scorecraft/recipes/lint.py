"""Does a recipe's parts' work survive one another? Follows the signal through the recipe by what parts declare.

Types and names are checked when a recipe is read; this finds recipes that run and cannot do what they seem to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorecraft.parts import Part
from scorecraft.traits import Traits

if TYPE_CHECKING:
    from scorecraft.recipes.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not go together: where, what is lost or missing in plain words, and where it is known from.

    kind: "lost" (a later part removes what an earlier one rests on), "missing" (nothing provides what a part
    needs) or "danger" (nothing cures what a part brings).
    """

    kind: str
    where: tuple[str, ...]
    text: str
    sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the finding as one sentence with its sources."""
        known = f" ({'; '.join(self.sources)})" if self.sources else ""
        return f"{' and '.join(self.where)}: {self.text}{known}"


def lint(recipe: Recipe) -> list[Finding]:
    """Return what the recipe's parts take from one another, in the order of the data."""
    stages = [(place, part.traits()) for place, part in stages_of(recipe)]
    return [*_lost(stages), *_missing(stages), *_dangers(stages)]


def stages_of(recipe: Recipe) -> list[tuple[str, Part]]:
    """Return the parts in the order in which the signal passes them; a reward of weight 0 is only logged."""
    rewards: list[tuple[str, Part]] = [
        (f"reward '{name}'", part) for name, part in recipe.reward.items() if part.weight != 0
    ]
    later: list[tuple[str, Part]] = [
        (f"{slot} '{part.name}'", part)
        for slot, part in (
            ("credit", recipe.credit),
            ("advantage", recipe.advantage),
            ("objective", recipe.objective),
            ("optimizer", recipe.optimizer),
        )
    ]
    return [
        (f"task '{recipe.task.name}'", recipe.task),
        (f"sampling '{recipe.sampling.name}'", recipe.sampling),
        *rewards,
        *later,
    ]


def _lost(stages: list[tuple[str, Traits]]) -> Iterator[Finding]:
    for index, (place, traits) in enumerate(stages):
        for wanted in traits.relies_on:
            for later_place, later in stages[index + 1 :]:
                for removed in later.removes:
                    if removed.trait is wanted.trait:
                        sources = tuple(dict.fromkeys(filter(None, (wanted.source, removed.source))))
                        yield Finding("lost", (place, later_place), f"{wanted.text}, but {removed.text}", sources)


def _missing(stages: list[tuple[str, Traits]]) -> Iterator[Finding]:
    provided = {trait for _, traits in stages for trait in traits.provides}
    for place, traits in stages:
        for needed in traits.needs:
            if needed.trait not in provided:
                yield Finding("missing", (place,), needed.text, tuple(filter(None, (needed.source,))))


def _dangers(stages: list[tuple[str, Traits]]) -> Iterator[Finding]:
    cured = {trait for _, traits in stages for trait in traits.cures}
    for place, traits in stages:
        for danger in traits.brings:
            if danger.trait not in cured:
                yield Finding("danger", (place,), danger.text, tuple(filter(None, (danger.source,))))
