"""Advantages that keep a noise correction: values by hand, unbiasedness, state, and what is refused."""

from __future__ import annotations

import inspect
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.objectives.channel_advantage import (
    Moments,
    batch_moments,
    channel_advantage,
    smoothed_moments,
)
from scorecraft.objectives.channel_part import Channel
from scorecraft.scores import RewardTable

# Backward rewards for rates .1 and .2: -1/7 and 9/7; two groups.
REWARD = torch.tensor([9.0, -1.0, -1.0, 9.0, -1.0]) / 7
GROUP = torch.tensor([0, 0, 0, 1, 1])
ALL = torch.ones(5, dtype=torch.bool)
NONE = torch.tensor([], dtype=torch.bool)


def advantage(**options):
    return channel_advantage(REWARD, GROUP, ALL, **options)


def test_baselines_by_hand():
    # Group 0: others' means -1/7, 4/7, 4/7; group 1: -1/7 and 9/7.
    expected = torch.tensor([10.0, -5.0, -5.0, 10.0, -10.0]) / 7
    torch.testing.assert_close(advantage(), expected)
    torch.testing.assert_close(advantage(baseline="leave-one-out"), expected)
    torch.testing.assert_close(advantage(baseline="none"), REWARD)
    torch.testing.assert_close(advantage(kind="forward"), REWARD)
    torch.testing.assert_close(advantage(baseline="ema", running=Moments(0.25, 9.0)), REWARD - 0.25)
    torch.testing.assert_close(advantage(kind="forward", baseline="ema", running=Moments(-0.5, 9.0)), REWARD + 0.5)
    torch.testing.assert_close(advantage(baseline="ema"), REWARD)


def test_scales_by_hand():
    def scale(**options):
        return (REWARD / advantage(baseline="none", **options)).unique()

    torch.testing.assert_close(scale(scale="fixed", fixed_scale=2.0), torch.tensor([2.0]))
    torch.testing.assert_close(scale(scale="ema", running=Moments(0.0, 0.4)), torch.tensor([0.4]))
    # This batch: mean 3/7, squares (2 * 36 + 3 * 16) / 49 / 5.
    deviation = (120 / 245) ** 0.5
    for found in (scale(scale="ema"), scale(scale="ema", batch=Moments(0.0, deviation))):
        torch.testing.assert_close(found.mean(), torch.tensor(deviation))
    # p = 3/7: sqrt(12) / 7.
    torch.testing.assert_close(scale(scale="clean-std").mean(), torch.tensor(12**0.5 / 7))
    # p = -1/7 is cut off at 0, where the least scale holds.
    low = channel_advantage(torch.full((2,), -1 / 7), GROUP[3:], ALL[:2], baseline="none", scale="clean-std")
    torch.testing.assert_close(low, torch.full((2,), -10 / 7))
    tiny = advantage(baseline="none", scale="ema", running=Moments(0.0, 1e-9), min_scale=0.5)
    torch.testing.assert_close(tiny, 2 * REWARD)


def test_rows_without_a_reward_count_nowhere():
    valid = torch.tensor([True, True, False, True, True])
    found = channel_advantage(REWARD, GROUP, valid, scale="clean-std")
    # Group 0 is 9/7 and -1/7; mean of all valid 4/7.
    expected = torch.tensor([10.0, -10.0, 0.0, 10.0, -10.0]) / 7 / (12**0.5 / 7)
    torch.testing.assert_close(found, expected)
    assert channel_advantage(REWARD, GROUP, ~ALL).tolist() == [0.0] * 5
    assert len(channel_advantage(torch.tensor([]), torch.tensor([], dtype=torch.int64), NONE, scale="ema")) == 0
    # Alone in its group: no advantage.
    alone = channel_advantage(REWARD[:2], torch.tensor([0, 1]), ALL[:2])
    assert alone.tolist() == [0.0, 0.0]


def test_moments():
    assert batch_moments(torch.tensor([1.0, 3.0, 9.0]), torch.tensor([True, True, False])) == Moments(2.0, 1.0)
    assert batch_moments(torch.tensor([]), NONE) is None
    assert smoothed_moments(None, Moments(2.0, 1.0), 0.1) == Moments(2.0, 1.0)
    assert smoothed_moments(Moments(2.0, 1.0), None, 0.1) == Moments(2.0, 1.0)
    assert smoothed_moments(None, None, 0.1) is None
    assert smoothed_moments(Moments(2.0, 1.0), Moments(4.0, 3.0), 0.25) == pytest.approx((2.5, 1.5))


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.floats(0, 0.4), st.floats(0, 0.4))
def test_leave_one_out_keeps_the_expected_gradient_of_backward_rewards(raw, rho0, rho1):
    # Two rollouts of three arms, of which the first is right: every outcome with its probability.
    p = torch.tensor(raw, dtype=torch.float64).softmax(0)
    score = torch.eye(3, dtype=torch.float64) - p
    values = torch.tensor([-rho0, 1 - rho0]) / (1 - rho0 - rho1)
    total = torch.zeros(3, dtype=torch.float64)
    for arms in itertools.product(range(3), repeat=2):
        for seen in itertools.product((0, 1), repeat=2):
            chance = 1.0
            for arm, verdict in zip(arms, seen, strict=True):
                accepted = 1 - rho1 if arm == 0 else rho0
                chance *= float(p[arm]) * (accepted if verdict else 1 - accepted)
            own = channel_advantage(values[list(seen)].float(), torch.zeros(2, dtype=torch.int64), ALL[:2])
            total += chance * (own.double()[:, None] * score[list(arms)]).mean(0)
    torch.testing.assert_close(total, p[0] * score[0], atol=1e-5, rtol=0)


@given(st.permutations(range(5)))
def test_the_order_of_rollouts_does_not_matter(order):
    index = torch.tensor(order)
    for options in ({}, {"scale": "clean-std"}, {"baseline": "none", "scale": "ema"}):
        found = channel_advantage(REWARD[index], GROUP[index], ALL, **options)
        torch.testing.assert_close(found, advantage(**options)[index])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "forward", "baseline": "leave-one-out"}, "takes off exactly what forward weights add"),
        ({"kind": "forward", "scale": "clean-std"}, "no clean standard deviation"),
        ({"kind": "sideways"}, "unknown kind 'sideways'"),
        ({"baseline": "mean"}, "unknown baseline 'mean'"),
        ({"scale": "std"}, "unknown scale 'std'"),
        ({"fixed_scale": 0.0}, "fixed_scale is 0"),
        ({"min_scale": float("nan")}, "min_scale is nan"),
    ],
)
def test_bad_input_is_named(options, said):
    import scorecraft.objectives.channel_advantage as module

    with pytest.raises(ScorecraftError, match=said):
        inspect.unwrap(module._check)(
            **{"kind": "backward", "baseline": None, "scale": "none", "fixed_scale": 1.0, "min_scale": 0.1, **options}
        )


@pytest.fixture
def rollouts(make_rollouts):
    return make_rollouts([[1, 1], [1], [1], [1, 0, 1], [1]], [0, 0, 0, 1, 1])


def run(part, rollouts, reward=REWARD, valid=ALL):
    table = RewardTable(reward, valid, {})
    return part(reward[:, None] * rollouts.mask, rollouts, table, Context(None, torch.Generator()))


def test_the_part_gives_every_token_its_rollouts_advantage(rollouts):
    found = run(Channel(), rollouts)
    torch.testing.assert_close(
        found.values, (torch.tensor([10.0, -5.0, -5.0, 10.0, -10.0]) / 7)[:, None] * rollouts.mask
    )
    assert found.keep.all()
    valid = torch.tensor([True, True, False, True, True])
    assert run(Channel(), rollouts, valid=valid).keep.equal(valid)


def test_the_part_remembers_earlier_batches_and_saves_them(rollouts):
    part = Channel(kind="forward", baseline="ema", scale="ema", smoothing=0.5, min_scale=0.01)
    weights = torch.tensor([0.2, -0.8, -0.8, 0.2, -0.8])
    # Mean -.4, deviation sqrt((2 * .36 + 3 * .16) / 5) = sqrt(.24).
    first = run(part, rollouts, weights)
    torch.testing.assert_close(first.values[:, 0], weights / 0.24**0.5)
    second = run(part, rollouts, torch.zeros(5))
    torch.testing.assert_close(second.values[:, 0], torch.full((5,), 0.4 / 0.24**0.5))
    assert part.state() == pytest.approx({"mean": -0.2, "deviation": 0.5 * 0.24**0.5})
    other = Channel(kind="forward", baseline="ema", scale="ema", smoothing=0.5, min_scale=0.01)
    assert other.state() == {}
    other.restore(part.state())
    torch.testing.assert_close(
        run(other, rollouts, weights).values, run(part, rollouts, weights).values, rtol=0, atol=0
    )
    other.restore({})
    assert other.state() == {}


def test_the_part_takes_the_moments_of_all_workers(rollouts):
    part = Channel(baseline="none", scale="clean-std")

    def gather(values):
        # The other worker has five rewards of 1.
        return torch.cat((values, torch.ones_like(values))), slice(0, len(values))

    table = RewardTable(REWARD, ALL, {})
    context = Context(None, torch.Generator(), gather=gather)
    found = part(REWARD[:, None] * rollouts.mask, rollouts, table, context).values[:, 0]
    # Mean (15/7 + 5) / 10 = 5/7.
    torch.testing.assert_close(found, REWARD / (10**0.5 / 7))


def test_the_part_refuses_what_cannot_be():
    for options, said in (
        ({"kind": "forward", "baseline": "leave-one-out"}, "takes off exactly"),
        ({"kind": "forward", "scale": "clean-std"}, "no clean standard deviation"),
        ({"smoothing": 0.0}, "greater than 0"),
        ({"fixed_scale": 0.0}, "greater than 0"),
    ):
        with pytest.raises(ValidationError, match=said):
            Channel(**options)
