"""In verl, through its own registries and with its own data type, on the CPU; against the native functions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from scorecraft import parts
from scorecraft.errors import ScorecraftError
from scorecraft.integrations.verl_names import PREFIX, RECIPE_VARIABLE
from scorecraft.objectives.interfaces import LossInputs

verl = pytest.importorskip("verl")
core = pytest.importorskip("verl.trainer.ppo.core_algos")

from scorecraft.integrations.verl_plugin import (  # noqa: E402 - imports verl
    advantages_of,
    register,
    rollouts_of_token_rewards,
)


def test_importing_verl_is_enough():
    code = (
        "import verl\n"
        "from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn\n"
        "get_adv_estimator_fn('scorecraft/leave-one-out'); get_policy_loss_fn('scorecraft/clipped-surrogate')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-800:]


def batch(seed=0, rows=8, width=20):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, width + 1, (rows,), generator=generator)
    mask = torch.arange(width) < lengths[:, None]
    rewards = torch.zeros(rows, width)
    rewards[torch.arange(rows), lengths - 1] = torch.randint(0, 2, (rows,), generator=generator).float()
    uid = np.array([f"prompt-{row // 4}" for row in range(rows)], dtype=object)
    return rewards, mask, uid


def data_of(rewards, mask, uid):
    from verl import DataProto

    tensors = {"token_level_rewards": rewards, "response_mask": mask.long()}
    return DataProto.from_dict(tensors=tensors, non_tensors={"uid": uid})


def called(name, data):
    return core.get_adv_estimator_fn(name)(
        token_level_rewards=data.batch["token_level_rewards"], response_mask=data.batch["response_mask"],
        config=None, index=data.non_tensor_batch["uid"],
    )  # fmt: skip


def test_every_estimator_is_what_the_parts_give():
    """Called as verl's trainer calls them, with its own batch; parts that cannot work there say so."""
    rewards, mask, uid = batch()
    rewards[:, 1] = 0.5  # a step of its own
    estimators, _ = register()
    worked = []
    for name in estimators:
        if name == PREFIX:
            continue
        _, *names = name.split("/")
        credit, advantage = names if len(names) == 2 else ("outcome", names[0])
        if credit == "generalized-advantage":
            continue
        try:
            chosen = parts.find("credit", credit)(), parts.find("advantage", advantage)()
            expected, returns = advantages_of(*chosen, rewards, mask, uid)
        except (ScorecraftError, ValueError):
            with pytest.raises(ScorecraftError):
                called(name, data_of(rewards, mask, uid))
            continue
        found, found_returns = called(name, data_of(rewards, mask, uid))
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(found_returns, returns)
        worked.append(name)
    assert {f"{PREFIX}/leave-one-out", f"{PREFIX}/min-form/leave-one-out-tokens", f"{PREFIX}/reward-to-go/none"} <= set(
        worked
    )
    assert len(worked) >= 20


def test_the_group_baselines_are_verls_own():
    rewards, mask, uid = batch(3)
    advantages, _ = core.compute_grpo_outcome_advantage(rewards, mask.float(), uid)
    own, _ = core.get_adv_estimator_fn("scorecraft/group-standardized")(
        token_level_rewards=rewards, response_mask=mask.long(), index=uid
    )
    torch.testing.assert_close(own, advantages, atol=1e-3, rtol=1e-3)
    advantages, _ = core.compute_rloo_outcome_advantage(rewards, mask.float(), uid)
    own, _ = core.get_adv_estimator_fn("scorecraft/leave-one-out")(
        token_level_rewards=rewards, response_mask=mask.long(), index=uid
    )
    torch.testing.assert_close(own, advantages * mask, atol=1e-5, rtol=1e-5)


def test_steps_are_read_off_the_rewards():
    rewards = torch.tensor([[0.0, 0.5, 0.0, -1.0, 0.0], [1.0, 0.0, 0.0, 7.0, 7.0]])
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    rollouts, table = rollouts_of_token_rewards(rewards, mask, ["a", "a"])
    assert rollouts.steps.tolist() == [[0, 0, 1, 1, -1], [0, -1, -1, -1, -1]]
    assert rollouts.group.tolist() == [0, 0]
    assert table.total.tolist() == [-0.5, 1.0]
    (scores,) = table.parts.values()
    assert scores.steps.tolist() == [[0.5, -1.0], [1.0, 0.0]]
    assert scores.step_mask.tolist() == [[True, True], [True, False]]
    empty, _ = rollouts_of_token_rewards(torch.zeros(0, 0), torch.zeros(0, 0, dtype=torch.bool))
    assert len(empty) == 0


@pytest.mark.parametrize("name", ["clipped-surrogate", "reinforce"])
def test_every_loss_is_what_the_objective_gives(name):
    _, mask, _ = batch(1)
    generator = torch.Generator().manual_seed(2)
    old, new, advantages = (torch.randn(mask.shape, generator=generator) * 0.1 for _ in range(3))
    loss, metrics = core.get_policy_loss_fn(f"{PREFIX}/{name}")(
        old_log_prob=old, log_prob=new, advantages=advantages, response_mask=mask.long(), loss_agg_mode="token-mean"
    )
    objective = parts.find("objective", name)()
    values = objective(LossInputs(new, old, advantages, mask)).values
    weights = objective.weights(mask, torch.ones(len(mask), dtype=torch.bool))
    torch.testing.assert_close(loss, (values * weights).sum())
    assert all(key.startswith("actor/") for key in metrics)
    if name == "clipped-surrogate":
        vanilla, *_ = core.compute_policy_loss(old, new, advantages, mask.float(), 0.2, clip_ratio_c=1e9)
        torch.testing.assert_close(loss, vanilla)


def test_a_recipe_of_the_environment_gives_the_options(tmp_path, monkeypatch):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "reward: steps\ncredit: {min-form: {form: sum}}\nadvantage: leave-one-out-tokens\n"
        "objective: {clipped-surrogate: {low: 0.1, high: 0.3}}\n"
    )
    monkeypatch.delenv(RECIPE_VARIABLE, raising=False)
    rewards, mask, uid = batch()
    given = {"token_level_rewards": rewards, "response_mask": mask.long(), "index": uid}
    estimate = core.get_adv_estimator_fn(PREFIX)
    with pytest.raises(ScorecraftError, match=f"set {RECIPE_VARIABLE}"):
        estimate(**given)
    monkeypatch.setenv(RECIPE_VARIABLE, str(path))
    from scorecraft.recipes.ready import load_recipe

    recipe = load_recipe(str(path))
    found, _ = estimate(**given)
    expected, _ = advantages_of(recipe.credit, recipe.advantage, rewards, mask, uid)
    torch.testing.assert_close(found, expected)
    new = torch.full(mask.shape, 0.25)
    loss, _ = core.get_policy_loss_fn(PREFIX)(
        old_log_prob=torch.zeros(mask.shape), log_prob=new, advantages=torch.ones(mask.shape),
        response_mask=mask.long(), loss_agg_mode="token-mean",
    )  # fmt: skip
    # e^0.25 = 1.284 is below 1 + 0.3, and above the usual 1.2.
    assert float(loss) == pytest.approx(-(2.718281828**0.25), abs=1e-4)


def test_what_asks_for_more_says_so():
    rewards, mask, uid = batch()
    estimator = core.get_adv_estimator_fn(f"{PREFIX}/generalized-advantage/none")
    with pytest.raises(ScorecraftError, match="works in training only"):
        estimator(token_level_rewards=rewards, response_mask=mask.long(), index=uid)
    part = parts.find("objective", "clipped-surrogate")(entropy_coefficient=0.1)
    from scorecraft.integrations.verl_plugin import loss_of

    with pytest.raises(ScorecraftError, match="entropy_coeff"):
        loss_of(
            part, old_log_prob=rewards, log_prob=rewards, advantages=rewards, response_mask=mask.long()
        )  # fmt: skip


def test_rewards_are_not_read_off_the_mask():
    rewards, mask, uid = batch()
    dirty = torch.where(mask, rewards, torch.full_like(rewards, 9.0))
    for name in ("outcome", "reward-to-go"):
        part = parts.find("credit", name)(), parts.find("advantage", "none")()
        clean, same = (advantages_of(*part, table, mask, uid)[0] for table in (rewards, dirty))
        torch.testing.assert_close(clean, same)
