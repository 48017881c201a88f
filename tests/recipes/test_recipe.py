from __future__ import annotations

from pathlib import Path

import pytest

from scorecraft.objectives.parts import GroupStandardized
from scorecraft.recipes.mistakes import RecipeError
from scorecraft.recipes.recipe import Evaluation, KLPenalty, PolicySpec, Recipe
from scorecraft.rewards.parts.basic import Brevity, Correct


def mistakes(**values):
    with pytest.raises(RecipeError) as caught:
        Recipe(**values)
    return {".".join(map(str, mistake.path)): mistake.message for mistake in caught.value.mistakes}


def test_the_default_recipe_is_the_one_of_the_design():
    recipe = Recipe()
    assert recipe.policy == PolicySpec(name="tunnel-tiny")
    slots = ("task", "sampling", "credit", "advantage", "objective", "optimizer")
    assert [getattr(recipe, slot).name for slot in slots] == [
        "chain-arithmetic", "single-turn", "outcome", "group-standardized", "clipped-surrogate", "adamw",
    ]  # fmt: skip
    assert list(recipe.reward) == ["correct"]
    assert recipe.sampling.group_size == 8
    assert recipe.resolved()["optimizer"]["adamw"]["lr"] == 2e-4
    assert (recipe.steps, recipe.prompts_per_step, recipe.seed, recipe.device) == (300, 16, 0, "cpu")
    assert recipe.kl is None
    assert recipe.evaluate == Evaluation(every=50, problems=256, samples=1, k=(1,), temperature=1.0)


def test_a_slot_takes_a_name_options_or_a_built_part():
    part = GroupStandardized(epsilon=1e-6)
    assert Recipe(advantage="none").advantage.name == "none"
    assert Recipe(advantage={"group-standardized": {"epsilon": 1e-6}}).advantage == part
    assert Recipe(advantage=part).advantage is part
    assert Recipe(advantage={"none": None}).advantage.name == "none"


def test_rewards_keep_the_order_in_which_they_are_written():
    recipe = Recipe(reward={"brevity": {"weight": 0.1}, "correct": None})
    assert list(recipe.reward) == ["brevity", "correct"]
    assert recipe.reward["brevity"] == Brevity(weight=0.1)
    assert Recipe(reward="correct").reward == {"correct": Correct()}
    assert Recipe(reward=Brevity(target=5)).reward == {"brevity": Brevity(target=5)}
    assert Recipe(reward={"brevity": Brevity(target=5)}).reward == {"brevity": Brevity(target=5)}


def test_a_reward_may_have_a_name_of_its_own_so_that_a_part_can_stand_twice():
    rewards = {"short": {"part": "brevity", "target": 5}, "brevity": {"target": 50}}
    recipe = Recipe(reward=rewards)
    assert recipe.reward == {"short": Brevity(target=5), "brevity": Brevity(target=50)}
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert recipe.hash != Recipe(reward={**rewards, "short": {"part": "brevity", "target": 6}}).hash
    assert Recipe(reward={"short": Brevity(target=5)}).reward["short"].target == 5
    assert "did you mean 'brevity'" in mistakes(reward={"short": {"part": "brevit"}})["reward.short.part"]
    assert "name of a reward" in mistakes(reward={"short": {"part": 3}})["reward.short.part"]
    assert "reward.short.targe" in mistakes(reward={"short": {"part": "brevity", "targe": 5}})


def test_a_policy_is_a_name_a_folder_or_a_name_with_options(tmp_path):
    assert Recipe(policy=tmp_path).policy == PolicySpec(name=str(tmp_path))
    assert Recipe(policy={"tunnel-tiny": {"competence": 0.5}}).policy.options == {"competence": 0.5}
    assert "policy" in mistakes(policy={"a": {}, "b": {}})
    assert "policy" in mistakes(policy="")


@pytest.mark.parametrize(
    ("values", "key", "said"),
    [
        ({"step": 3}, "step", "unknown key; did you mean 'steps'?"),
        ({"task": "chain-arithmetc"}, "task", "did you mean 'chain-arithmetic'?"),
        ({"optimizer": {"adamw": {"lrr": 1}}}, "optimizer.adamw.lrr", "unknown option; did you mean 'lr'?"),
        ({"optimizer": {"adamw": {"lr": "fast"}}}, "optimizer.adamw.lr", "expected a number, got 'fast'"),
        ({"optimizer": {"adamw": {"lr": True}}}, "optimizer.adamw.lr", "expected a number, got true"),
        ({"optimizer": {"adamw": {"lr": "0.1"}}}, "optimizer.adamw.lr", "expected a number, got '0.1'"),
        ({"optimizer": {"adamw": 3}}, "optimizer.adamw", "expected a mapping of options, got 3"),
        ({"optimizer": {"name": "adamw", "lr": 1}}, "optimizer", "got the keys name, lr"),
        ({"optimizer": None}, "optimizer", "expected one optimizer by name"),
        ({"optimizer": {"adamw": {"betas": [0.9]}}}, "optimizer.adamw.betas", "at least 2 values, got [0.9]"),
        ({"credit": Correct()}, "credit", "expected a credit part, got a reward part"),
        ({"reward": {}}, "reward", "expected at least one reward"),
        ({"reward": {"brevit": {}}}, "reward.brevit", "did you mean 'brevity'?"),
        ({"steps": 0}, "steps", "expected a number of at least 1, got 0"),
        ({"steps": True}, "steps", "expected a whole number, got true"),
        ({"steps": 2.5}, "steps", "expected a whole number, got 2.5"),
        ({"kl": {"coefficient": 0.1, "estimator": "k4"}}, "kl.estimator", "expected one of k1, k2, k3"),
        ({"kl": {}}, "kl.coefficient", "is missing"),
        ({"kl": {"coefficient": -1}}, "kl.coefficient", "at least 0"),
        ({"evaluate": {"evry": 3}}, "evaluate.evry", "did you mean 'every'?"),
        ({"evaluate": {"k": [1, 4]}}, "evaluate", "pass@4 needs at least 4 samples"),
        ({"checkpoint": None}, "checkpoint", "expected a mapping of options, got null"),
        ({"dtype": "float16"}, "dtype", "float32, bfloat16"),
    ],
)
def test_a_mistake_names_its_key_and_what_was_expected(values, key, said):
    found = mistakes(**values)
    assert list(found) == [key]
    assert said in found[key]


def test_all_mistakes_are_told_at_once():
    found = mistakes(step=1, task="nothing", optimizer={"adamw": {"lr": "x", "foo": 1}}, seed=-1)
    assert set(found) == {"step", "task", "optimizer.adamw.lr", "optimizer.adamw.foo", "seed"}


def test_a_resolved_recipe_holds_every_default_and_reads_back_equal():
    recipe = Recipe(
        kl={"coefficient": 0.1},
        evaluate=None,
        reward={"correct": {}, "brevity": {"target": 9}},
        policy={"tunnel-tiny": {"competence": 0.3}},
        advantage={"group-standardized": {"preset": "verl"}},
    )
    text = recipe.to_yaml()
    assert "group_size: 8" in text
    assert "tokens_per_microbatch: 16384" in text
    again = Recipe.from_yaml(text)
    assert again == recipe
    assert again.kl == KLPenalty(coefficient=0.1, estimator="k3", place="loss")


def test_the_hash_depends_on_what_a_recipe_says_and_not_on_how():
    assert Recipe().hash == Recipe(task={"chain-arithmetic": {}}, steps=300).hash
    assert Recipe().hash != Recipe(steps=151).hash
    assert Recipe(reward={"correct": {}, "format": {}}).hash != Recipe(reward={"format": {}, "correct": {}}).hash
    assert len(Recipe().hash) == 16


def test_a_recipe_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Recipe().steps = 3


def test_a_path_given_as_policy_is_kept_as_text():
    assert isinstance(Recipe(policy=Path("model")).policy.name, str)


def test_transforms_are_read_written_and_checked():
    recipe = Recipe(reward={"correct": {"transforms": [{"scale": {"factor": 2.0}}, "center"]}})
    (part,) = recipe.reward.values()
    assert [each.name for each in part.transforms] == ["scale", "center"]
    assert Recipe.from_yaml(recipe.to_yaml()).hash == recipe.hash
    assert "factor: 2.0" in recipe.to_yaml()
    with pytest.raises(RecipeError, match=r"reward\.correct\.transforms\.0.*'scale'"):
        Recipe(reward={"correct": {"transforms": ["scal"]}})
    with pytest.raises(RecipeError, match=r"expected a list of transforms"):
        Recipe(reward={"correct": {"transforms": "scale"}})
    with pytest.raises(RecipeError, match=r"factr"):
        Recipe(reward={"correct": {"transforms": [{"scale": {"factr": 2.0}}]}})


def test_the_combination_is_a_slot():
    assert Recipe().combination.name == "weighted-sum"
    with pytest.raises(RecipeError, match=r"unknown combination 'weighted-sums'"):
        Recipe(combination="weighted-sums")
