"""Contrastive losses and the simplex by hand, and what must not matter to them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.detect.fewshot_incremental import (
    dr_loss,
    nt_xent_loss,
    simplex_etf,
    supcon_anchors,
    supcon_loss,
    unit,
)
from scorecraft.errors import ScorecraftError

Z = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])


def test_supcon_by_hand():
    # Anchor 0: log(1 + e^-6); anchor 1: log(1 + e^2); the third has no positive.
    losses = [math.log(1 + math.exp(-6)), math.log(1 + math.exp(2))]
    assert losses == pytest.approx([0.00247569, 2.12692801], abs=1e-8)
    found = float(supcon_loss(Z, torch.tensor([0, 0, 1]), 0.1))
    assert found == pytest.approx(sum(losses) / 2, abs=1e-6)
    assert found == pytest.approx(1.06470185, abs=1e-6)
    assert supcon_anchors(torch.tensor([0, 0, 1])) == 2


def test_several_positives_are_averaged():
    # tau = 1, all of one label: anchor 0 has log(e^.6 + 1) - (.6 + 0) / 2, and so on.
    found = float(supcon_loss(Z, torch.zeros(3, dtype=torch.int64), 1.0))
    dots = {0: (0.6, 0.0), 1: (0.6, 0.8), 2: (0.0, 0.8)}
    expected = [math.log(math.exp(a) + math.exp(b)) - (a + b) / 2 for a, b in dots.values()]
    assert found == pytest.approx(sum(expected) / 3, abs=1e-6)


@pytest.mark.parametrize("labels", [[0, 1, 2], [0]])
def test_without_positives_the_loss_is_zero_and_has_a_gradient(labels):
    z = Z[: len(labels)].clone().requires_grad_()
    loss = supcon_loss(z, torch.tensor(labels), 0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert z.grad.abs().sum() == 0
    assert supcon_anchors(torch.tensor(labels)) == 0


def test_no_rows_at_all():
    none = torch.empty(0, 2)
    assert float(supcon_loss(none, torch.empty(0, dtype=torch.int64))) == 0


@given(st.integers(0, 10_000), st.floats(0.02, 5))
def test_supcon_knows_no_order_of_rows_and_no_names_of_labels(seed, tau):
    random = torch.Generator().manual_seed(seed)
    z = unit(torch.randn(8, 3, generator=random)).requires_grad_()
    y = torch.randint(3, (8,), generator=random)
    loss = supcon_loss(z, y, tau)
    loss.backward()
    assert torch.isfinite(z.grad).all()
    assert float(loss.detach()) >= 0
    order = torch.randperm(8, generator=random)
    torch.testing.assert_close(supcon_loss(z[order], 7 - y[order], tau), loss, rtol=1e-4, atol=1e-5)


def test_each_image_is_a_label_of_its_own_in_nt_xent():
    first, second = Z[:2], Z[1:]
    # Rows (1,0), (.6,.8), (.6,.8), (0,1) with positives 0-2 and 1-3, tau = 1.
    shares = [(0.6, (0.6, 0.6, 0.0)), (0.8, (0.6, 1.0, 0.8)), (0.6, (0.6, 1.0, 0.8)), (0.8, (0.0, 0.8, 0.8))]
    expected = [math.log(sum(math.exp(dot) for dot in all_)) - own for own, all_ in shares]
    assert float(nt_xent_loss(first, second, 1.0)) == pytest.approx(sum(expected) / 4, abs=1e-6)


def test_dot_regression_by_hand():
    etf = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert float(dr_loss(Z[1:2], etf, torch.tensor([0]))) == pytest.approx(0.08)
    assert float(dr_loss(Z[:1], etf, torch.tensor([0]))) == 0
    assert float(dr_loss(Z[:2], etf, torch.tensor([0, 0]))) == pytest.approx(0.04)


def test_a_feature_of_zeros_stays_finite():
    zero = torch.zeros(1, 3, requires_grad=True)
    unit(zero).sum().backward()
    assert unit(zero).tolist() == [[0, 0, 0]]
    assert torch.isfinite(zero.grad).all()


def test_the_simplex_by_hand():
    gram = simplex_etf(3, 4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(gram @ gram.T, 1.5 * torch.eye(3) - 0.5, atol=1e-6, rtol=0)


@given(st.integers(2, 20), st.integers(0, 20), st.integers(0, 1000))
def test_all_vertices_are_equally_far(count, more, seed):
    etf = simplex_etf(count, count + more, torch.Generator().manual_seed(seed))
    cosines = etf @ etf.T
    expected = torch.full((count, count), -1 / (count - 1)).fill_diagonal_(1.0)
    torch.testing.assert_close(cosines, expected, atol=1e-5, rtol=0)
    assert etf.sum(0).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: simplex_etf(5, 4), "5 vertices need at least as many features, got 4"),
        (lambda: simplex_etf(1, 4), "at least 2 vertices"),
        (lambda: supcon_loss(Z, torch.tensor([0, 0, 1]), 0.0), "temperature above 0"),
        (lambda: nt_xent_loss(Z, Z, float("nan")), "temperature above 0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
