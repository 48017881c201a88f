"""Token rewards of steps and success, by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.process_and_success import combine_process_and_success
from scorecraft.errors import ScorecraftError

STEPS = torch.tensor([[0.5, -0.4], [0.8, float("nan")]])
ENDS = torch.tensor([[1, 3], [2, -1]])
MASK = torch.tensor([[True, True], [True, False]])
SUCCESS = torch.tensor([1.0, 0.0])


def test_steps_earn_at_their_ends_and_success_at_the_last():
    found = combine_process_and_success(STEPS, SUCCESS, step_end=ENDS, length=5, alpha=0.5, step_mask=MASK)
    expected = torch.tensor([[0.0, 0.25, 0.0, 0.8, 0.0], [0.0, 0.0, 0.4, 0.0, 0.0]])
    torch.testing.assert_close(found, expected)


def test_success_may_stand_after_the_last_step_and_in_a_row_without_steps():
    none = torch.zeros(2, 2, dtype=torch.bool)
    found = combine_process_and_success(
        STEPS, torch.tensor([1.0, 0.5]), step_end=ENDS, length=5, step_mask=none, last_token=torch.tensor([4, 0])
    )
    assert found.tolist() == [[0, 0, 0, 0, 1], [0.5, 0, 0, 0, 0]]
    empty = combine_process_and_success(
        torch.zeros(0, 2), torch.zeros(0), step_end=torch.zeros(0, 2, dtype=torch.int64), length=5
    )
    assert empty.shape == (0, 5)


@given(
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=6),
    st.floats(0, 2, width=32),
    st.floats(-1, 1, width=32),
    st.integers(0, 4),
)
def test_nothing_is_added_or_lost(rewards, alpha, success, padding):
    ends = torch.arange(1, 2 * len(rewards), 2)[None]
    steps = torch.tensor([rewards], dtype=torch.float32)
    found = combine_process_and_success(
        steps, torch.tensor([success]), step_end=ends, length=2 * len(rewards) + padding, alpha=alpha
    )
    torch.testing.assert_close(found.sum(), alpha * steps.sum() + success, atol=1e-5, rtol=1e-5)
    assert (found[0, ::2] == 0).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"length": 3}, "row 0: step ends"),
        ({"alpha": -0.1}, "alpha of at least 0"),
        ({"step_mask": torch.tensor([[True, True], [False, False]])}, "row 1 has no step whose end"),
        ({"last_token": torch.tensor([5, 0])}, "row 0: last token 5"),
        ({"last_token": torch.tensor([0, -1])}, "row 1: last token -1"),
    ],
)
def test_bad_input_is_named(change, said):
    given_values = {"step_end": ENDS, "length": 5, "step_mask": MASK, **change}
    with pytest.raises(ScorecraftError, match=said):
        combine_process_and_success(STEPS, SUCCESS, **given_values)
