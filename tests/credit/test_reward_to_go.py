"""Returns of steps: by hand, in their order, and blind to what is no step."""

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.reward_to_go import FORMS, reward_to_go
from scorecraft.errors import ScorecraftError

REWARDS = torch.tensor([[0.2, 9.0, -0.4, 0.6]])
MASK = torch.tensor([[True, False, True, True]])
ALL2 = torch.ones(1, 2, dtype=torch.bool)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("sum", [0.4, 0.0, 0.2, 0.6]),
        ("mean", [0.4 / 3, 0.0, 0.1, 0.6]),
        ("min", [-0.4, 0.0, -0.4, 0.6]),
        ("max", [0.6, 0.0, 0.6, 0.6]),
    ],
)
def test_by_hand(form, expected):
    torch.testing.assert_close(reward_to_go(REWARDS, MASK, form), torch.tensor([expected]))


def test_a_discount_counts_steps_and_no_gaps():
    # 0.2 + 0.5 * -0.4 + 0.25 * 0.6 = 0.15; -0.4 + 0.5 * 0.6 = -0.1.
    found = reward_to_go(REWARDS, MASK, "sum", gamma=0.5)
    torch.testing.assert_close(found, torch.tensor([[0.15, 0.0, -0.1, 0.6]]))


def test_the_soft_minimum_by_hand():
    # Of 0 and ln 2 at T = 1: weights 2/3 and 1/3.
    found = reward_to_go(torch.tensor([[0.0, math.log(2)]]), ALL2, "soft-min", temperature=1.0)
    torch.testing.assert_close(found, torch.tensor([[math.log(2) / 3, math.log(2)]]))


@given(
    rows=st.lists(st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4), min_size=1, max_size=4),
    mask=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_forms_stand_in_order(rows, mask):
    rewards, there = torch.tensor(rows), torch.tensor([mask] * len(rows))
    found = {form: reward_to_go(rewards, there, form) for form in FORMS}
    assert (found["min"] <= found["soft-min"] + 1e-5).all()
    assert (found["soft-min"] <= found["mean"] + 1e-4).all()
    assert (found["mean"] <= found["max"] + 1e-5).all()
    for values in found.values():
        assert values[~there].eq(0).all()
    cold = reward_to_go(rewards, there, "soft-min", temperature=1e-4)
    torch.testing.assert_close(cold, found["min"], atol=1e-2, rtol=1e-3)
    warm = reward_to_go(rewards, there, "soft-min", temperature=1e5)
    torch.testing.assert_close(warm, found["mean"], atol=1e-2, rtol=1e-2)


def test_far_apart_rewards_do_not_underflow():
    rewards = torch.tensor([[-1000.0, 0.0, 1.0]])
    found = reward_to_go(rewards, torch.ones(1, 3, dtype=torch.bool), "soft-min", temperature=0.1)
    assert found[0, 0].item() == -1000.0
    # Of 0 and 1 at T = 0.1 the later has a weight of 1 / (1 + e^10).
    assert found[0, 1].item() == pytest.approx(1 / (1 + math.exp(10)), rel=1e-3)


def test_no_step_and_no_rollout():
    for form in FORMS:
        assert reward_to_go(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool), form).shape == (2, 0)
        assert reward_to_go(torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.bool), form).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"form": "median"}, "unknown form"),
        ({"gamma": 0.0}, "gamma"),
        ({"temperature": 0.0}, "temperature"),
    ],
)
def test_mistakes_are_named(change, said):
    with pytest.raises(ScorecraftError, match=said):
        inspect.unwrap(reward_to_go)(REWARDS, MASK, **({"form": "sum"} | change))


def test_a_reward_that_is_no_number_is_named():
    with pytest.raises(ScorecraftError, match="step 2 of rollout 0"):
        reward_to_go(torch.tensor([[0.0, math.nan, math.nan]]), torch.tensor([[True, False, True]]))
