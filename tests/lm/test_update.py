"""Micro-batches, mini-batches and skipped rows add up exactly to the whole batch."""

import dataclasses

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from scorecraft.context import Context
from scorecraft.errors import TrainingStopped
from scorecraft.lm.generate import left_pad
from scorecraft.lm.optimizer import AdamW, Optimizer
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_tokenizer
from scorecraft.lm.update import UpdateSettings, microbatches, update
from scorecraft.objectives.interfaces import Advantages
from scorecraft.objectives.parts import ClippedSurrogate
from scorecraft.problem import Problem
from scorecraft.rollouts import Rollouts


def make_policy(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    config = LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=100,
        max_position_embeddings=64, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return Policy(LlamaForCausalLM(config).to(dtype), tunnel_tokenizer(), "small")


def make_rollouts(rows=12, group_size=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    group = torch.arange(rows // group_size).repeat_interleave(group_size)
    lengths = torch.randint(1, 9, (rows,), generator=generator)
    width = int(lengths.max())
    prompts = [torch.randint(4, 90, (3 + g,), generator=generator).tolist() for g in range(rows // group_size)]
    table, prompt_lengths = left_pad(prompts, 0)
    mask = torch.arange(width) < lengths[:, None]
    zeros = torch.zeros(rows, width)
    return Rollouts(
        tokens=torch.where(mask, torch.randint(4, 90, (rows, width), generator=generator), 0), mask=mask,
        logprobs=torch.where(mask, -4.6 + 0.3 * torch.randn(rows, width, generator=generator), 0.0), entropies=zeros,
        steps=torch.full((rows, width), -1), turns=torch.zeros((rows, width), dtype=torch.int64), lengths=lengths,
        group=group, truncated=torch.zeros(rows, dtype=torch.bool), texts=("",) * rows, notes=({},) * rows,
        prompt_tokens=table, prompt_lengths=prompt_lengths, problems=tuple(Problem("", "") for _ in prompts),
    )  # fmt: skip


def make_advantages(rollouts, seed=1):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(len(rollouts), 1, generator=generator) * rollouts.mask
    values[3:6] = 0.0  # a whole group without advantage
    keep = torch.ones(len(rollouts), dtype=torch.bool)
    keep[7] = False
    return Advantages(values, keep)


def gradient_of(rollouts, advantages, settings, objective, reference=None):
    """The gradient that one update leaves before the optimizer: a huge norm limit and SGD would hide nothing."""
    policy = make_policy()
    optimizer = Optimizer(AdamW(lr=1e-3, max_gradient_norm=None), policy.model, 10)
    seen = {}

    def remember(step):
        seen.update({n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None})
        return {}

    optimizer.step = remember
    context = Context(None, torch.Generator().manual_seed(0), policy=policy)
    metrics = update(policy, optimizer, rollouts, advantages, objective, settings, context, reference)
    return seen, metrics


def direct_gradient(rollouts, advantages, low=0.2, high=0.2):
    """The clipped loss written out over single rollouts with the model's own forward."""
    policy = make_policy()
    kept_tokens = rollouts.mask[advantages.keep].sum()
    loss = torch.zeros(())
    for row in range(len(rollouts)):
        if not advantages.keep[row]:
            continue
        n, g = int(rollouts.lengths[row]), int(rollouts.group[row])
        prompt = rollouts.prompt_tokens[g][-int(rollouts.prompt_lengths[g]) :]
        ids = torch.cat((prompt, rollouts.tokens[row, :n]))[None]
        table = policy.model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        logprobs = table.gather(1, rollouts.tokens[row, :n, None])[:, 0]
        ratio = (logprobs - rollouts.logprobs[row, :n]).exp()
        a = advantages.values[row, :n]
        loss = loss - torch.minimum(ratio * a, ratio.clamp(1 - low, 1 + high) * a).sum() / kept_tokens
    loss.backward()
    return {n: p.grad for n, p in policy.model.named_parameters()}, float(loss)


@pytest.mark.parametrize("tokens", [1, 16, 100_000])
def test_gradient_accumulation_equals_the_full_batch(tokens):
    rollouts = make_rollouts()
    advantages = make_advantages(rollouts)
    found, metrics = gradient_of(rollouts, advantages, UpdateSettings(tokens_per_microbatch=tokens), ClippedSurrogate())
    expected, loss = direct_gradient(rollouts, advantages)
    assert metrics["loss"] == pytest.approx(loss, abs=1e-6)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-3, msg=lambda m, name=name: f"{name}: {m}")


def test_kl_in_the_loss_reaches_rows_without_advantage():
    rollouts = make_rollouts()
    advantages = Advantages(torch.zeros(rollouts.tokens.shape), torch.ones(len(rollouts), dtype=torch.bool))
    reference = torch.where(rollouts.mask, -5.0, 0.0)
    settings = UpdateSettings(kl_coefficient=0.1, kl_estimator="k2")
    found, metrics = gradient_of(rollouts, advantages, settings, ClippedSurrogate(), reference)
    assert metrics["kl"] > 0
    assert metrics["loss"] == pytest.approx(0.1 * metrics["kl"], rel=1e-4)
    assert max(float(g.abs().max()) for g in found.values()) > 0
    nothing, _ = gradient_of(rollouts, advantages, UpdateSettings(), ClippedSurrogate())
    assert not nothing


def test_microbatches_hold_every_row_once_within_the_budget():
    rollouts = make_rollouts(rows=30)
    rows = torch.arange(30)
    for budget in (1, 10, 40, 10_000):
        batches = microbatches(rollouts, rows, budget, 100)
        assert sorted(torch.cat(batches).tolist()) == list(range(30))
        for batch in batches:
            cost = int(rollouts.lengths[batch].sum() + rollouts.prompt_lengths[rollouts.group[batch].unique()].sum())
            assert len(batch) == 1 or cost <= budget


def test_a_loss_that_is_not_finite_names_the_rollout_and_leaves_the_weights():
    rollouts = make_rollouts()
    advantages = make_advantages(rollouts)
    values = advantages.values.clone()
    values[8] = float("nan")
    policy = make_policy()
    before = {n: p.detach().clone() for n, p in policy.model.named_parameters()}
    optimizer = Optimizer(AdamW(), policy.model, 10)
    context = Context(None, torch.Generator().manual_seed(0), policy=policy)
    broken = dataclasses.replace(advantages, values=values)
    with pytest.raises(TrainingStopped, match="rollout 8"):
        update(policy, optimizer, rollouts, broken, ClippedSurrogate(), UpdateSettings(), context)
    for name, parameter in policy.model.named_parameters():
        assert torch.equal(parameter, before[name])


def test_several_minibatches_and_epochs_take_that_many_optimizer_steps():
    rollouts = make_rollouts()
    policy = make_policy()
    optimizer = Optimizer(AdamW(lr=1e-3), policy.model, 10)
    context = Context(None, torch.Generator().manual_seed(0), policy=policy)
    steps = []
    inner = optimizer.step
    optimizer.step = lambda step: steps.append(step) or inner(step)
    settings = UpdateSettings(epochs=3, minibatches=2)
    update(policy, optimizer, rollouts, make_advantages(rollouts), ClippedSurrogate(), settings, context)
    assert len(steps) == 6


def test_bfloat16_weights_move_through_float32_masters():
    # One step of 1e-4 is far below the spacing of bfloat16 near 1 (2^-8); fifty of them are not.
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    module = torch.nn.Module()
    module.register_parameter("weight", weight)
    optimizer = Optimizer(AdamW(lr=1e-4, max_gradient_norm=None), module, 100)
    for _ in range(50):
        weight.grad = torch.ones_like(weight)
        optimizer.step(0)
    assert optimizer.masters[0].item() == pytest.approx(1 - 50e-4, abs=1e-4)
    assert weight.item() < 1


def test_schedules():
    linear = AdamW(lr=1.0, schedule="linear", warmup_steps=4)
    assert [linear.learning_rate(s, 14) for s in (0, 1, 3, 4, 9, 14)] == pytest.approx([0.25, 0.5, 1.0, 1.0, 0.5, 0.0])
    cosine = AdamW(lr=2.0, schedule="cosine")
    assert cosine.learning_rate(5, 10) == pytest.approx(1.0)


def test_a_foreign_token_has_the_credit_of_the_next_sampled_one_times_its_factor():
    """By hand: the gradient of -sum(w A log p) over sampled tokens, and of foreign ones with ratio 1."""
    rollouts = make_rollouts(rows=6, group_size=3)
    lengths = torch.full((6,), 4)
    width = 4
    tokens = torch.randint(4, 90, (6, width), generator=torch.Generator().manual_seed(5))
    mask = torch.tensor([[False, False, True, True]]).expand(6, 4).clone()
    foreign = torch.tensor([[0.5, 0.0, 0.0, 0.0]]).expand(6, 4).clone()
    rollouts = dataclasses.replace(
        rollouts, tokens=tokens, mask=mask, lengths=lengths, foreign=foreign,
        logprobs=torch.zeros(6, width), entropies=torch.zeros(6, width), steps=torch.full((6, width), -1),
        turns=torch.zeros((6, width), dtype=torch.int64),
    )  # fmt: skip
    values = torch.tensor([1.0, -1.0, 2.0, 0.5, 0.0, -0.5])[:, None] * mask
    advantages = Advantages(values, torch.ones(6, dtype=torch.bool))
    policy = make_policy()
    from scorecraft.lm.logprobs import token_logprobs
    from scorecraft.objectives.parts import Reinforce

    found, _ = gradient_of(rollouts, advantages, UpdateSettings(), Reinforce())
    policy = make_policy()
    everything = dataclasses.replace(rollouts, mask=torch.ones_like(mask), foreign=None)
    logprobs, _ = token_logprobs(policy, everything)
    # 12 sampled tokens; the first token of each row counts half of its row's advantage, the second not at all.
    row = torch.tensor([1.0, -1.0, 2.0, 0.5, 0.0, -0.5])
    loss = -(logprobs * torch.cat((0.5 * row[:, None], torch.zeros(6, 1), row[:, None].expand(6, 2)), 1)).sum() / 12
    loss.backward()
    for name, parameter in policy.model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-6, rtol=1e-4, msg=name)


def test_foreign_weights_go_with_their_rows():
    rollouts = make_rollouts()
    foreign = torch.rand(rollouts.mask.shape) * ~rollouts.mask
    with_foreign = dataclasses.replace(rollouts, foreign=foreign)
    picked = with_foreign.select(torch.tensor([3, 1]))
    assert picked.foreign.equal(foreign[[3, 1]])
    joined = Rollouts.concatenate([rollouts, with_foreign])
    assert joined.foreign[: len(rollouts)].eq(0).all()
    assert joined.foreign[len(rollouts) :].equal(foreign)
