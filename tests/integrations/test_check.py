"""What carries over to TRL and verl: every line it names is one that the trainer takes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from scorecraft.cli.main import app
from scorecraft.errors import ScorecraftError
from scorecraft.integrations.check import check
from scorecraft.recipes.ready import load_recipe
from scorecraft.recipes.recipe import Recipe


def settings(found):
    return [line for each in found for line in each.settings]


def test_the_default_recipe_carries_over_to_both():
    for engine in ("trl", "verl"):
        assert all(each.carries != "no" for each in check(load_recipe("default"), engine))
    lines = settings(check(load_recipe("default"), "verl"))
    assert "algorithm.adv_estimator=scorecraft/group-standardized" in lines
    assert "actor_rollout_ref.actor.policy_loss.loss_mode=scorecraft/clipped-surrogate" in lines


def test_options_need_the_recipe_in_the_environment():
    advantage = {"group-standardized": {"deviation": "batch"}}
    recipe = Recipe(advantage=advantage, objective={"clipped-surrogate": {"high": 0.28}})
    lines = settings(check(recipe, "verl", "/data/mine.yaml"))
    assert "algorithm.adv_estimator=scorecraft" in lines
    assert "actor_rollout_ref.actor.policy_loss.loss_mode=scorecraft" in lines
    assert "+ray_kwargs.ray_init.runtime_env.env_vars.SCORECRAFT_RECIPE=/data/mine.yaml" in lines


@pytest.mark.parametrize(
    ("engine", "values", "what"),
    [
        ("trl", {"sampling": "forced-prefix"}, "sampling 'forced-prefix'"),
        ("trl", {"kl": {"coefficient": 0.1, "place": "reward"}}, "kl on the reward"),
        ("verl", {"reward": "self-aligned"}, "reward 'self-aligned'"),
        ("verl", {"credit": "generalized-advantage"}, "credit 'generalized-advantage', advantage 'group-standardized'"),
        ("verl", {"reward": {"steps": {}, "correct": {}}, "credit": {"min-form": {"outcome": "correct"}}},
         "credit 'min-form', advantage 'group-standardized'"),
    ],
)  # fmt: skip
def test_what_cannot_is_named(engine, values, what):
    found = check(Recipe(**values), engine)
    assert what in [each.what for each in found if each.carries == "no"]
    assert all(each.why for each in found if each.carries == "no")


def test_a_reward_that_compares_goes_to_verls_batches():
    (line,) = [each for each in check(Recipe(reward="adaptive-length"), "verl") if each.what.startswith("reward")]
    assert line.carries == "with a setting"
    assert "custom_reward_function.name=compute_scores" in line.settings


def test_every_estimator_and_loss_it_names_is_registered():
    core = pytest.importorskip("verl.trainer.ppo.core_algos")
    from scorecraft import parts

    for advantage in parts.names("advantage"):
        for line in settings(check(Recipe(advantage=advantage), "verl")):
            key, _, value = line.partition("=")
            if key == "algorithm.adv_estimator":
                core.get_adv_estimator_fn(value)
            if key.endswith("loss_mode"):
                core.get_policy_loss_fn(value)


def test_the_command(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("sampling: {forced-prefix: {text: '1'}}\n")
    done = CliRunner().invoke(app, ["plugins", "check", str(file)])
    assert done.exit_code == 1
    assert "sampling 'forced-prefix'" in done.output
    done = CliRunner().invoke(app, ["plugins", "check", "default", "--engine", "verl", "--json"])
    assert done.exit_code == 0
    assert {"what", "carries", "settings", "why"} == set(json.loads(done.stdout)[0])
    with pytest.raises(ScorecraftError, match="expected trl or verl"):
        CliRunner().invoke(app, ["plugins", "check", "default", "--engine", "openrlhf"], catch_exceptions=False)
