"""The loss: token means by hand, and padding that counts for nothing."""

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.intervention_training import intervention_loss
from scorecraft.errors import ScorecraftError

# Logits that give token 0 a probability of 1/2 and of 1/4 among tokens enough.
HALF, QUARTER = [math.log(3.0), 0.0, 0.0, 0.0], [0.0] * 4


def test_by_hand():
    # Probabilities 1/2 and 1/4 of the two learned tokens: (ln 2 + ln 4) / 2.
    logits = torch.tensor([[HALF, QUARTER, [9.0, 0.0, 0.0, 0.0]]])
    labels = torch.tensor([[-100, 0, 0]])
    assert intervention_loss(logits, labels).item() == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert (math.log(2) + math.log(4)) / 2 == pytest.approx(1.039721, abs=1e-6)


def test_rows_count_alike_or_tokens_do():
    # Row one learns one token of 1/2, row two three of 1/4: (ln 2 + ln 4) / 2, or (ln 2 + 3 ln 4) / 4.
    logits = torch.tensor([[QUARTER, QUARTER, HALF, QUARTER], [QUARTER] * 4])
    logits[0, 0] = torch.tensor(HALF)
    labels = torch.tensor([[-100, 0, -100, -100], [-100, 1, 2, 3]])
    assert intervention_loss(logits, labels).item() == pytest.approx(1.5 * math.log(2))
    assert intervention_loss(logits, labels, "token").item() == pytest.approx(7 / 4 * math.log(2))


def test_only_learned_positions_get_a_gradient():
    logits = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    intervention_loss(logits, torch.tensor([[-100, -100, 3, -100]])).backward()
    # Position 1 predicts token 2: (p - onehot) / 1.
    expected = torch.zeros(1, 4, 5)
    expected[0, 1] = logits.detach()[0, 1].softmax(-1)
    expected[0, 1, 3] -= 1
    torch.testing.assert_close(logits.grad, expected)


@given(st.integers(0, 1000), st.integers(1, 3))
def test_padding_and_the_order_of_rows_change_nothing(seed, padding):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 5, 4, generator=generator)
    labels = torch.randint(0, 4, (3, 5), generator=generator)
    labels[:, 0] = -100
    labels[1, 3:] = -100
    loss = intervention_loss(logits, labels)
    padded = intervention_loss(
        torch.nn.functional.pad(logits, (0, 0, 0, padding), value=7.0),
        torch.nn.functional.pad(labels, (0, padding), value=-100),
    )
    torch.testing.assert_close(padded, loss)
    torch.testing.assert_close(intervention_loss(logits.flip(0), labels.flip(0)), loss)


def test_half_precision_is_computed_in_single():
    loss = intervention_loss(torch.zeros(1, 2, 4, dtype=torch.bfloat16), torch.tensor([[-100, 1]]))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(4))


@pytest.mark.parametrize(
    ("labels", "said"),
    [([[1, 1]], "first token"), ([[-100, -100], [-100, 1]], r"rows \[0\]"), ([[-100]], r"rows \[0\]")],
)
def test_rows_that_teach_nothing_are_named(labels, said):
    labels = torch.tensor(labels)
    with pytest.raises(ScorecraftError, match=said):
        intervention_loss(torch.zeros(*labels.shape, 3), labels)


def test_no_rows_and_unknown_averages_are_refused():
    with pytest.raises(ScorecraftError, match="no token to learn"):
        intervention_loss(torch.zeros(0, 2, 3), torch.zeros(0, 2, dtype=torch.int64))
    with pytest.raises(ScorecraftError, match="unknown average 'sum'"):
        inspect.unwrap(intervention_loss)(torch.zeros(1, 2, 3), torch.tensor([[-100, 1]]), "sum")
