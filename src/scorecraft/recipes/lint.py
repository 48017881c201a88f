"""Does a recipe's parts' work survive one another? Follows the signal through the recipe by what parts declare.

Types and names are checked when a recipe is read; this finds recipes that run and cannot do what they seem to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorecraft.parts import Part
from scorecraft.traits import Note, Trait, Traits

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


@dataclass(frozen=True, slots=True)
class Stage:
    """One part in the order in which the signal passes it; ``branch`` is the reward that it alone belongs to."""

    place: str
    part: Part
    branch: str | None = None


def lint(recipe: Recipe) -> list[Finding]:
    """Return what the recipe's parts take from one another, in the order of the data."""
    stages = [(stage, stage.part.traits()) for stage in stages_of(recipe)]
    return [*_lost(stages), *_missing(stages), *_dangers(stages)]


def stages_of(recipe: Recipe) -> list[Stage]:
    """Return the parts in the order in which the signal passes them.

    A reward of weight 0 is only logged, unless the credit reads step rewards and it has them.
    """
    asks_steps = _has(Trait.STEP_REWARDS, recipe.credit.traits().needs)
    chosen = getattr(recipe.credit, "process", None)
    stages = [
        Stage(f"task '{recipe.task.name}'", recipe.task),
        Stage(f"sampling '{recipe.sampling.name}'", recipe.sampling),
    ]
    for name, part in recipe.reward.items():
        steps = asks_steps and chosen in (None, name) and Trait.STEP_REWARDS in part.traits().provides
        if part.weight != 0 or steps:
            counted = part if part.weight != 0 else part.model_copy(update={"weight": 1.0})
            stages.append(Stage(f"reward '{name}'", counted, name))
            stages += [Stage(f"transform '{each.name}' of '{name}'", each, name) for each in part.transforms]
    for slot, part in (
        ("combination", recipe.combination),
        ("credit", recipe.credit),
        ("advantage", recipe.advantage),
        ("objective", recipe.objective),
        ("optimizer", recipe.optimizer),
    ):
        stages.append(Stage(f"{slot} '{part.name}'", part))
    return stages


def _has(trait: Trait, notes: Sequence[Note]) -> bool:
    return any(note.trait is trait for note in notes)


def _lost(stages: list[tuple[Stage, Traits]]) -> Iterator[Finding]:
    for index, (stage, traits) in enumerate(stages):
        for wanted in traits.relies_on:
            for later_stage, later in stages[index + 1 :]:
                if later_stage.branch not in (None, stage.branch):
                    continue  # what one reward goes through does not touch another
                for removed in later.removes:
                    if removed.trait is wanted.trait:
                        sources = tuple(dict.fromkeys(filter(None, (wanted.source, removed.source))))
                        where = (stage.place, later_stage.place)
                        yield Finding("lost", where, f"{wanted.text}, but {removed.text}", sources)


def _missing(stages: list[tuple[Stage, Traits]]) -> Iterator[Finding]:
    provided = {trait for _, traits in stages for trait in traits.provides}
    for stage, traits in stages:
        for needed in traits.needs:
            if needed.trait not in provided:
                yield Finding("missing", (stage.place,), needed.text, tuple(filter(None, (needed.source,))))


def _dangers(stages: list[tuple[Stage, Traits]]) -> Iterator[Finding]:
    cured = {(stage.branch, trait) for stage, traits in stages for trait in traits.cures}
    for stage, traits in stages:
        for danger in traits.brings:
            # What one reward goes through cures that reward alone; a later part of all, every one.
            if not cured & {(None, danger.trait), (stage.branch, danger.trait)}:
                yield Finding("danger", (stage.place,), danger.text, tuple(filter(None, (danger.source,))))
