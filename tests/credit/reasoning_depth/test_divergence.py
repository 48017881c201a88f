"""The Jensen-Shannon divergence: by hand, against scipy, and at the edges of probability."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from scorecraft.credit.reasoning_depth import js_divergence


def logs(*rows):
    return torch.tensor(rows).log()


def test_values_by_hand():
    # Nothing in common: ln 2. With m = (.7, .3) .5 ln(.5/.7) + .5 ln(.5/.3) = .087177 and
    # .9 ln(.9/.7) + .1 ln(.1/.3) = .116322, of which the mean is .101749.
    found = js_divergence(logs([1.0, 0.0], [0.5, 0.5], [0.3, 0.7]), logs([0.0, 1.0], [0.9, 0.1], [0.3, 0.7]))
    assert found.tolist() == pytest.approx([0.693147, 0.101749, 0.0], abs=1e-6)
    assert js_divergence(logs([1.0, 0.0]), logs([0.0, 1.0]), "mean").item() == pytest.approx(math.log(2) / 2)


@pytest.mark.parametrize(("size", "spread"), [(2, 1.0), (100, 1.0), (100, 20.0), (50_000, 5.0)])
def test_it_is_the_square_of_scipys_distance(size, spread):
    random = np.random.default_rng(0)
    p, q = (torch.tensor(random.normal(0, spread, (8, size))).log_softmax(1) for _ in range(2))
    expected = jensenshannon(p.exp(), q.exp(), axis=1) ** 2
    np.testing.assert_allclose(js_divergence(p, q), expected, atol=1e-12)
    # In single precision the log-probabilities themselves are off by what scipy normalises away: up to 2e-6 at -20.
    np.testing.assert_allclose(js_divergence(p.float(), q.float()), expected, atol=1e-6 if size == 2 else 5e-6)


def test_near_distributions_keep_their_digits():
    for shift in (1e-2, 1e-3):
        p = torch.tensor([[0.5 + shift, 0.5 - shift]], dtype=torch.float64)
        q = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
        # Each is s/2 from the mean in both places: KL = 2 (s/2)^2 / (2 * .5) = s^2 / 2, up to order s^4.
        assert js_divergence(p.log(), q.log()).item() == pytest.approx(shift**2 / 2, rel=1e-3)


rows = st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=8)


@given(rows, st.randoms(use_true_random=False))
def test_it_is_symmetric_bounded_and_blind_to_the_order_of_tokens(row, random):
    other = [random.uniform(-30, 30) for _ in row]
    p, q = (torch.tensor(values).log_softmax(0) for values in (row, other))
    found = js_divergence(p, q).item()
    assert 0 <= found <= math.log(2) + 1e-6
    assert js_divergence(q, p).item() == pytest.approx(found, abs=1e-6)
    order = torch.tensor(random.sample(range(len(row)), len(row)))
    assert js_divergence(p[order], q[order]).item() == pytest.approx(found, abs=1e-6)


def test_what_is_no_number_stays_none():
    assert js_divergence(torch.tensor([math.nan, 0.0]), torch.tensor([-1.0, -1.0])).isnan()
