"""Shaping by clipped depth: values by hand, what telescopes, and advantages of a group."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.reasoning_depth import clip_depth, grpo_r_advantages, shaped_returns, shaping_rewards
from scorecraft.credit.reasoning_depth.shaping import depth_of_state
from scorecraft.errors import ScorecraftError


def table(*rows):
    width = max(map(len, rows))
    values = torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows], dtype=torch.float32)
    return values, torch.tensor([[True] * len(row) + [False] * (width - len(row)) for row in rows])


DEPTH, THERE = table([1, 3, 5, 2])
CLIPPED = clip_depth(DEPTH, THERE, 0.5, 4.0)


def test_depth_above_the_limit_does_not_pay():
    assert CLIPPED.tolist() == [[0.5, 1.5, 0.0, 1.0]]
    assert clip_depth(DEPTH, THERE, 0.5, 5.0).tolist() == [[0.5, 1.5, 2.5, 1.0]]


def test_shaping_by_hand():
    # D_t - gamma D_{t+1}, with nothing after the last: -1 1.5 -1 1, in total D_1 = .5.
    assert shaping_rewards(CLIPPED, THERE).tolist() == [[-1.0, 1.5, -1.0, 1.0]]
    found = shaping_rewards(CLIPPED, THERE, 0.9)
    torch.testing.assert_close(found, torch.tensor([[-0.85, 1.5, -0.9, 1.0]]))
    assert sum(0.9**t * reward for t, reward in enumerate(found[0].tolist())) == pytest.approx(0.5)
    # Strict: the depth of the step before, 0 0.5 1.5 0; the last step's own is never paid.
    assert shaping_rewards(CLIPPED, THERE, align="strict").tolist() == [[-0.5, -1.0, 1.5, 0.0]]


@pytest.mark.parametrize("gamma", [1.0, 0.9, 0.3])
def test_returns_by_hand(gamma):
    outcome = torch.tensor([2.0])
    ends = torch.tensor([[2 * gamma**3, 2 * gamma**2, 2 * gamma, 2.0]])
    own = shaped_returns(outcome, CLIPPED, THERE, gamma)
    torch.testing.assert_close(own, ends + torch.tensor([[0.5, 1.5, 0.0, 1.0]]))
    strict = shaped_returns(outcome, CLIPPED, THERE, gamma, "strict")
    torch.testing.assert_close(strict, ends + torch.tensor([[0.0, 0.5, 1.5, 0.0]]))


def test_a_single_step():
    depth, there = table([3])
    assert shaping_rewards(depth, there).tolist() == [[3.0]]
    assert shaping_rewards(depth, there, align="strict").tolist() == [[0.0]]


rows = st.lists(st.tuples(st.floats(0, 4, width=16), st.booleans()), min_size=1, max_size=6)


@given(rows, st.floats(0.1, 1.0), st.sampled_from(["own", "strict"]), st.integers(0, 3))
def test_returns_are_the_discounted_sums_of_the_shaped_rewards_and_gaps_take_no_time(row, gamma, align, padding):
    depth = torch.tensor([[value for value, _ in row] + [9.0] * padding])
    there = torch.tensor([[exists for _, exists in row] + [False] * padding])
    outcome = torch.tensor([1.5])
    rewards = shaping_rewards(depth, there, gamma, align)
    steps = rewards[0][there[0]].tolist()
    returns = shaped_returns(outcome, depth, there, gamma, align)
    for place, found in enumerate(returns[0][there[0]].tolist()):
        ahead = steps[place:]
        expected = sum(gamma**t * reward for t, reward in enumerate(ahead)) + gamma ** (len(ahead) - 1) * 1.5
        assert found == pytest.approx(expected, abs=1e-5)
    assert returns[~there].eq(0).all()
    assert rewards[~there].eq(0).all()


def test_advantages_of_a_group_by_hand():
    # Returns 1 + (.5, 1.5) and 0 + (1,): 1.5 2.5 1, mean 5/3, sample deviation sqrt(7/12) = .763763.
    depth, there = table([1, 3], [2])
    outcome, group = torch.tensor([1.0, 0.0]), torch.tensor([7, 7])
    found = grpo_r_advantages(outcome, depth, there, group, alpha=0.5, tau=4.0)
    expected = [(value - 5 / 3) / math.sqrt(7 / 12) for value in (1.5, 2.5, 1.0)]
    assert found[there].tolist() == pytest.approx(expected, abs=1e-5)
    assert found[~there].tolist() == [0.0]
    # Strict: returns 1 1.5 0.
    strict = grpo_r_advantages(outcome, depth, there, group, alpha=0.5, tau=4.0, align="strict")
    deviation = torch.tensor([1.0, 1.5, 0.0]).std().item()
    assert strict[there].tolist() == pytest.approx([(x - 2.5 / 3) / deviation for x in (1.0, 1.5, 0.0)], abs=1e-5)


def test_process_rewards_are_standardised_before_they_are_summed():
    # Shaped rewards .5 - 1.5 = -1 and 1.5 + 1 = 2.5; of the other rollout 1: mean 5/6.
    depth, there = table([1, 3], [2])
    outcome, group = torch.tensor([1.0, 0.0]), torch.tensor([0, 0])
    found = grpo_r_advantages(outcome, depth, there, group, alpha=0.5, tau=4.0, mode="process-norm")
    deviation = torch.tensor([-1.0, 2.5, 1.0]).std().item()
    first, second, other = ((x - 2.5 / 3) / deviation for x in (-1.0, 2.5, 1.0))
    assert found[there].tolist() == pytest.approx([first + second, second, other], abs=1e-5)


def test_groups_do_not_see_each_other_and_equal_returns_earn_nothing():
    depth, there = table([1, 1], [1, 1], [2], [4, 3])
    outcome, group = torch.tensor([1.0, 1.0, 0.0, 1.0]), torch.tensor([3, 3, 5, 5])
    found = grpo_r_advantages(outcome, depth, there, group, alpha=0.5, tau=9.0)
    assert found[:2].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    alone = grpo_r_advantages(outcome[2:], depth[2:], there[2:], group[2:], alpha=0.5, tau=9.0)
    torch.testing.assert_close(found[2:], alone)
    # One step in its group: nothing to compare with.
    single = grpo_r_advantages(outcome[2:3], depth[2:3], there[2:3], group[2:3], tau=9.0)
    assert single.eq(0).all()


@given(st.permutations(range(4)), st.integers(0, 3), st.sampled_from(["return-to-go", "process-norm"]))
def test_order_and_padding_change_nothing(order, padding, mode):
    depth, there = table([1, 2], [3], [2, 0.5, 1], [1])
    outcome, group = torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([0, 0, 1, 1])
    found = grpo_r_advantages(outcome, depth, there, group, tau=9.0, mode=mode)
    wide = torch.nn.functional.pad(depth, (0, padding), value=math.nan)
    wider = torch.nn.functional.pad(there, (0, padding))
    at = torch.tensor(order)
    again = grpo_r_advantages(outcome[at], wide[at], wider[at], group[at], tau=9.0, mode=mode)
    torch.testing.assert_close(again[:, :3], found[at])
    assert again[:, 3:].eq(0).all()


def test_an_empty_batch_is_no_mistake():
    nothing = torch.zeros(0, 0)
    empty = torch.zeros(0, 0, dtype=torch.bool)
    group = torch.tensor([], dtype=torch.int64)
    for mode in ("return-to-go", "process-norm"):
        assert grpo_r_advantages(nothing.sum(1), nothing, empty, group, tau=1.0, mode=mode).shape == (0, 0)
    assert shaping_rewards(nothing, empty, align="strict").shape == (0, 0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: clip_depth(DEPTH, THERE, -0.1, 1.0), "alpha of at least 0"),
        (lambda: clip_depth(DEPTH, THERE, 0.1, math.nan), "tau is not a number"),
        (lambda: clip_depth(DEPTH * math.inf, THERE, 0.1, 1.0), "depth of a step is not finite"),
        (lambda: shaping_rewards(CLIPPED, THERE, 0.0), "gamma in"),
        (lambda: inspect.unwrap(depth_of_state)(CLIPPED, THERE, "next"), "unknown align 'next'"),
        (lambda: shaped_returns(torch.tensor([math.nan]), CLIPPED, THERE), "outcome of rollout 0 is nan"),
        (
            lambda: inspect.unwrap(grpo_r_advantages)(
                torch.ones(1), DEPTH, THERE, torch.tensor([0]), tau=1.0, mode="sum"
            ),
            "unknown mode 'sum'",
        ),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
