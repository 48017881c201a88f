import pytest
import torch
from pydantic import ValidationError

from scorecraft import parts
from scorecraft.credit import outcome_returns

MASK = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]]).bool()
REWARD = torch.tensor([2.0, 5.0, -1.0])


def test_every_sampled_token_earns_the_reward():
    assert outcome_returns(REWARD, MASK).tolist() == [[2, 0, 2, 2, 0], [0] * 5, [0, -1, 0, 0, 0]]


def test_discount_counts_the_sampled_tokens_that_follow():
    expected = torch.tensor([[0.5, 0, 1.0, 2.0, 0], [0.0] * 5, [0, -1.0, 0, 0, 0]])
    torch.testing.assert_close(outcome_returns(REWARD, MASK, 0.5), expected)


@pytest.mark.parametrize("discount", [0.0, 1.5, -1.0])
def test_impossible_discounts_are_refused(discount):
    with pytest.raises(ValidationError):
        parts.find("credit", "outcome")(discount=discount)
