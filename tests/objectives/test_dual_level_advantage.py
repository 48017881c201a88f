"""Advantages on two levels: values by hand, a loop over lists, turns that no other rollout has, and bad tables."""

from __future__ import annotations

import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.objectives.dual_level_advantage import (
    broadcast_turns,
    dual_level_advantages,
    turn_rewards_of_returns,
)
from scorecraft.turns import policy_turns


def table(rows, padding=0, fill=0.0):
    width = max(map(len, rows), default=0) + padding
    values = [[*row, *[fill] * (width - len(row))] for row in rows]
    mask = [[True] * len(row) + [False] * (width - len(row)) for row in rows]
    shape = (len(rows), width)
    return torch.tensor(values).reshape(shape).float(), torch.tensor(mask, dtype=torch.bool).reshape(shape)


def close(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, torch.tensor(expected), atol=tolerance, rtol=0)


PAIR = table([[1.0, 0.5, 1.0], [0.0, 0.5]])
SAME = torch.tensor([0, 0])
HALF = 0.5**0.5


def test_values_by_hand():
    # D = [2.26, 1.4, 1] and [.45, .5]; two values are sqrt(1/2) deviations from their mean; the third turn is alone.
    close(dual_level_advantages(*PAIR, SAME), [[HALF, HALF, (1 + HALF) / 2], [-HALF, -HALF, 0.0]])
    close(dual_level_advantages(*PAIR, SAME, singleton="zero"), [[HALF, HALF, HALF / 2], [-HALF, -HALF, 0.0]])
    # Only one level: D as it is in the third turn, or 0; the rollout's in every turn.
    close(dual_level_advantages(*PAIR, SAME, weight=1.0), [[HALF, HALF, 1.0], [-HALF, -HALF, 0.0]])
    close(dual_level_advantages(*PAIR, SAME, weight=0.0), [[HALF] * 3, [-HALF, -HALF, 0.0]])


def test_the_discount_counts_turns():
    rows = table([[0.0, 0.0, 1.0]])
    close(dual_level_advantages(*rows, torch.tensor([0]), weight=1.0), [[0.81, 0.9, 1.0]])
    close(dual_level_advantages(*rows, torch.tensor([0]), weight=1.0, discount=0.0), [[0.0, 0.0, 1.0]])
    # A gap takes no time.
    gap = torch.tensor([[True, False, True]])
    close(dual_level_advantages(rows[0], gap, torch.tensor([0]), weight=1.0), [[0.9, 0.0, 1.0]])


def test_a_group_of_one_and_a_rollout_without_turns():
    rows = table([[1.0, 0.5], [], [2.0]])
    found = dual_level_advantages(*rows, torch.tensor([0, 1, 2]))
    # D = [1.45, .5] with R = 1.5; and 2 with 2.
    close(found, [[1.475, 1.0], [0.0, 0.0], [2.0, 0.0]])
    assert dual_level_advantages(*rows, torch.tensor([0, 1, 2]), singleton="zero").eq(0).all()
    nothing = torch.zeros(2, 0)
    assert dual_level_advantages(nothing, nothing.bool(), SAME).shape == (2, 0)
    empty = torch.tensor([], dtype=torch.int64)
    assert dual_level_advantages(nothing[:0], nothing[:0].bool(), empty).shape == (0, 0)


def test_equal_rollouts_get_nothing():
    assert dual_level_advantages(*table([[0.3, 0.7]] * 3), torch.zeros(3, dtype=torch.int64)).eq(0).all()


def test_rollouts_that_do_not_count_are_in_no_mean():
    rows = table([[1.0, 0.5, 1.0], [9.0, 9.0, 9.0], [0.0, 0.5]])
    found = dual_level_advantages(*rows, torch.tensor([0, 0, 0]), torch.tensor([True, False, True]))
    close(found, [[HALF, HALF, (1 + HALF) / 2], [0.0] * 3, [-HALF, -HALF, 0.0]])


def by_lists(rows, groups, weight=0.5, discount=0.9, epsilon=1e-6):
    """The definition, list by list."""
    discounted = []
    for row in rows:
        back, ahead = [], 0.0
        for reward in reversed(row):
            ahead = reward + discount * ahead
            back.insert(0, ahead)
        discounted.append(back)

    def standardized(value, others):
        mean, deviation = (statistics.mean(others), statistics.stdev(others)) if len(others) > 1 else (0.0, 1.0)
        return (value - mean) / (deviation + epsilon) if deviation > 1e-9 else 0.0

    out = []
    for row, group in enumerate(groups):
        peers = [other for other, theirs in enumerate(groups) if theirs == group]
        of_rollout = standardized(sum(rows[row]), [sum(rows[peer]) for peer in peers])
        out.append(
            [
                weight * standardized(value, [discounted[p][turn] for p in peers if turn < len(rows[p])])
                + (1 - weight) * of_rollout
                for turn, value in enumerate(discounted[row])
            ]
        )
    return out


reward = st.sampled_from([0.0, 0.25, 0.625, 1.0, -0.5])
batches = st.lists(st.tuples(st.integers(0, 2), st.lists(reward, max_size=4)), min_size=1, max_size=7)


@given(batches, st.integers(0, 2), st.floats(0, 1))
def test_it_is_the_definition_whatever_the_padding(batch, padding, weight):
    groups, rows = [group for group, _ in batch], [row for _, row in batch]
    values, mask = table(rows, padding, fill=7.0)
    found = dual_level_advantages(values, mask, torch.tensor(groups), weight=weight)
    for row, expected in enumerate(by_lists(rows, groups, weight)):
        assert found[row, : len(expected)].tolist() == pytest.approx(expected, abs=2e-3)
        assert found[row, len(expected) :].eq(0).all()


@given(batches, st.randoms())
def test_the_order_of_rollouts_does_not_matter(batch, random):
    order = list(range(len(batch)))
    random.shuffle(order)
    values, mask = table([row for _, row in batch])
    groups = torch.tensor([group for group, _ in batch])
    found = dual_level_advantages(values, mask, groups)
    shuffled = dual_level_advantages(values[order], mask[order], groups[order])
    torch.testing.assert_close(shuffled, found[order], atol=1e-4, rtol=1e-4)


def test_values_go_to_the_tokens_of_their_turn():
    turns = torch.tensor([[0, 0, -1, 1, -1], [0, -1, 1, -1, 2]])
    values, mask = table([[1.0, 2.0], [3.0, 4.0, 5.0]])
    close(broadcast_turns(values, mask, turns), [[1.0, 1.0, 0.0, 2.0, 0.0], [3.0, 0.0, 4.0, 0.0, 5.0]])
    with pytest.raises(ScorecraftError, match="rollout 1: tokens of 3 turns, but values of 2"):
        broadcast_turns(*table([[1.0, 2.0], [3.0, 4.0]]), turns)
    with pytest.raises(ScorecraftError, match="rollout 0: tokens of 2 turns, but values of 3"):
        broadcast_turns(*table([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]), turns)
    none = torch.full((1, 3), -1)
    assert broadcast_turns(*table([[]]), none).tolist() == [[0.0, 0.0, 0.0]]


def test_turn_rewards_come_back_from_returns():
    mask = torch.tensor([[True, True, False, True, False, True], [True, False, False, False, False, False]])
    turns = torch.tensor([[0, 0, -1, 1, -1, 2], [0, -1, -1, -1, -1, -1]])
    returns = torch.tensor([[1.5, 1.5, 0.0, 0.5, 0.0, 1.0], [-0.5, 0.0, 0.0, 0.0, 0.0, 0.0]])
    rewards, there = turn_rewards_of_returns(returns, mask, turns)
    assert rewards.tolist() == [[1.0, -0.5, 1.0], [-0.5, 0.0, 0.0]]
    assert there.tolist() == [[True] * 3, [True, False, False]]
    rewards, there = turn_rewards_of_returns(returns[:, :0], mask[:, :0], turns[:, :0])
    assert rewards.shape == there.shape == (2, 0)


def test_turns_of_the_policy_are_what_it_writes_between_interruptions():
    mask = torch.tensor([[0, 1, 1, 0, 1, 1, 0], [1, 0, 0, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0, 0]]).bool()
    # In the second the last turn follows without a text between.
    turns = torch.tensor([[0, 0, 0, 0, 0, 0, -1], [0, 0, 0, 0, 0, 0, 1], [-1] * 7])
    expected = [[-1, 0, 0, -1, 1, 1, -1], [0, -1, -1, 1, -1, 2, 3], [-1] * 7]
    assert policy_turns(mask, turns).tolist() == expected
    assert policy_turns(mask[:, :0], turns[:, :0]).shape == (3, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"discount": 1.1}, "discount in"),
        ({"discount": float("nan")}, "discount in"),
        ({"weight": -0.1}, "weight in"),
    ],
)
def test_bad_options_are_named(options, said):
    with pytest.raises(ScorecraftError, match=said):
        dual_level_advantages(*PAIR, SAME, **options)


def test_a_reward_that_is_not_finite_is_refused_only_where_there_is_a_turn():
    values, mask = table([[1.0, float("nan")], [1.0, 1.0]])
    with pytest.raises(ScorecraftError, match="not finite"):
        dual_level_advantages(values, mask, SAME)
    mask[0, 1] = False
    assert torch.isfinite(dual_level_advantages(values, mask, SAME)).all()
