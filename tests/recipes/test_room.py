"""What a task's solutions need and the sampling does not give is said before the run."""

import pytest

from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.recipes.recipe import Recipe
from scorecraft.recipes.room import shortcomings
from scorecraft.recipes.train import train
from scorecraft.tasks.parts import SecondTurn


@pytest.fixture(scope="module")
def policy():
    return Policy(tunnel_model(layers=1, width=16, heads=2), tunnel_tokenizer(), "small")


def said(policy, **values):
    return shortcomings(policy, Recipe(**values))


def test_the_default_recipe_has_room(policy):
    assert said(policy) == []


def test_solutions_longer_than_the_limit_are_counted_and_a_limit_is_proposed(policy):
    recipe = Recipe(sampling={"single-turn": {"max_new_tokens": 20}})
    golds = [problem.gold for problem in recipe.task.problems("train", 0, 64)]
    # One token a character, and the end token.
    longer, longest = sum(len(gold) + 1 > 20 for gold in golds), max(map(len, golds)) + 1
    (text,) = shortcomings(policy, recipe)
    assert text.startswith(f"{longer} of 64 known solutions")
    assert f"the longest has {longest} tokens" in text
    assert f"sampling.max_new_tokens={longest + longest // 4}" in text


def test_a_tool_needs_a_sampling_that_answers(policy):
    room = {"max_new_tokens": 400}
    (text,) = said(policy, task="calculator", sampling={"single-turn": room})
    assert "sampling=tools" in text
    assert said(policy, task="calculator", sampling={"tools": room}) == []


def test_a_second_turn_needs_a_sampling_that_asks(policy):
    room = {"max_new_tokens": 400}
    (text,) = said(policy, task=SecondTurn(), sampling={"single-turn": room})
    assert "sampling=two-turn" in text
    assert said(policy, task=SecondTurn(), sampling={"two-turn": room}) == []


def test_training_says_it_and_goes_on(policy, tmp_path, capsys):
    policy.save(tmp_path / "policy")
    recipe = Recipe(
        policy=str(tmp_path / "policy"),
        sampling={"single-turn": {"group_size": 2, "max_new_tokens": 4}},
        prompts_per_step=2,
        steps=1,
        evaluate=None,
    )
    train(recipe, tmp_path / "run")
    assert "completions will be cut off" in capsys.readouterr().err
