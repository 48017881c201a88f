"""The real GRPOTrainer with a whole recipe: same rollouts in, same loss and gradient out as the native engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.integrations.trl import rows
from scorecraft.lm.logprobs import token_logprobs
from scorecraft.lm.policy import Policy, resolve_policy
from scorecraft.lm.update import UpdateSettings, _accumulate
from scorecraft.recipes.collect import score
from scorecraft.recipes.recipe import Recipe

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

COMMON = {"task": "chain-arithmetic", "prompts_per_step": 4, "sampling": {"single-turn": {"group_size": 4}}, "steps": 2}
RECIPES = {
    "default": {},
    "min-form": {
        "reward": {"steps": {"weight": 0}, "correct": {}},
        "credit": {"min-form": {"outcome": "correct"}},
        "advantage": "leave-one-out-tokens",
        "objective": {"clipped-surrogate": {"normalize": "sequence"}},
    },
    "learned value": {
        "credit": "generalized-advantage", "advantage": "none", "objective": {"reinforce": {"normalize": "token"}},
    },
    "constant length and entropy": {
        "advantage": "group-mean",
        "objective": {
            "clipped-surrogate": {"normalize": "constant", "constant_length": 64, "entropy_coefficient": 0.01}
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("policy") / "tunnel-tiny"
    resolve_policy("tunnel-tiny", {}, Recipe().task).save(place)
    return str(place)


def trainer_of(recipe, folder, tmp_path, **more):
    from transformers import AutoTokenizer

    from scorecraft.integrations.trl_trainer import RecipeTrainer, grpo_config

    data = datasets.Dataset.from_list(rows(recipe, 8))
    args = grpo_config(
        recipe, str(tmp_path), report_to="none", use_cpu=True, save_strategy="no", logging_steps=1, disable_tqdm=True,
        **more,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return RecipeTrainer(recipe, folder, args, train_dataset=data, processing_class=tokenizer)


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_rollouts_give_the_same_loss_and_gradient(name, folder, tmp_path):
    recipe = Recipe(**(COMMON | RECIPES[name]))
    trainer = trainer_of(recipe, folder, tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    output = trainer._generate_and_score_completions(batch)
    trainer.model.zero_grad()
    loss = trainer._compute_loss(trainer.model, output)
    loss.backward()
    found = {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}

    rollouts, _, _ = trainer._scored
    policy = Policy(trainer.model, trainer.processing_class, "native")
    with torch.no_grad():
        logprobs, _ = token_logprobs(policy, rollouts)
    native = replace(rollouts, logprobs=logprobs)
    context = Context(recipe.task, torch.Generator().manual_seed(0), policy=policy)
    rewards = score(recipe, native, context)
    credit = type(recipe.credit).model_validate(recipe.credit.model_dump())
    returns = credit(native, rewards, context)
    advantages = recipe.advantage(returns, native, rewards, context)
    trainer.model.zero_grad()
    sums = _accumulate(policy, native, advantages, recipe.objective, UpdateSettings(), torch.arange(len(native)), None)
    print({n: float((p.grad - found[n]).abs().max()) for n, p in trainer.model.named_parameters()})
    assert sums["loss"] == pytest.approx(float(loss.detach()), abs=1e-5)
    assert found
    for parameter_name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(parameter.grad, found[parameter_name], atol=1e-5, rtol=1e-3, msg=parameter_name)
    assert float(torch.stack([g.abs().max() for g in found.values()]).max()) > 1e-4


def test_it_trains_and_logs_what_was_trained_on(folder, tmp_path):
    recipe = Recipe(**(COMMON | RECIPES["min-form"]))
    trainer = trainer_of(recipe, folder, tmp_path)
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    trainer.train()
    assert trainer.model.training
    assert any(not p.detach().equal(before[n]) for n, p in trainer.model.named_parameters())
    log = next(entry for entry in trainer.state.log_history if "reward/correct" in entry)
    assert {"reward/steps", "reward/correct", "entropy", "loss"} <= log.keys()
    rollouts, rewards, _ = trainer._scored
    advantages = trainer.advantages(rollouts, rewards)
    shown = (advantages.values.sum(1) / rollouts.mask.sum(1).clamp(min=1)).tolist()
    assert list(trainer._logs["advantages"])[-len(shown) :] == pytest.approx(shown, abs=1e-5)


def test_micro_batches_add_up_to_the_batch(folder, tmp_path):
    recipe = Recipe(**COMMON)
    trainer = trainer_of(
        recipe, folder, tmp_path, per_device_train_batch_size=4, steps_per_generation=4, gradient_accumulation_steps=4
    )
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 4
    output = trainer._generate_and_score_completions(batch)
    whole = trainer._compute_loss(trainer.model, output)
    part = [
        {key: value[start : start + 4] if torch.is_tensor(value) and value.ndim else value
         for key, value in output.items()}
        for start in range(0, 16, 4)
    ]  # fmt: skip
    added = sum(float(trainer._compute_loss(trainer.model, each)) for each in part)
    assert added == pytest.approx(float(whole), abs=1e-6)


def test_what_trl_cannot_do_is_said():
    from scorecraft.integrations.trl_trainer import RecipeTrainer, grpo_config

    with pytest.raises(ScorecraftError, match="TRL adds the penalty to the loss"):
        grpo_config(Recipe(kl={"coefficient": 0.1, "place": "reward"}), "out")
    with pytest.raises(ScorecraftError, match="leave reward_funcs out"):
        RecipeTrainer(Recipe(), "nowhere", reward_funcs=[len])
