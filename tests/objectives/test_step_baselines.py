"""Leave-one-out over tokens: the published values, groups in any order, and bad input."""

from __future__ import annotations

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.objectives.parts import LeaveOneOutTokens
from scorecraft.objectives.step_baselines import masked_whiten, pure_advantages, token_rewards_of_returns
from scorecraft.scores import RewardTable

U = torch.tensor([[0.0, 0.2, 0.0, 0.4], [0.0, -0.3, 0.0, 0.0]])
MASK = torch.tensor([[True, True, True, True], [True, True, False, False]])
ENDS = torch.tensor([[False, True, False, True], [False, True, False, False]])
GROUP = torch.tensor([0, 0])


def close(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-5, rtol=0)


def test_the_baseline_of_returns():
    # Returns sum to 2.0 and -0.6; over (K - 1) L = 4 that is 0.5 and -0.15, each for the other row.
    advantages, returns = pure_advantages(U, MASK, GROUP, whiten=False)
    close(returns, [[0.6, 0.6, 0.4, 0.4], [-0.3, -0.3, 0.0, 0.0]])
    close(advantages, [[0.75, 0.75, 0.55, 0.55], [-0.8, -0.8, 0.0, 0.0]])


def test_the_baseline_of_tokens():
    # The other's reward per token: -0.3 / 2 and 0.6 / 4; steps of 2 and 2 tokens, and of 2.
    advantages, _ = pure_advantages(U, MASK, GROUP, whiten=False, baseline="token-mean", step_end=ENDS)
    close(advantages, [[1.2, 1.2, 0.7, 0.7], [-0.6, -0.6, 0.0, 0.0]])


def test_the_baseline_of_steps():
    # The other's reward per step: -0.3 / 1 and 0.6 / 2: 0.2 + 0.3, 0.4 + 0.3, and -0.3 - 0.3.
    advantages, _ = pure_advantages(U, MASK, GROUP, whiten=False, baseline="step-mean", step_end=ENDS)
    close(advantages, [[1.2, 1.2, 0.7, 0.7], [-0.6, -0.6, 0.0, 0.0]])


def test_a_verifiable_reward_stands_on_the_last_token_and_is_centred_by_the_others():
    nothing = torch.zeros_like(U)
    vr = torch.tensor([1.0, 0.0])
    advantages, returns = pure_advantages(nothing, MASK, GROUP, vr=vr, whiten=False)
    close(returns, [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    # The first row's returns sum to 4, which over 4 is 1 for the second.
    close(advantages, [[1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, 0.0, 0.0]])
    advantages, _ = pure_advantages(
        nothing, MASK, GROUP, vr=vr, vr_coef=0.5, whiten=False, baseline="token-mean", step_end=ENDS
    )
    close(advantages, [[0.5, 0.5, 0.5, 0.5], [-0.5, -0.5, 0.0, 0.0]])
    unknown, _ = pure_advantages(nothing, MASK, GROUP, vr=vr, has_answer=torch.tensor([False, False]), whiten=False)
    assert unknown.eq(0).all()


def test_a_penalty_counts_from_its_token_on():
    kl = torch.tensor([[0.0, 100.0, 0.0, 0.0], [0.0, 0.0, 7.0, 0.0]])
    _, returns = pure_advantages(torch.zeros_like(U), MASK, GROUP, kl=kl, kl_coef=1e-3, whiten=False)
    close(returns, [[-0.1, -0.1, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])


def test_whitening_by_hand_and_where_nothing_differs():
    # Mean 1, unbiased variance 2 of (0, 2): -1 / sqrt 2 and 1 / sqrt 2.
    found = masked_whiten(torch.tensor([[0.0, 2.0, 9.0]]), torch.tensor([[True, True, False]]))
    close(found, [[-(0.5**0.5), 0.5**0.5, 0.0]])
    equal, _ = pure_advantages(torch.zeros_like(U), MASK, GROUP)
    assert equal.eq(0).all()
    assert masked_whiten(torch.tensor([[3.0]]), torch.tensor([[True]])).eq(0).all()


@given(st.permutations(range(4)), st.sampled_from(["verl", "token-mean", "step-mean"]))
def test_a_groups_order_does_not_matter(order, baseline):
    torch.manual_seed(3)
    rewards = torch.randn(4, 4)
    mask, ends, group = MASK.repeat(2, 1), ENDS.repeat(2, 1), torch.tensor([0, 0, 0, 1])[[0, 1, 2, 2]]
    given_order = list(order)
    whole, _ = pure_advantages(rewards * mask, mask, group, baseline=baseline, step_end=ends)
    moved, _ = pure_advantages(
        (rewards * mask)[given_order], mask[given_order], group[given_order], baseline=baseline,
        step_end=ends[given_order],
    )  # fmt: skip
    torch.testing.assert_close(moved, whole[given_order], atol=1e-5, rtol=1e-5)


def test_token_rewards_are_taken_back_from_returns_across_gaps():
    mask = torch.tensor([[True, False, True, True, False]])
    returns = torch.tensor([[3.0, 0.0, 2.0, 0.5, 0.0]])
    assert token_rewards_of_returns(returns, mask).tolist() == [[1.0, 0.0, 1.5, 0.5, 0.0]]


def test_bad_input_is_named():
    with pytest.raises(ScorecraftError, match="rollout 0 is alone"):
        pure_advantages(U, MASK, torch.tensor([0, 1]))
    with pytest.raises(ScorecraftError, match="needs step_end"):
        pure_advantages(U, MASK, GROUP, baseline="token-mean")
    with pytest.raises(ScorecraftError, match="unknown baseline"):
        inspect.unwrap(pure_advantages)(U, MASK, GROUP, baseline="mean", step_end=ENDS)


def test_the_part_leaves_out_what_has_no_reward(make_rollouts):
    rollouts = make_rollouts([[1, 1], [1, 1], [1, 1]], [0, 0, 0], steps=[[0, 1], [0, 1], [0, 1]])
    table = RewardTable(torch.zeros(3), torch.tensor([True, True, False]), {})
    returns = torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    found = LeaveOneOutTokens(whiten=False)(returns, rollouts, table, Context(None, torch.Generator()))
    assert found.keep.tolist() == [True, True, False]
    assert found.values.tolist() == [[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0]]
