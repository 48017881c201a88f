from __future__ import annotations

import pytest

from scorecraft.recipes.mistakes import RecipeError
from scorecraft.recipes.overrides import apply_overrides
from scorecraft.recipes.recipe import Recipe
from scorecraft.recipes.yaml_source import parse

TEXT = """\
task: {chain-arithmetic: {largest: 9}}
reward: {correct: {weight: 1.0}, brevity: {target: 7}}
steps: 3
"""


def overridden(*arguments, text=TEXT):
    return Recipe.from_source(apply_overrides(parse(text, "mine.yaml"), arguments))


def refused(*arguments, text=TEXT):
    with pytest.raises(RecipeError) as caught:
        overridden(*arguments, text=text)
    return str(caught.value)


def test_overrides_reach_every_kind_of_key():
    recipe = overridden(
        "steps=50",
        "reward.brevity.weight=0",
        "task.chain-arithmetic.operations=[2,3]",
        "optimizer.adamw.lr=1e-3",
        "evaluate.k=[1,2]",
        "evaluate.samples=2",
        "kl.coefficient=.5",
        "policy=./models/a.b",
    )
    assert recipe.steps == 50
    assert (recipe.reward["brevity"].weight, recipe.reward["brevity"].target) == (0, 7)
    assert (recipe.task.operations, recipe.task.largest) == ((2, 3), 9)
    assert recipe.resolved()["optimizer"]["adamw"]["lr"] == 0.001
    assert recipe.evaluate.k == (1, 2)
    assert recipe.kl.coefficient == 0.5
    assert recipe.policy.name == "./models/a.b"


def test_the_parts_name_may_be_left_out_where_there_is_one():
    recipe = overridden("optimizer.lr=1e-3", "task.largest=5", "policy.competence=0.5")
    assert recipe.resolved()["optimizer"]["adamw"]["lr"] == 0.001
    assert recipe.task.largest == 5
    assert recipe.policy.options == {"competence": 0.5}
    assert overridden("reward.weight=2", text="seed: 1").reward["correct"].weight == 2


def test_another_part_is_chosen_by_name_and_later_overrides_reach_it():
    recipe = overridden("task=multiple-choice", "task.options=3", "reward.format.weight=0.5")
    assert recipe.task.name == "multiple-choice"
    assert recipe.task.options == 3
    assert list(recipe.reward) == ["correct", "brevity", "format"]


def test_later_overrides_win_and_null_turns_off():
    assert overridden("steps=5", "steps=6").steps == 6
    assert overridden("evaluate=null").evaluate is None


def test_the_source_is_left_as_it_was():
    source = parse(TEXT, "mine.yaml")
    apply_overrides(source, ["task.largest=3", "reward.correct.weight=9"])
    assert source.data == parse(TEXT, "mine.yaml").data


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("step=50", "did you mean 'steps'?"),
        ("optimizer.adamw.lrr=1", "optimizer.adamw.lrr: unknown option; did you mean 'lr'?"),
        ("optimizer.lrr=1", "did you mean 'lr'?"),
        ("optimizer.lr=fast", "optimizer.adamw.lr: expected a number, got 'fast'"),
        ("task.chain-arithmetc.largest=3", "did you mean 'chain-arithmetic'?"),
        ("task.multiple-choice.options=3", "choose the other one with task=multiple-choice"),
        ("reward.weight=2", "name one of them, as in reward.correct.weight=2"),
        ("reward.brevty.weight=2", "did you mean 'brevity'?"),
        ("steps.x=2", "steps: is 3, so it has no 'x'"),
        ("evaluate.evry=2", "did you mean 'every'?"),
        ("steps", "expected key=value"),
        ("=3", "expected key=value"),
        ("task..largest=3", "expected key=value"),
        ("steps=[3", "not a YAML value"),
        ("task=nothing", "unknown task 'nothing'"),
    ],
)
def test_a_mistaken_override_is_named_with_the_nearest_key(argument, said):
    message = refused(argument)
    assert message.startswith(f"argument '{argument}'")
    assert said in message


def test_mistakes_of_file_and_overrides_come_together():
    message = refused("optimizer.lr=fast", text="stepz: 4\n")
    assert "mine.yaml:1: stepz" in message
    assert "argument 'optimizer.lr=fast'" in message


def test_an_override_mends_the_files_mistake():
    assert overridden("steps=4", text="steps: many\n").steps == 4
