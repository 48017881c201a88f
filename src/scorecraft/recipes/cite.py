"""What a recipe rests on: the papers of exactly the parts it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorecraft.catalog.papers import Paper, find
from scorecraft.recipes.lint import stages_of

if TYPE_CHECKING:
    from scorecraft.recipes.recipe import Recipe


def citations(recipe: Recipe) -> list[Paper]:
    """Return the papers behind a recipe's parts, policy and measurements, each once, in the order of the data."""
    slugs: dict[str, None] = {}
    if recipe.policy.name == "smollm2-135m":
        slugs["smollm2"] = None
    logged = [part for part in recipe.reward.values() if part.weight == 0]
    for part in (*(stage.part for stage in stages_of(recipe)), *logged):
        slugs |= dict.fromkeys(part.cites())
    if recipe.evaluate and max(recipe.evaluate.k) > 1:
        slugs["pass-at-k"] = None
    return [find(slug) for slug in slugs]
