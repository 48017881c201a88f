"""What supervised training learns from, in what order, and how fast."""

from __future__ import annotations

import math
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError, TrainingStopped
from scorecraft.lm.policy import Policy
from scorecraft.lm.supervised import (
    Example,
    SupervisedSettings,
    SupervisedTrainer,
    collate,
    learning_rate,
    shuffled_batches,
    supervised_loss,
    trace_example,
    train_supervised,
)
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer


@pytest.fixture
def policy():
    return Policy(tunnel_model(1, 32, 2), tunnel_tokenizer(), "small")


def learned_text(policy, example):
    return "".join(policy.token_text(t) for t, on in zip(example.tokens, example.learned, strict=True) if on)


def whole_text(policy, example):
    return "".join(policy.token_text(token) for token in example.tokens)


def test_one_turn_ends_with_a_learned_end_token(policy):
    example = trace_example(policy, "1+1=?\n", [("1+1=2\n", True), ("#2", True)])
    assert whole_text(policy, example) == "<bos>1+1=?\n1+1=2\n#2<eos>"
    assert learned_text(policy, example) == "1+1=2\n#2<eos>"


def test_tool_output_is_not_learned_and_a_call_has_no_end_token(policy):
    segments = [("[add(1,1)]", True), ("=2\n", False), ("#2", True)]
    example = trace_example(policy, "1+1=?\n", segments, tool_call_end="]")
    assert whole_text(policy, example) == "<bos>1+1=?\n[add(1,1)]=2\n#2<eos>"
    assert learned_text(policy, example) == "[add(1,1)]#2<eos>"


def test_each_turn_ends_before_the_user_speaks(policy):
    example = trace_example(policy, "1+1=?\n", [("#3", True), ("\nCheck it.\n", False), ("#2", True)])
    assert whole_text(policy, example) == "<bos>1+1=?\n#3<eos>\nCheck it.\n#2<eos>"
    assert learned_text(policy, example) == "#3<eos>#2<eos>"


def test_traces_without_the_policy_or_too_long_are_refused(policy):
    with pytest.raises(ScorecraftError, match="nothing to learn"):
        trace_example(policy, "1", [("2", False)])
    with pytest.raises(ScorecraftError, match="trace of 514 tokens does not fit the 512"):
        trace_example(policy, "", [("1" * 512, True)])


def test_collate_pads_on_the_right_and_never_learns_padding():
    batch = collate([Example((5, 6), (False, True)), Example((7, 8, 9), (False, False, True))], pad_id=0)
    assert batch.tokens.tolist() == [[5, 6, 0], [7, 8, 9]]
    assert batch.learned.tolist() == [[False, True, False], [False, False, True]]


@given(st.lists(st.integers(2, 30), min_size=1, max_size=60), st.integers(1, 7), st.integers(1, 4), st.integers(0, 9))
def test_buckets_hold_every_example_once(lengths, batch_size, pool, seed):
    examples = [Example((100 + i, *[1] * (n - 1)), (True,) * n) for i, n in enumerate(lengths)]
    batches = shuffled_batches(examples, batch_size, 0, Random(seed))
    firsts = [row[0] for batch in batches for row in batch.tokens.tolist()]
    assert sorted(firsts) == [100 + i for i in range(len(lengths))]
    assert sum(int(batch.learned.sum()) for batch in batches) == sum(lengths)
    assert all(len(batch.tokens) <= batch_size for batch in batches)


def test_loss_of_a_model_that_knows_nothing_is_the_logarithm_of_the_vocabulary(policy):
    with torch.no_grad():
        policy.model.get_input_embeddings().weight.zero_()  # tied, so every logit is 0
    batch = collate([trace_example(policy, "1+1=?\n", [("#2", True)])], 0)
    assert supervised_loss(policy, batch).item() == pytest.approx(math.log(len(policy.tokenizer)), abs=1e-6)


def test_loss_is_the_mean_over_learned_tokens_alone(policy):
    long = trace_example(policy, "1+2-3=?\n", [("1+2=3\n3-3=0\n#0", True)])
    short = trace_example(policy, "7=?\n", [("#7", True)])
    logprobs = []
    for example in (long, short):
        table = torch.log_softmax(policy.model(torch.tensor([example.tokens])).logits[0], -1)
        logprobs += [
            table[i - 1, t] for i, (t, on) in enumerate(zip(example.tokens, example.learned, strict=True)) if on
        ]
    expected = -torch.stack(logprobs).mean().detach()
    batch = collate([long, short], 0)
    assert supervised_loss(policy, batch).item() == pytest.approx(float(expected), abs=1e-5)
    repadded = collate([long, short], 50)
    assert supervised_loss(policy, repadded).item() == pytest.approx(float(expected), abs=1e-5)


def test_inserted_text_gets_no_gradient_as_a_target(policy):
    # One learned token, so the loss is exactly its negative log-probability whatever is inserted after it.
    one = Example((1, 5, 9, 9, 9), (False, True, False, False, False))
    two = Example((1, 5, 30, 31, 32), (False, True, False, False, False))
    losses = [supervised_loss(policy, collate([example], 0)).item() for example in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_learning_rate_warms_up_falls_and_rests_on_its_floor():
    settings = SupervisedSettings(steps=30, learning_rate=1.0, warmup_steps=10, floor=0.2)
    assert learning_rate(settings, 0) == pytest.approx(0.1)
    assert learning_rate(settings, 9) == pytest.approx(1.0)
    assert learning_rate(settings, 20) == pytest.approx(0.6)  # halfway down: 0.2 + 0.8 / 2
    assert learning_rate(settings, 30) == pytest.approx(0.2)
    assert learning_rate(settings, 500) == pytest.approx(0.2)


def test_training_learns_a_trace_by_heart_and_repeats_bit_for_bit():
    def run():
        policy = Policy(tunnel_model(1, 32, 2), tunnel_tokenizer(), "small")
        batch = collate([trace_example(policy, "1+1=?\n", [("1+1=2\n#2", True)])], 0)
        settings = SupervisedSettings(steps=150, learning_rate=1e-2, warmup_steps=5)
        losses = train_supervised(policy, [batch] * 150, settings)
        return policy, losses

    policy, losses = run()
    assert losses[0] > 4.0
    assert losses[-1] < 0.1
    tokens = torch.tensor([policy.encode_prompt("1+1=?\n")])
    out = policy.model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=12)
    assert policy.decode(out[0, tokens.shape[1] :].tolist()) == "1+1=2\n#2"
    assert not policy.model.training
    again, losses_again = run()
    assert losses == losses_again
    for weight, other in zip(policy.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(weight, other)


def test_a_loss_that_is_not_finite_stops_before_the_step(policy):
    with torch.no_grad():
        policy.model.model.norm.weight.fill_(float("nan"))
    before = [weight.clone() for weight in policy.model.parameters()]
    trainer = SupervisedTrainer(policy, SupervisedSettings())
    with pytest.raises(TrainingStopped, match="supervised loss is nan at step 0"):
        trainer.step(collate([trace_example(policy, "1", [("2", True)])], 0))
    for weight, old in zip(policy.model.parameters(), before, strict=True):
        assert torch.equal(weight.nan_to_num(), old.nan_to_num())
