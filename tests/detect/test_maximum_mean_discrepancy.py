"""Discrepancies by hand, their bounds, and what the theory says of perturbation scores of normal data."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from scorecraft.detect.expected_perturbation_score import expected_perturbation_score, vp_marginal
from scorecraft.detect.maximum_mean_discrepancy import (
    GaussianKernel,
    MMDEstimate,
    median_scale,
    mmd2_biased,
    mmd2_of_each,
    mmd2_unbiased,
    power_criterion,
    squared_distances,
)
from scorecraft.errors import ScorecraftError, ScorecraftWarning

HALF = GaussianKernel(2.0)  # exp(-d^2 / 2)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def tables(kernel, x, y):
    return kernel(x, x), kernel(y, y), kernel(x, y)


def test_one_sample_against_a_reference_by_hand():
    # References 0 and 2: among them (1 + e^-2) / 2; of x = 1 both are at distance 1.
    found = mmd2_of_each(HALF, column(0, 2), column(1, 5, 0))
    among = (1 + math.exp(-2)) / 2
    assert found[0].item() == pytest.approx(among + 1 - 2 * math.exp(-0.5))
    assert found.tolist() == pytest.approx([0.3546063, 1.5565549, 0.4323324], abs=1e-7)


def test_two_samples_by_hand():
    estimate = mmd2_unbiased(*tables(HALF, column(0, 1, 2), column(0, 3, 5)))
    assert estimate.mmd2.item() == pytest.approx(0.0449999, abs=1e-7)
    assert estimate.variance.item() == pytest.approx(0.3951259, abs=1e-7)
    assert power_criterion(estimate).item() == pytest.approx(0.0715887, abs=1e-7)
    assert mmd2_biased(*tables(HALF, column(0, 1, 2), column(0, 3, 5))).item() == pytest.approx(0.4419012, abs=1e-7)


def test_the_smallest_sets_by_hand():
    # x = 0, 0 and y = 1, 1 with k(0, 1) = q: h_ij = 2 - 2 q everywhere.
    q = math.exp(-0.5)
    estimate = mmd2_unbiased(*tables(HALF, column(0, 0), column(1, 1)))
    assert estimate.mmd2.item() == pytest.approx(2 - 2 * q)
    assert estimate.variance.item() == pytest.approx(0, abs=1e-12)


def test_distances_and_median_by_hand():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    torch.testing.assert_close(squared_distances(x, x[:2]), torch.tensor([[0.0, 25.0], [25.0, 0.0], [1.0, 18.0]]))
    assert median_scale(x) == pytest.approx(18.0)
    torch.testing.assert_close(GaussianKernel(18.0)(x[:1], x[2:]), torch.tensor([[math.exp(-1 / 18)]]))


def test_what_samples_share_costs_no_digits():
    x = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(squared_distances(x + 1000, x + 1000), squared_distances(x, x), atol=5e-2, rtol=1e-2)


values = st.lists(st.floats(-3, 3), min_size=2, max_size=8)


@given(values, st.randoms())
def test_one_sample_scores_are_bounded_and_do_not_depend_on_company(reference, random):
    x = torch.linspace(-4, 4, 7, dtype=torch.float64)[:, None]
    found = mmd2_of_each(HALF, column(*reference), x)
    assert (found >= -1e-9).all()
    assert (found <= 2).all()
    shuffled = random.sample(reference, len(reference))
    torch.testing.assert_close(mmd2_of_each(HALF, column(*shuffled), x), found)
    alone = torch.cat([mmd2_of_each(HALF, column(*reference), row[None]) for row in x])
    torch.testing.assert_close(alone, found)
    # It is the biased discrepancy with a set of one.
    first = mmd2_biased(*tables(HALF, column(*reference), x[:1]))
    torch.testing.assert_close(first, found[0])


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=2, max_size=8))
def test_discrepancy_is_symmetric_and_the_biased_one_not_negative(pairs):
    x, y = column(*[a for a, _ in pairs]), column(*[b for _, b in pairs])
    there, back = mmd2_unbiased(*tables(HALF, x, y)), mmd2_unbiased(*tables(HALF, y, x))
    torch.testing.assert_close(there.mmd2, back.mmd2)
    torch.testing.assert_close(there.variance, back.variance)
    assert there.variance >= -1e-12
    assert mmd2_biased(*tables(HALF, x, y)) >= -1e-12
    same = mmd2_unbiased(*tables(HALF, x, x))
    assert same.mmd2.item() == pytest.approx(0, abs=1e-12)


def test_the_estimate_is_unbiased():
    # Of sets from one population it is 0 on average; the biased one is above 0.
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3000, 5, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    found = torch.stack([mmd2_unbiased(*tables(HALF, a, b)).mmd2 for a, b in zip(x, y, strict=True)])
    assert found.mean().item() == pytest.approx(0, abs=4 * found.std().item() / math.sqrt(3000))


def test_shifted_normal_data_are_further_from_natural_ones_than_these_among_themselves():
    generator, n, size, shift = torch.Generator().manual_seed(0), 300, 8, 0.3

    def score(x_t, t):
        m, s = (value[:, None] for value in vp_marginal(t))
        return -x_t / (m**2 * 0.25 + s**2)

    sets = [0.1 * torch.randn(n, size, generator=generator) + at for at in (0.0, 0.0, shift)]
    natural, other, shifted = (expected_perturbation_score(x, score, generator=generator) for x in sets)
    kernel = GaussianKernel(median_scale(natural))
    among = mmd2_unbiased(*tables(kernel, natural, other)).mmd2
    away = mmd2_unbiased(*tables(kernel, natural, shifted)).mmd2
    assert abs(among.item()) < 0.02
    assert away.item() > 0.5


def test_no_variance_is_warned_of():
    flat = torch.ones(3, 3)
    with pytest.warns(ScorecraftWarning, match="taken as 1e-08"):
        found = power_criterion(mmd2_unbiased(flat, flat, flat))
    assert found.item() == 0.0
    with pytest.warns(ScorecraftWarning, match="variance is -1"):
        found = power_criterion(MMDEstimate(torch.tensor(0.3), torch.tensor(-1.0)))
    assert found.item() == pytest.approx(0.3 / 1e-4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mmd2_unbiased(torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1)), "at least 2 samples, got 1"),
        (lambda: mmd2_of_each(HALF, column(), column(1)), "at least 2 samples, got 0"),
        (lambda: mmd2_of_each(HALF, column(1), column(1)), "at least 2 samples, got 1"),
        (lambda: median_scale(column(1)), "at least 2 samples, got 1"),
        (lambda: median_scale(column(1, 1, 1)), "give the kernel a scale"),
        (lambda: GaussianKernel(0.0), "scale above 0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_sets_of_unequal_size_are_refused():
    with pytest.raises((ScorecraftError, TypeCheckError)):
        mmd2_unbiased(torch.ones(3, 3), torch.ones(2, 2), torch.ones(3, 2))
