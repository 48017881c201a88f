"""The same numbers as verl, from verl's own functions."""

import numpy as np
import pytest
import torch

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.credit import outcome_returns
from scorecraft.objectives import aggregation_weights, clipped_surrogate, kl_penalty
from scorecraft.scores import RewardTable

core_algos = pytest.importorskip("verl.trainer.ppo.core_algos")

ROWS = [[1, 1, 1], [1, 0, 1], [1], [1, 1], [1, 1, 0, 1], [1]]
GROUP = [0, 0, 0, 1, 1, 2]
REWARD = torch.tensor([1.0, 0.0, 0.25, 0.5, -1.0, 0.75])
KEEP = torch.ones(6, dtype=torch.bool)


def token_rewards(mask):
    """Each row's reward on its last sampled token, as verl expects it."""
    last = mask.shape[1] - 1 - mask.flip(1).int().argmax(1)
    rewards = torch.zeros(mask.shape)
    rewards[torch.arange(len(mask)), last] = REWARD
    return rewards


def ours(make_rollouts, name, options):
    rollouts = make_rollouts(ROWS, GROUP, padding=1)
    part = parts.find("advantage", name).model_validate(options)
    returns = outcome_returns(REWARD, rollouts.mask)
    context = Context(task=None, generator=torch.Generator())
    return rollouts.mask, part(returns, rollouts, RewardTable(REWARD, KEEP, {}), context).values


@pytest.mark.parametrize(
    ("name", "options", "function", "arguments"),
    [
        ("group-standardized", {"preset": "verl"}, "compute_grpo_outcome_advantage", {}),
        ("group-mean", {"preset": "verl"}, "compute_grpo_outcome_advantage", {"norm_adv_by_std_in_grpo": False}),
        ("leave-one-out", {"preset": "verl"}, "compute_rloo_outcome_advantage", {}),
        ("leave-one-out", {"singleton": "zero"}, "compute_rloo_vectorized_outcome_advantage", {}),
    ],
)
def test_group_advantages(make_rollouts, name, options, function, arguments):
    mask, values = ours(make_rollouts, name, options)
    theirs, _ = getattr(core_algos, function)(token_rewards(mask), mask.float(), np.array(GROUP), **arguments)
    torch.testing.assert_close(values, theirs.float(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_batch_standardized_and_discounted_outcome_credit(make_rollouts, discount):
    from verl.trainer.config import AlgoConfig

    rollouts = make_rollouts(ROWS, GROUP, padding=1)
    returns = outcome_returns(REWARD, rollouts.mask, discount)
    part = parts.find("advantage", "batch-standardized").model_validate({"preset": "verl"})
    context = Context(task=None, generator=torch.Generator())
    values = part(returns, rollouts, RewardTable(REWARD, KEEP, {}), context).values
    theirs, their_returns = core_algos.compute_reinforce_plus_plus_outcome_advantage(
        token_rewards(rollouts.mask), rollouts.mask.float(), config=AlgoConfig(gamma=discount)
    )
    torch.testing.assert_close(returns, their_returns, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(values, theirs, atol=1e-5, rtol=1e-5)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0]]).bool()
    old = -torch.rand(4, 4, generator=generator)
    new = old + torch.randn(4, 4, generator=generator)
    return new, old, torch.randn(4, 4, generator=generator), mask


@pytest.mark.parametrize(
    ("mode", "constant", "theirs"),
    [
        ("token", None, "token-mean"),
        ("sequence", None, "seq-mean-token-mean"),
        ("constant", 1.0, "seq-mean-token-sum"),
        ("constant", 4.0, "seq-mean-token-sum-norm"),
    ],
)
def test_aggregation(batch, mode, constant, theirs):
    loss, _, _, mask = batch
    weights = aggregation_weights(mask, torch.ones(4, dtype=torch.bool), mode, constant)
    torch.testing.assert_close((weights * loss).sum(), core_algos.agg_loss(loss, mask.float(), theirs))


def actor_config(**options):
    from verl.workers.config import ActorConfig

    return ActorConfig(
        strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=1, clip_ratio_low=0.2, clip_ratio_high=0.3, **options
    )


@pytest.mark.parametrize(
    ("loss_name", "options"),
    [("vanilla", {"dual_clip": 3.0}), ("gspo", {"level": "sequence-token"})],
)
def test_clipped_surrogate_value_gradient_and_clip_fraction(batch, loss_name, options):
    new, old, advantages, mask = batch
    left, right = new.clone().requires_grad_(), new.clone().requires_grad_()
    loss = clipped_surrogate(left, old, advantages, mask, low=0.2, high=0.3, **options)
    mine = (aggregation_weights(mask, torch.ones(4, dtype=torch.bool)) * loss.values).sum()
    theirs, metrics = core_algos.get_policy_loss_fn(loss_name)(
        old, right, advantages, mask.float(), loss_agg_mode="token-mean", config=actor_config()
    )
    torch.testing.assert_close(mine, theirs)
    mine.backward()
    theirs.backward()
    torch.testing.assert_close(left.grad, right.grad)
    clipped = (loss.metrics["clipped_low"] + loss.metrics["clipped_high"])[mask].mean().item()
    assert clipped > 0
    assert clipped == pytest.approx(metrics["actor/pg_clipfrac"], abs=1e-6)
    if "dual_clip" in options:
        assert loss.metrics["clipped_dual"][mask].mean().item() == pytest.approx(metrics["actor/pg_clipfrac_lower"])


@pytest.mark.parametrize(("estimator", "theirs"), [("k1", "kl"), ("k2", "mse"), ("k3", "low_var_kl")])
def test_kl(batch, estimator, theirs):
    new, old, _, _ = batch
    torch.testing.assert_close(kl_penalty(new, old, estimator), core_algos.kl_penalty(new, old, theirs))
