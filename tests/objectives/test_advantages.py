import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.objectives import (
    batch_standardized_advantages,
    group_mean_advantages,
    group_standardized,
    group_standardized_advantages,
    leave_one_out,
    leave_one_out_advantages,
    no_baseline,
    token_advantages,
)
from scorecraft.scores import RewardTable

REWARD = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.5])
GROUP = torch.tensor([0, 0, 0, 1, 1])
VALID = torch.ones(5, dtype=torch.bool)
CONTEXT = Context(task=None, generator=torch.Generator())


def close(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(actual, torch.tensor(expected), atol=tolerance, rtol=0)


def test_group_mean_by_hand():
    close(group_mean_advantages(REWARD, GROUP, VALID), [2 / 3, -1 / 3, -1 / 3, 0.25, -0.25])


def test_leave_one_out_by_hand():
    close(leave_one_out_advantages(REWARD, GROUP, VALID), [1.0, -0.5, -0.5, 0.5, -0.5])


@pytest.mark.parametrize("ddof", [0, 1])
def test_group_standardized_by_hand(ddof):
    # group 0: squares 4/9 + 1/9 + 1/9 = 6/9; group 1: 2 * 1/16
    first, second = math.sqrt(6 / 9 / (3 - ddof)) + 0.01, math.sqrt(1 / 8 / (2 - ddof)) + 0.01
    close(
        group_standardized_advantages(REWARD, GROUP, VALID, epsilon=0.01, ddof=ddof),
        [2 / 3 / first, -1 / 3 / first, -1 / 3 / first, 0.25 / second, -0.25 / second],
    )


def test_batch_deviation_keeps_the_group_mean():
    # batch mean 0.5, squares .25 * 4 + 0 = 1, sample deviation sqrt(1/4) = .5
    close(
        group_standardized_advantages(REWARD, GROUP, VALID, epsilon=0.0, deviation="batch"),
        [4 / 3, -2 / 3, -2 / 3, 0.5, -0.5],
    )
    close(batch_standardized_advantages(REWARD, VALID, epsilon=0.0), [1.0, -1.0, -1.0, 1.0, 0.0])


def test_invalid_rows_stay_out_of_the_statistics():
    reward = torch.tensor([1.0, 0.0, 100.0, 1.0, 0.5])
    valid = torch.tensor([True, True, False, True, True])
    close(group_mean_advantages(reward, GROUP, valid), [0.5, -0.5, 0.0, 0.25, -0.25])
    close(leave_one_out_advantages(reward, GROUP, valid), [1.0, -1.0, 0.0, 0.5, -0.5])
    assert batch_standardized_advantages(reward, valid)[2] == 0.0


@pytest.mark.parametrize(("singleton", "expected"), [("zero", 0.0), ("raw", 0.7)])
def test_group_of_one_valid_rollout(singleton, expected):
    reward, group = torch.tensor([0.7, 0.2]), torch.tensor([4, 4])
    valid = torch.tensor([True, False])
    for function in (group_mean_advantages, leave_one_out_advantages):
        close(function(reward, group, valid, singleton=singleton), [expected, 0.0])
    close(group_standardized_advantages(reward, group, valid, epsilon=0.0, singleton=singleton), [expected, 0.0])


def test_equal_rewards_give_no_advantage_whatever_the_credit():
    reward, group, valid = torch.full((3,), 0.1), torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.bool)
    returns = torch.tensor([[0.1, 0.05], [0.1, 0.1], [0.1, -0.3]])
    mask = torch.ones(3, 2, dtype=torch.bool)
    values = token_advantages(returns, *group_standardized(reward, group, valid, epsilon=1e-6), mask, valid)
    assert values.eq(0).all()


def test_token_form_subtracts_and_divides_on_the_mask_only():
    returns = torch.tensor([[1.0, 3.0, 9.0], [2.0, 2.0, 2.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    values = token_advantages(
        returns, torch.tensor([1.0, 0.0]), torch.tensor([2.0, 1.0]), mask, torch.tensor([True, False])
    )
    close(values, [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])


def test_no_baseline_gives_the_returns():
    returns, mask = torch.tensor([[0.5, 0.25]]), torch.ones(1, 2, dtype=torch.bool)
    valid = torch.ones(1, dtype=torch.bool)
    assert token_advantages(returns, *no_baseline(valid), mask, valid).equal(returns)


@st.composite
def batches(draw):
    rows = draw(st.integers(1, 8))
    number = st.floats(-4, 4, width=16)
    return (
        torch.tensor(draw(st.lists(number, min_size=rows, max_size=rows)), dtype=torch.float32),
        torch.tensor(draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))),
        torch.tensor(draw(st.lists(st.booleans(), min_size=rows, max_size=rows))),
        torch.tensor(draw(st.permutations(range(rows)))),
    )


@given(batches())
def test_permuting_rollouts_permutes_advantages(batch):
    reward, group, valid, order = batch
    for function in (group_mean_advantages, group_standardized_advantages, leave_one_out_advantages):
        there = function(reward, group, valid)[order]
        torch.testing.assert_close(function(reward[order], group[order], valid[order]), there, atol=1e-5, rtol=1e-5)


@given(batches(), st.floats(-5, 5, width=16))
def test_shifting_all_rewards_changes_nothing(batch, shift):
    reward, group, valid, _ = batch
    for function in (group_mean_advantages, leave_one_out_advantages):
        torch.testing.assert_close(
            function(reward + shift, group, valid), function(reward, group, valid), atol=1e-4, rtol=1e-4
        )


@given(batches())
def test_group_mean_and_leave_one_out_differ_by_a_factor(batch):
    reward, group, valid, _ = batch
    size = torch.stack([((group == g) & valid).sum() for g in group]).float()
    expected = group_mean_advantages(reward, group, valid) * size / (size - 1).clamp(min=1)
    torch.testing.assert_close(leave_one_out_advantages(reward, group, valid), expected, atol=1e-5, rtol=1e-5)
    assert torch.isfinite(leave_one_out(reward, group, valid).baseline).all()


PER_TURN = ("dual-level",)


@pytest.mark.parametrize("name", parts.names("advantage"))
def test_every_part_is_finite_keeps_the_valid_and_stays_on_the_mask(name, make_rollouts):
    rollouts = make_rollouts([[1, 0, 1], [1], [], [1, 1]], [0, 0, 1, 1], padding=2)
    valid = torch.tensor([True, True, False, True])
    total = torch.tensor([1.0, 0.0, 0.0, 1.0])
    returns = rollouts.mask * total[:, None]
    advantages = parts.find("advantage", name)()(returns, rollouts, RewardTable(total, valid, {}), CONTEXT)
    assert advantages.keep.equal(valid)
    assert torch.isfinite(advantages.values).all()
    assert advantages.values[~rollouts.mask].eq(0).all()
    assert advantages.values[0, 0] > 0
    # The token between them is not the policy's, so they are in two turns.
    if name not in PER_TURN:
        assert advantages.values[0, 2] == advantages.values[0, 0]


def test_batch_standardized_over_tokens_weighs_long_rollouts(make_rollouts):
    # token returns 1, 1, 1, 0: mean .75, sample deviation sqrt((3/16 + 9/16) / 3) = .5
    rollouts = make_rollouts([[1, 1, 1], [1]])
    total = torch.tensor([1.0, 0.0])
    part = parts.find("advantage", "batch-standardized")(over="token", epsilon=0.0)
    values = part(
        rollouts.mask * total[:, None], rollouts, RewardTable(total, torch.ones(2, dtype=torch.bool), {}), CONTEXT
    )
    close(values.values, [[0.5, 0.5, 0.5], [-1.5, 0.0, 0.0]])
