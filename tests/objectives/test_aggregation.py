import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.objectives import aggregation_weights

MASK = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()
KEEP = torch.tensor([True, True, True, False])


@pytest.mark.parametrize(
    ("mode", "constant", "long", "short"),
    [("token", None, 1 / 4, 1 / 4), ("sequence", None, 1 / 6, 1 / 2), ("constant", 10.0, 1 / 20, 1 / 20)],
)
def test_weights_by_hand(mode, constant, long, short):
    expected = torch.tensor([[long] * 3 + [0], [short, 0, 0, 0], [0] * 4, [0] * 4])
    torch.testing.assert_close(aggregation_weights(MASK, KEEP, mode, constant), expected)


@pytest.mark.parametrize(("mode", "constant"), [("token", None), ("sequence", None), ("constant", 7.0)])
def test_an_empty_batch_gives_zero_with_a_gradient(mode, constant):
    loss = torch.ones(4, 4, requires_grad=True)
    for mask, keep in ((torch.zeros_like(MASK), KEEP), (MASK, torch.zeros_like(KEEP)), (MASK[:0], KEEP[:0])):
        total = (aggregation_weights(mask, keep, mode, constant) * loss[: len(mask)]).sum()
        assert total.item() == 0.0
        total.backward()
    assert loss.grad.eq(0).all()


@given(
    st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6),
    st.sampled_from(["token", "sequence"]),
)
def test_weights_are_a_mean(rows, mode):
    mask = torch.tensor(rows)
    keep = torch.ones(len(rows), dtype=torch.bool)
    weights = aggregation_weights(mask, keep, mode)
    assert weights.sum().item() == pytest.approx(1.0 if mask.any() else 0.0, abs=1e-6)
    assert weights[~mask].eq(0).all()
    assert (weights >= 0).all()
    shifted = aggregation_weights(torch.nn.functional.pad(mask, (0, 2)), keep, mode)
    assert shifted[:, :3].equal(weights)


@pytest.mark.parametrize(
    ("mode", "constant", "words"),
    [
        ("constant", None, "constant length belongs"),
        ("token", 3.0, "constant length belongs"),
        ("constant", 0.0, "positive"),
        ("prompt", None, "unknown mode 'prompt'"),
    ],
)
def test_impossible_choices_are_refused(mode, constant, words):
    # unwrap: the users' case, without the type checker that tests install
    with pytest.raises(ScorecraftError, match=words):
        inspect.unwrap(aggregation_weights)(MASK, KEEP, mode, constant)
