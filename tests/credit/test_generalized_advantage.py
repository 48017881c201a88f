"""Generalised advantages: by hand, at their two ends, and against verl's own function."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.generalized_advantage import generalized_advantages, rewards_at_the_end
from scorecraft.errors import ScorecraftError

ALL = torch.ones(1, 3, dtype=torch.bool)


def test_by_hand():
    rewards, values = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.5, 0.4, 0.8]])
    # d = (0.9*0.4 - 0.5, 0.9*0.8 - 0.4, 1 - 0.8) = (-0.14, 0.32, 0.2); gamma lam = 0.45.
    found = generalized_advantages(rewards, values, ALL, gamma=0.9, lam=0.5)
    expected = [-0.14 + 0.45 * (0.32 + 0.45 * 0.2), 0.32 + 0.45 * 0.2, 0.2]
    torch.testing.assert_close(found.advantages, torch.tensor([expected]))
    torch.testing.assert_close(found.returns, found.advantages + values)


def test_tokens_of_others_take_no_time():
    mask = torch.tensor([[True, False, True, False]])
    found = generalized_advantages(
        torch.tensor([[0.0, 7.0, 1.0, 5.0]]), torch.full((1, 4), 0.5), mask, gamma=0.9, lam=1.0
    )
    # d = (0.9*0.5 - 0.5, 1 - 0.5) = (-0.05, 0.5).
    torch.testing.assert_close(found.advantages, torch.tensor([[-0.05 + 0.9 * 0.5, 0.0, 0.5, 0.0]]))


@given(seed=st.integers(0, 1000))
def test_the_two_ends(seed):
    generator = torch.Generator().manual_seed(seed)
    rewards, values = torch.randn(2, 4, 70, generator=generator)
    mask = torch.rand(4, 70, generator=generator) < 0.7
    whole = generalized_advantages(rewards, values, mask, gamma=1.0, lam=1.0)
    returns = torch.where(mask, rewards, 0.0).flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(whole.returns[mask], returns[mask], atol=1e-4, rtol=1e-4)
    none = generalized_advantages(rewards, torch.zeros_like(values), mask, gamma=1.0, lam=0.0)
    torch.testing.assert_close(none.advantages[mask], rewards[mask])


def test_it_is_what_verl_computes():
    core = pytest.importorskip("verl.trainer.ppo.core_algos")
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, 6, 40, generator=generator)
    mask = torch.arange(40) < torch.tensor([40, 1, 7, 20, 33, 12])[:, None]
    _, returns = core.compute_gae_advantage_return(rewards * mask, values, mask.float(), gamma=0.97, lam=0.9)
    own = generalized_advantages(rewards, values, mask, gamma=0.97, lam=0.9)
    torch.testing.assert_close(own.returns[mask], returns[mask], atol=1e-5, rtol=1e-5)


def test_the_reward_stands_on_the_last_sampled_token():
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert rewards_at_the_end(torch.tensor([2.0, 3.0]), mask).tolist() == [[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gamma": 1.1}, "gamma"),
        ({"lam": -0.1}, "lam"),
        ({"values": torch.tensor([[0.0, math.nan, 0.0]])}, "value of token 1"),
        ({"token_rewards": torch.tensor([[math.inf, 0.0, 0.0]])}, "reward of token 0"),
    ],
)
def test_mistakes_are_named(change, said):
    given_ = {"token_rewards": torch.zeros(1, 3), "values": torch.zeros(1, 3), "mask": ALL} | change
    with pytest.raises(ScorecraftError, match=said):
        generalized_advantages(**given_)
