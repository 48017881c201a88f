"""The same numbers as TRL: losses from its own ``_compute_loss``, advantages from its lines and its ``nanstd``.

Advantages are computed inside a method that also generates, so their lines are repeated here
(``GRPOTrainer._generate_and_score_completions``, ``RLOOTrainer._generate_and_score_completions``, TRL 1.16.0).
"""

from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from scorecraft.objectives import (
    aggregation_weights,
    clipped_surrogate,
    entropy_bonus,
    group_standardized_advantages,
    kl_penalty,
    leave_one_out_advantages,
)
from scorecraft.objectives.presets import PRESETS

trainer = pytest.importorskip("trl.trainer.grpo_trainer")

NAN = float("nan")
GROUPED = torch.tensor([[1.0, 0.0, 0.0, 0.5], [1.0, NAN, 1.0, 0.2], [0.3, NAN, NAN, NAN], [0.1, 0.1, 0.1, 0.1]])


def ours(function, **options):
    reward = GROUPED.flatten()
    valid = ~reward.isnan()
    group = torch.arange(4).repeat_interleave(4)
    return function(torch.where(valid, reward, 0.0), group, valid, **options)


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_grpo_advantages(scale):
    rewards = GROUPED.flatten()
    theirs = rewards - torch.nanmean(GROUPED, dim=1).repeat_interleave(4)
    if scale == "group":
        theirs = theirs / (trainer.nanstd(GROUPED, dim=1).repeat_interleave(4) + 1e-4)
    elif scale == "batch":
        theirs = theirs / (trainer.nanstd(rewards).expand_as(rewards) + 1e-4)
    theirs = torch.nan_to_num(theirs, nan=0.0)
    options = PRESETS["group-standardized"]["trl"] | {"deviation": scale}
    torch.testing.assert_close(ours(group_standardized_advantages, **options), theirs, atol=1e-4, rtol=1e-5)


def test_leave_one_out_advantages():
    counts = (~torch.isnan(GROUPED)).sum(dim=1, keepdim=True)
    baselines = (torch.nansum(GROUPED, dim=1, keepdim=True) - GROUPED) / (counts - 1)
    theirs = torch.nan_to_num(GROUPED - baselines, nan=0.0).flatten()
    torch.testing.assert_close(ours(leave_one_out_advantages, **PRESETS["leave-one-out"]["trl"]), theirs)


MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]]).bool()
KEEP = torch.ones(4, dtype=torch.bool)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    old, noise, reference, entropy = (torch.rand(4, 5, generator=generator) for _ in range(4))
    return SimpleNamespace(
        old=-old,
        new=-old + noise - 0.5,
        reference=-reference,
        entropy=entropy,
        advantages=torch.tensor([1, -1, 0.5, -2]),
    )


def trl_loss(batch, logprobs, loss_type, level="token", beta=0.0, entropy_coefficient=0.0):
    """The loss of TRL's own method; the trainer around it is reduced to the settings that it reads."""
    metrics = defaultdict(list)
    accelerator = SimpleNamespace(
        num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x, sync_gradients=True
    )
    settings = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (logprobs, batch.entropy, None),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level=level,
        beta=beta,
        loss_type=loss_type,
        epsilon_low=0.2,
        epsilon_high=0.3,
        use_vllm=False,
        vllm_importance_sampling_correction=False,
        current_gradient_accumulation_steps=1,
        max_completion_length=16,
        _entropy_bonus_enabled=entropy_coefficient != 0,
        entropy_coef=entropy_coefficient,
        use_adaptive_entropy=False,
        accelerator=accelerator,
        model=SimpleNamespace(training=True),
        _metrics={"train": metrics},
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
    )
    ids = torch.zeros(4, 5, dtype=torch.int64)
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": MASK[:, :1].long(),
        "completion_ids": ids,
        "completion_mask": MASK.long(),
        "advantages": batch.advantages,
        "old_per_token_logps": batch.old,
        "ref_per_token_logps": batch.reference,
        "num_items_in_batch": MASK.sum(),
    }
    return trainer.GRPOTrainer._compute_loss(settings, None, inputs), metrics


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize(
    ("loss_type", "mode", "constant"),
    [("grpo", "sequence", None), ("bnpo", "token", None), ("dapo", "token", None), ("dr_grpo", "constant", 16.0)],
)
def test_loss_value_gradient_and_clip_fractions(batch, loss_type, mode, constant, level):
    left, right = batch.new.clone().requires_grad_(), batch.new.clone().requires_grad_()
    theirs, metrics = trl_loss(batch, right, loss_type, level)
    advantages = batch.advantages[:, None].expand(4, 5)
    loss = clipped_surrogate(left, batch.old, advantages, MASK, low=0.2, high=0.3, level=level)
    mine = (aggregation_weights(MASK, KEEP, mode, constant) * loss.values).sum()
    torch.testing.assert_close(mine, theirs)
    mine.backward()
    theirs.backward()
    torch.testing.assert_close(left.grad, right.grad)
    if level == "token":
        for name in ("low", "high"):
            fraction = loss.metrics[f"clipped_{name}"][MASK].mean().item()
            assert fraction > 0
            assert fraction == pytest.approx(metrics[f"clip_ratio/{name}_mean"][0], abs=1e-6)


def test_kl_and_entropy_terms(batch):
    theirs, _ = trl_loss(batch, batch.new, "dapo", beta=0.3, entropy_coefficient=0.05)
    advantages = batch.advantages[:, None].expand(4, 5)
    values = clipped_surrogate(batch.new, batch.old, advantages, MASK, low=0.2, high=0.3).values
    values = values + 0.3 * kl_penalty(batch.new, batch.reference, "k3") + entropy_bonus(batch.entropy, MASK, 0.05)
    torch.testing.assert_close((aggregation_weights(MASK, KEEP) * values).sum(), theirs)
