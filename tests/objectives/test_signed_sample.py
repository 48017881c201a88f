"""Signed samples: who is kept with which advantage, the gradient of one sample, and the identity that holds."""

from __future__ import annotations

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.lm.optimizer import AdamW, Optimizer
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.lm.update import UpdateSettings, update
from scorecraft.objectives.aggregation import aggregation_weights
from scorecraft.objectives.parts import ClippedSurrogate, SignedSample
from scorecraft.objectives.signed_sample import broadcast_to_tokens, signed_sample_advantages
from scorecraft.problem import Problem
from scorecraft.sampling.parts import SingleTurn
from scorecraft.scores import RewardTable

R = torch.tensor([1.0, 0.0, 0.0, 1.0])


def test_who_is_kept_with_which_advantage():
    values, keep = signed_sample_advantages(R, "weighted", 0.1)
    torch.testing.assert_close(values, torch.tensor([0.1, -1.0, -1.0, 0.1]))
    assert keep.all()
    values, keep = signed_sample_advantages(R, "nsr")
    assert (values[keep].tolist(), keep.tolist()) == ([-1.0, -1.0], [False, True, True, False])
    values, keep = signed_sample_advantages(R, "psr")
    assert (values[keep].tolist(), keep.tolist()) == ([1.0, 1.0], [True, False, False, True])
    assert signed_sample_advantages(R.bool(), "psr")[1].equal(keep)
    assert signed_sample_advantages(2 * R - 1, "psr", reward_range="pm1")[1].equal(keep)


def test_each_subset_has_its_own_divisor():
    mask = torch.tensor([[True, True], [True, False], [True, True], [True, True]])
    _, keep = signed_sample_advantages(R, "nsr")
    # Rows 1 and 2 have 3 tokens.
    assert aggregation_weights(mask, keep).sum(1).tolist() == pytest.approx([0, 1 / 3, 2 / 3, 0])


def test_a_wrong_sample_hands_its_mass_to_the_others_by_their_prior():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().requires_grad_()
    (-1.0 * logits.log_softmax(0)[1]).backward()
    direction = logits.grad
    torch.testing.assert_close(direction, torch.tensor([0.5, -0.7, 0.15, 0.05]))
    after = (logits.detach() + direction).softmax(0)
    torch.testing.assert_close(after, torch.tensor([0.686867, 0.124128, 0.145208, 0.043797]), atol=1e-6, rtol=0)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6), st.data())
def test_with_a_common_divisor_the_expected_gradients_agree(raw, data):
    logits = torch.tensor(raw, dtype=torch.float64)
    right = torch.tensor([data.draw(st.booleans()) for _ in raw])
    p = logits.softmax(0)
    score = torch.eye(len(raw), dtype=torch.float64) - p  # row y: the gradient of log p_y

    def expected(mode):
        values, keep = signed_sample_advantages(right, mode)
        return ((p * values.double() * keep)[:, None] * score).sum(0)

    # The sum of p_y grad log p_y is 0, so a baseline of 1 changes nothing.
    torch.testing.assert_close(expected("nsr"), expected("psr"), atol=1e-7, rtol=0)
    torch.testing.assert_close(expected("weighted"), 1.1 * expected("psr"), atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("rewards", "options", "said"),
    [
        ([0.0, 0.5], {}, "0.5 in rollout 1"),
        ([0.0, -1.0], {}, "need reward_range 'pm1'"),
        ([0.0, float("nan")], {}, "nan in rollout 1"),
        ([0.0], {"reward_range": "pm1"}, "expected rewards of -1 or 1"),
        ([0.0], {"positive_weight": -0.1}, "at least 0"),
        ([0.0], {"positive_weight": float("nan")}, "at least 0"),
        ([0.0], {"mode": "both"}, "unknown mode 'both'"),
        ([0.0], {"reward_range": "0-1"}, "unknown reward_range"),
    ],
)
def test_bad_input_is_named(rewards, options, said):
    with pytest.raises(ScorecraftError, match=said):
        # unwrap: the users' case, without the type checker that tests install
        inspect.unwrap(signed_sample_advantages)(torch.tensor(rewards), **{"mode": "weighted", **options})


def test_a_large_weight_is_warned_of():
    with pytest.warns(ScorecraftWarning, match="above 1"):
        signed_sample_advantages(R, "weighted", 2.0)


def test_every_token_of_a_rollout_gets_its_advantage():
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert broadcast_to_tokens(torch.tensor([2.0, -1.0]), mask).tolist() == [[2.0, 2.0, 0.0], [-1.0, 0.0, 0.0]]
    with pytest.raises(ScorecraftError, match="rollout 1 has no sampled token"):
        broadcast_to_tokens(torch.tensor([2.0, -1.0]), mask & torch.tensor([[True], [False]]))


def test_a_batch_without_a_kept_row_moves_nothing():
    policy = Policy(tunnel_model(layers=1, width=16, heads=2), tunnel_tokenizer(), "small")
    context = Context(_Task(), torch.Generator().manual_seed(0), policy=policy)
    rollouts = SingleTurn(group_size=2, max_new_tokens=6)(policy, [Problem("1+1=?", "2")], context)
    table = RewardTable(torch.ones(2), torch.ones(2, dtype=torch.bool), {})
    advantages = SignedSample(mode="nsr")(torch.zeros(rollouts.mask.shape), rollouts, table, context)
    assert not advantages.keep.any()
    before = [weight.clone() for weight in policy.model.parameters()]
    optimizer = Optimizer(AdamW(lr=1e-2), policy.model, 1)
    metrics = update(policy, optimizer, rollouts, advantages, ClippedSurrogate(), UpdateSettings(), context)
    assert metrics["loss"] == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))


class _Task:
    name = "none"
    tool_call_end = None
    step_delimiter = "\n"

    def check_steps(self, problem, completion):
        return []
