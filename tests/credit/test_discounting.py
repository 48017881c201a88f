"""Discounted sums over what is still to come, against a plain loop."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.discounting import BLOCK, discounted_sums_to_go


def by_loop(values, mask, discount):
    out = []
    for row, there in zip(values, mask, strict=True):
        ahead, sums = 0.0, []
        for value, here in zip(reversed(row), reversed(there), strict=True):
            ahead = value + discount * ahead if here else ahead
            sums.append(ahead if here else 0.0)
        out.append(sums[::-1])
    return out


def test_by_hand():
    values = torch.tensor([[1.0, 2.0, 4.0]])
    found = discounted_sums_to_go(values, torch.ones(1, 3, dtype=torch.bool), 0.5)
    assert found.tolist() == [[1 + 1 + 1, 2 + 2, 4]]
    # The column in the middle takes no time and earns nothing.
    gap = discounted_sums_to_go(values, torch.tensor([[True, False, True]]), 0.5)
    assert gap.tolist() == [[3.0, 0.0, 4.0]]


@given(
    width=st.sampled_from([0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5]),
    seed=st.integers(0, 10_000),
    share=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    discount=st.sampled_from([0.0, 0.5, 0.97, 1.0]),
)
def test_it_is_the_loop(width, seed, share, discount):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(3, width, generator=generator, dtype=torch.float64)
    mask = torch.rand(3, width, generator=generator) < share
    found = discounted_sums_to_go(values, mask, discount)
    expected = torch.tensor(by_loop(values.tolist(), mask.tolist(), discount), dtype=torch.float64).view(3, width)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("start", [0, 3])
def test_one_run_of_columns_anywhere(start):
    mask = torch.zeros(2, 10, dtype=torch.bool)
    mask[:, start : start + 4] = True
    values = torch.arange(20.0).view(2, 10)
    found = discounted_sums_to_go(values, mask, 0.9)
    torch.testing.assert_close(found, torch.tensor(by_loop(values.tolist(), mask.tolist(), 0.9)))
