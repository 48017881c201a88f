from __future__ import annotations

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.recipes import ready
from scorecraft.recipes.recipe import Recipe
from scorecraft.recipes.yaml_source import parse


def test_the_four_ready_recipes_are_there_with_the_default_first():
    assert ready.names() == ["default", "hacked", "smollm2-jsonl", "smollm2-reasoning-gym"]


@pytest.mark.parametrize("name", ["default", "hacked", "smollm2-jsonl", "smollm2-reasoning-gym"])
def test_every_ready_recipe_is_valid_resolves_and_says_what_it_shows(name):
    recipe = Recipe.from_source(parse(ready.text(name), name))
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert len(ready.summary(name)) > 80


def test_the_default_file_writes_out_what_the_default_recipe_is():
    assert ready.load_recipe("default") == Recipe()


def test_the_hacked_recipe_logs_the_truth_without_training_on_it():
    recipe = ready.load_recipe("hacked")
    assert recipe.reward["correct"].weight == 0
    assert recipe.reward["overrating-process-model"].weight > 0


def test_a_recipe_is_found_by_name_or_file_with_overrides(tmp_path, monkeypatch):
    file = tmp_path / "mine.yaml"
    file.write_text("steps: 4\n")
    assert ready.load_recipe(str(file), ["seed=3"]).seed == 3
    assert ready.load_recipe("default", ["steps=2"]).steps == 2
    monkeypatch.chdir(tmp_path)
    assert ready.load_recipe("mine.yaml").steps == 4


def test_an_unknown_recipe_gets_the_nearest_name(tmp_path):
    with pytest.raises(ScorecraftError, match="did you mean 'hacked'"):
        ready.find("hackd.yaml")
    with pytest.raises(ScorecraftError, match="did you mean 'hacked'"):
        ready.text("hackd")
    with pytest.raises(ScorecraftError, match="a folder"):
        ready.find(str(tmp_path))


def test_a_policys_missing_extra_is_told_with_its_line(monkeypatch):
    monkeypatch.setitem(ready._POLICY_EXTRAS, "smollm2-135m", ("a_module_that_is_not_there", "smollm2"))
    line = 1 + ready.text("smollm2-jsonl").splitlines().index("policy: smollm2-135m")
    with pytest.raises(ScorecraftError) as caught:
        ready.load_recipe("smollm2-jsonl")
    assert str(caught.value).startswith(f"smollm2-jsonl.yaml:{line}: policy: ")
    assert "pip install 'scorecraft[smollm2]'" in str(caught.value)
