"""The linear value function: exact on linear data, fading, and 0 before it has seen anything."""

import pytest
import torch

from scorecraft.credit.linear_value import LinearValue
from scorecraft.errors import ScorecraftError


def test_before_anything_was_seen_it_is_zero():
    assert LinearValue()(torch.ones(3, 2)).tolist() == [0.0, 0.0, 0.0]


def test_it_finds_linear_returns():
    features = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    returns = features @ torch.tensor([1.0, -2.0, 0.0, 0.5]) + 3
    value = LinearValue(ridge=1e-8)
    value.learn(*LinearValue.sums(features, returns))
    torch.testing.assert_close(value(features), returns, atol=1e-3, rtol=1e-3)


def test_older_batches_fade():
    features = torch.zeros(10, 1)
    value = LinearValue(decay=0.5)
    value.learn(*LinearValue.sums(features, torch.zeros(10)))
    value.learn(*LinearValue.sums(features, torch.ones(10)))
    # Only the constant speaks: (0.5 * 0 + 1 * 1) / 1.5.
    torch.testing.assert_close(value(features[:1]), torch.tensor([2 / 3]))


def test_a_constant_is_not_held_back():
    value = LinearValue(ridge=10.0)
    features = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    value.learn(*LinearValue.sums(features, torch.full((50,), 5.0)))
    torch.testing.assert_close(value(features), torch.full((50,), 5.0), atol=0.2, rtol=0)


@pytest.mark.parametrize("change", [{"ridge": 0.0}, {"decay": 1.1}])
def test_mistakes_are_named(change):
    with pytest.raises(ScorecraftError, match="ridge > 0"):
        LinearValue(**change)
