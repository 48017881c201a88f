"""Per-step DPO and advantage-weighted imitation: by hand, beside TRL's loss, and that both lead to one policy."""

from __future__ import annotations

import math
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.objectives.preference_loss import (
    advantage_weighted_nll,
    advantage_weighted_optimum,
    per_step_dpo_loss,
)


def t(*values):
    return torch.tensor(values, dtype=torch.float32)


def test_the_loss_by_hand():
    chosen = t(-10).requires_grad_()
    # Margin .5 (1 + 1) = 1: softplus(-1).
    loss, up, down = per_step_dpo_loss(chosen, t(-8), t(-11), t(-7), 0.5)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-1)), abs=1e-6)
    assert (up.tolist(), down.tolist()) == ([0.5], [-0.5])
    assert not up.requires_grad
    loss.backward()
    assert chosen.grad.item() == pytest.approx(-0.5 / (1 + math.e), abs=1e-6)
    assert per_step_dpo_loss(t(-3), t(-3), t(-3), t(-3))[0].item() == pytest.approx(math.log(2), abs=1e-6)


def test_smoothing_and_imitation_by_hand():
    # Of a margin 1: .9 softplus(-1) + .1 softplus(1), and softplus(1) = softplus(-1) + 1.
    loss = per_step_dpo_loss(t(-10), t(-8), t(-11), t(-7), 0.5, label_smoothing=0.1)[0]
    assert loss.item() == pytest.approx(0.313262 + 0.1, abs=1e-6)
    loss = per_step_dpo_loss(t(-10, -4), t(-8, -4), t(-11, -4), t(-7, -4), 0.5, sft_coef=0.25)[0]
    assert loss.item() == pytest.approx((0.313262 + 0.693147) / 2 + 0.25 * 7, abs=1e-5)


def test_weighted_imitation_by_hand():
    # Weights 1 and e: (1 + 2 e) / 2.
    mask = torch.tensor([[True, True, False]])
    loss = advantage_weighted_nll(torch.tensor([[-1.0, -2.0, math.nan]]), torch.tensor([[0, 0.2, math.nan]]), mask, 0.2)
    assert loss.item() == pytest.approx(3.218282, abs=1e-5)


def test_padding_has_no_gradient_and_advantages_have_none():
    logprobs = torch.tensor([[-1.0, -2.0]]).requires_grad_()
    advantages = torch.tensor([[1.0, 1.0]]).requires_grad_()
    advantage_weighted_nll(logprobs, advantages, torch.tensor([[True, False]]), 1.0).backward()
    assert logprobs.grad.tolist()[0] == pytest.approx([-math.e, 0])
    assert advantages.grad is None


def test_a_weight_is_cut_and_that_is_said():
    with pytest.warns(ScorecraftWarning, match="of 30 is cut at 20"):
        loss = advantage_weighted_nll(torch.tensor([[-1.0]]), torch.tensor([[3.0]]), torch.tensor([[True]]), 0.1)
    assert loss.item() == pytest.approx(math.exp(20))


numbers = st.floats(-20, 0, width=32)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=5), st.floats(0.05, 2))
def test_what_only_the_difference_decides(pairs, beta):
    table = torch.tensor(pairs).T.contiguous()
    loss, up, down = per_step_dpo_loss(*table, beta)
    # What chosen and rejected have in common, as a shared prefix, drops out.
    shared = per_step_dpo_loss(table[0] - 3, table[1] - 3, table[2] - 2, table[3] - 2, beta)[0]
    torch.testing.assert_close(shared, loss, atol=1e-4, rtol=1e-4)
    swapped = per_step_dpo_loss(table[1], table[0], table[3], table[2], beta)[0]
    torch.testing.assert_close(swapped - loss, (up - down).mean(), atol=1e-4, rtol=1e-4)
    order = torch.randperm(len(pairs))
    torch.testing.assert_close(per_step_dpo_loss(*table[:, order], beta)[0], loss, atol=1e-5, rtol=1e-5)


def trl_loss(table, beta, kind, smoothing=0.0):
    """Return the loss of TRL's own ``_compute_loss`` on sums of log-probabilities, handed to it as one token each."""
    trainer = pytest.importorskip("trl.trainer.dpo_trainer")
    policy = torch.cat((table[0], table[1]))[:, None]
    zeros = torch.zeros_like(policy)
    outputs = SimpleNamespace(log_probs=policy, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool(), aux_loss=None)
    settings = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=[kind],
        loss_weights=[1.0],
        beta=beta,
        label_smoothing=smoothing,
        use_weighting=False,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
    )
    ids = torch.zeros(len(policy), 2, dtype=torch.int64)
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "completion_mask": torch.tensor([[0, 1]]).expand_as(ids),
        "ref_chosen_logps": table[2],
        "ref_rejected_logps": table[3],
    }
    loss = trainer.DPOTrainer._compute_loss(settings, lambda **_: outputs, inputs, False)
    return loss, {name: found[0] for name, found in settings._metrics["train"].items()}


@pytest.mark.parametrize("beta", [0.1, 0.7])
def test_the_same_numbers_as_trl(beta):
    left = (-20 * torch.rand(4, 6, generator=torch.Generator().manual_seed(0))).requires_grad_()
    right = left.detach().clone().requires_grad_()
    theirs, metrics = trl_loss(right, beta, "sigmoid")
    loss, up, down = per_step_dpo_loss(left[0], left[1], left[2], left[3], beta)
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-6)
    assert up.mean().item() == pytest.approx(metrics["rewards/chosen"], abs=1e-6)
    assert down.mean().item() == pytest.approx(metrics["rewards/rejected"], abs=1e-6)
    loss.backward()
    theirs.backward()
    torch.testing.assert_close(left.grad, right.grad, atol=1e-7, rtol=1e-5)


def test_the_same_smoothing_as_trl():
    # TRL smooths labels in "aot", which for one pair at a time is DPO.
    table = -20 * torch.rand(4, 6, generator=torch.Generator().manual_seed(1))
    theirs = [trl_loss(table[:, [pair]], 0.3, "aot", 0.2)[0].item() for pair in range(6)]
    loss = per_step_dpo_loss(*table, 0.3, label_smoothing=0.2)[0]
    assert loss.item() == pytest.approx(sum(theirs) / 6, abs=1e-6)


REFERENCE, ADVANTAGES = t(0.5, 0.3, 0.2).log()[None], t(0, 1, -1)[None]


def minimised(loss):
    logits = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(logits.log_softmax(-1))
        value.backward()
        return value

    optimizer.step(closure)
    return logits.detach().softmax(-1)[0]


def test_the_optimum_by_hand():
    # .5, .3 e and .2 / e over their sum 1.389061.
    found = advantage_weighted_optimum(REFERENCE, ADVANTAGES, 1.0)[0]
    assert found.tolist() == pytest.approx([0.359955, 0.587076, 0.052968], abs=1e-5)


def test_dpo_on_sampled_pairs_and_weighted_imitation_lead_to_one_policy():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(REFERENCE[0].exp(), 60_000, replacement=True, generator=generator)
    first, second = drawn[:30_000], drawn[30_000:]
    wins = torch.rand(30_000, generator=generator) < (ADVANTAGES[0, first] - ADVANTAGES[0, second]).sigmoid()
    chosen, rejected = torch.where(wins, first, second), torch.where(wins, second, first)
    reference = REFERENCE[0]
    by_dpo = minimised(
        lambda p: per_step_dpo_loss(p[0, chosen], p[0, rejected], reference[chosen], reference[rejected], 1.0)[0]
    )
    steps = torch.ones(1, len(drawn), dtype=torch.bool)
    by_weights = minimised(lambda p: advantage_weighted_nll(p[:, drawn], ADVANTAGES[:, drawn], steps, 1.0))
    optimum = advantage_weighted_optimum(REFERENCE, ADVANTAGES, 1.0)[0]
    for found in (by_dpo, by_weights):
        assert (found - optimum).abs().sum().item() / 2 < 0.02


one, yes = torch.tensor([[-1.0]]), torch.tensor([[True]])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: per_step_dpo_loss(t(-1), t(-1), t(-1), t(-1), 0.0), "positive beta"),
        (lambda: per_step_dpo_loss(t(-1), t(-1), t(-1), t(-1), label_smoothing=0.5), "label_smoothing"),
        (lambda: per_step_dpo_loss(t(-1), t(-1), t(-1), t(-1), sft_coef=-1.0), "sft_coef"),
        (lambda: per_step_dpo_loss(t(), t(), t(), t()), "at least one pair"),
        (lambda: per_step_dpo_loss(t(-1, -1), t(-1, -math.inf), t(-1, -1), t(-1, -1)), "pair 1 is not finite"),
        (lambda: advantage_weighted_nll(one, one, yes, -1.0), "positive beta"),
        (lambda: advantage_weighted_nll(one, one, yes, 1.0, 0.0), "positive clip"),
        (lambda: advantage_weighted_nll(one, one, ~yes, 1.0), "at least one step"),
        (lambda: advantage_weighted_nll(one, one * math.inf, yes, 1.0), "advantage of a step of rollout 0"),
        (lambda: advantage_weighted_nll(one * math.nan, one, yes, 1.0), "log-probability of a step of rollout 0"),
        (lambda: advantage_weighted_optimum(one, one, math.nan), "positive beta"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
