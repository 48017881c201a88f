"""The expected perturbation score against the closed form of normal data, and the adapters of diffusion models."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import nn

from scorecraft.detect.expected_perturbation_score import (
    expected_perturbation_score,
    perturbation_score_norms,
    perturbed_scores,
    score_from_denoiser,
    vp_marginal,
)
from scorecraft.errors import ScorecraftError, ScorecraftWarning


def normal_score(mean, variance):
    """Return the score of normal data: p_t is N(m mean, (m^2 variance + s^2) I)."""

    def score(x_t, t):
        m, s = (value.view(-1, *(1,) * (x_t.ndim - 1)) for value in vp_marginal(t))
        return -(x_t - m * mean) / (m**2 * variance + s**2)

    return score


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("t", "mean", "deviation"),
    [
        (0.001, 0.9999450, 0.0104854),
        (0.005, 0.9996257, 0.0273582),
        (0.020, 0.9970145, 0.0772150),
        (0.050, 0.9851735, 0.1715609),
    ],
)
def test_marginal_by_hand(t, mean, deviation):
    m, s = vp_marginal(torch.tensor(t))
    assert m.item() == pytest.approx(mean, abs=5e-8)
    assert s.item() == pytest.approx(deviation, abs=5e-8)


@pytest.mark.parametrize(
    ("levels", "variance", "expected"), [(20, 1.0, -0.9987623), (20, 0.25, -3.9657594), (50, 0.25, -3.8538824)]
)
def test_normal_data_have_the_closed_form(levels, variance, expected):
    # The score is linear, so that antithetic noise leaves nothing but the expectation.
    x = torch.tensor([[1.0], [0.0], [-0.5]])
    found = expected_perturbation_score(
        x, normal_score(0.0, variance), levels=levels, repeats=2, antithetic=True, generator=seeded()
    )
    assert found.flatten().tolist() == pytest.approx([expected, 0.0, -expected / 2], abs=2e-5)


def test_a_sample_at_the_mean_scores_nothing():
    mean = torch.tensor([0.3, -0.7])
    found = expected_perturbation_score(
        mean[None], normal_score(mean, 0.25), repeats=2, antithetic=True, generator=seeded()
    )
    torch.testing.assert_close(found, torch.zeros(1, 2), atol=1e-5, rtol=0)


def test_averaged_noise_has_the_spread_of_its_mean():
    # Noise of a level in the score is s z / (m^2 v + s^2) = s z for v = 1; over 20 levels of m = 1 or nearly.
    x = torch.zeros(20_000, 1)
    found = expected_perturbation_score(x, normal_score(0.0, 1.0), generator=seeded())
    deviations = [vp_marginal(torch.tensor(k / 1000))[1].item() for k in range(1, 21)]
    expected = math.sqrt(sum(s**2 for s in deviations)) / 20
    assert found.std().item() == pytest.approx(expected, rel=0.03)
    assert found.mean().item() == pytest.approx(0, abs=4 * expected / math.sqrt(20_000))


def test_without_perturbation_the_sample_itself_is_scored():
    x = torch.tensor([[0.5, -1.0]])
    found = expected_perturbation_score(x, lambda x_t, t: x_t * t[:, None], levels=4, step=0.1, perturb=False)
    # The mean of .1, .2, .3, .4.
    torch.testing.assert_close(found, 0.25 * x)


def test_levels_are_those_of_the_grid_and_one_call_each():
    called = []

    def score(x_t, t):
        called.append((len(x_t), t.unique().tolist()))
        return torch.zeros_like(x_t)

    expected_perturbation_score(torch.zeros(7, 2), score, levels=3, step=0.01, repeats=4)
    assert [rows for rows, _ in called] == [28] * 3
    assert [t for _, (t,) in called] == pytest.approx([0.01, 0.02, 0.03])


def test_running_means_of_levels_are_the_score_of_fewer():
    x, score = torch.rand(5, 3) - 0.5, normal_score(0.1, 0.5)
    each = torch.stack(list(perturbed_scores(x, score, levels=6, generator=seeded(3))))
    found = expected_perturbation_score(x, score, levels=4, generator=seeded(3))
    torch.testing.assert_close(found, each[:4].mean(0))
    norms = perturbation_score_norms(x, score, levels=6, generator=seeded(3))
    torch.testing.assert_close(norms, each.norm(dim=2).T)


@given(st.integers(1, 9), st.integers(1, 30), st.sampled_from([1, 2]))
def test_batches_do_not_change_the_result(rows, batch_size, repeats):
    x = torch.linspace(-1, 1, rows * 4).view(rows, 1, 2, 2)
    score = normal_score(0.2, 0.3)
    whole = expected_perturbation_score(x, score, levels=3, repeats=repeats, generator=seeded(5))
    parts = expected_perturbation_score(x, score, levels=3, repeats=repeats, batch_size=batch_size, generator=seeded(5))
    torch.testing.assert_close(parts, whole)


def test_common_noise_is_shared_by_samples_and_by_sets():
    x = torch.tensor([[0.3], [-0.2], [0.3]])
    score = normal_score(0.0, 1.0)
    found = expected_perturbation_score(x, score, common_noise=True, generator=seeded(1))
    alone = expected_perturbation_score(x[1:2], score, common_noise=True, generator=seeded(1))
    assert found[0] == found[2]
    torch.testing.assert_close(found[1:2], alone)
    fresh = expected_perturbation_score(x, score, generator=seeded(1))
    assert fresh[0] != fresh[2]


def test_equal_seeds_give_equal_scores():
    x, score = torch.rand(4, 3), normal_score(0.0, 1.0)
    a, b, c = (expected_perturbation_score(x, score, generator=seeded(seed)) for seed in (1, 1, 2))
    assert a.equal(b)
    assert not a.equal(c)


@pytest.mark.parametrize("predicts", ["noise", "data", "velocity"])
def test_a_perfect_denoiser_of_normal_data_has_its_score(predicts):
    mean, variance = 0.4, 0.3

    def denoiser(x_t, own_time):
        m, s = (value[:, None] for value in vp_marginal(own_time / 999))
        # E[z | x_t] and E[x | x_t] of a normal pair.
        away, total = x_t - m * mean, m**2 * variance + s**2
        noise, data = s * away / total, mean + m * variance * away / total
        return {"noise": noise, "data": data, "velocity": m * noise - s * data}[predicts]

    x_t, t = torch.randn(6, 2, generator=seeded()), torch.tensor([0.01, 0.05, 0.1, 0.3, 0.7, 1.0])
    torch.testing.assert_close(
        score_from_denoiser(denoiser, predicts)(x_t, t), normal_score(mean, variance)(x_t, t), atol=1e-4, rtol=1e-4
    )


def test_the_variance_half_of_the_channels_is_left_out():
    x_t, t = torch.ones(2, 3, 4, 4), torch.full((2,), 0.02)

    def model(x_t, own_time):
        assert own_time.tolist() == pytest.approx([19.98] * 2)
        return torch.cat((x_t, 100 * x_t), dim=1)

    found = score_from_denoiser(model, learned_variance=True)(x_t, t)
    torch.testing.assert_close(found, -x_t / 0.0772150)


def test_a_module_is_scored_in_evaluation_mode_and_left_as_it_was():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.weight = nn.Dropout(0.5), nn.Parameter(torch.ones(()))

        def forward(self, x_t, t):
            return self.drop(torch.ones_like(x_t)) * self.weight

    for made in (net := Net(), score_from_denoiser(net)):
        found = expected_perturbation_score(torch.zeros(3, 50), made, levels=1)
        assert len(found.unique()) == 1
        assert not found.requires_grad
        assert net.training


def test_values_out_of_range_are_warned_of():
    with pytest.warns(ScorecraftWarning, match="reach 1.5"):
        expected_perturbation_score(torch.tensor([[1.5]]), normal_score(0.0, 1.0))


@pytest.mark.filterwarnings("error")
def test_a_rounding_beyond_the_range_is_not():
    expected_perturbation_score(torch.tensor([[1.0009]]), normal_score(0.0, 1.0))
    expected_perturbation_score(torch.zeros(1, 1), normal_score(0.0, 1.0), levels=1000)


def infinite_late(x_t, t):
    return torch.where(t[:, None] > 0.0025, math.inf, x_t)


X = torch.zeros(2, 1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: expected_perturbation_score(X, normal_score(0, 1), levels=0), "levels must be at least 1"),
        (lambda: expected_perturbation_score(X, normal_score(0, 1), levels=11, step=0.1), "end at time 1.1"),
        (lambda: expected_perturbation_score(X, normal_score(0, 1), step=0.0), "times above 0"),
        (lambda: expected_perturbation_score(X, normal_score(0, 1), repeats=0), "repeats must be"),
        (lambda: expected_perturbation_score(X, normal_score(0, 1), batch_size=0), "batch_size must be"),
        (lambda: expected_perturbation_score(X[:0], normal_score(0, 1)), "at least 1 sample"),
        (lambda: expected_perturbation_score(X, normal_score(0, 1), repeats=3, antithetic=True), "even repeats, got 3"),
        (lambda: expected_perturbation_score(X, normal_score(0, 1), repeats=2, perturb=False), "use repeats=1"),
        (lambda: expected_perturbation_score(X, infinite_late), "level 3 .t = 0.003.: holds numbers"),
        (lambda: expected_perturbation_score(X, lambda x, t: x[:, 0]), "level 1 .t = 0.001.: has shape"),
        (lambda: perturbed_scores(X, normal_score(0, 1), levels=0), "levels must be at least 1"),
        (lambda: score_from_denoiser(lambda x, t: x)(X, torch.zeros(2)), "not defined at time 0"),
        (lambda: score_from_denoiser(lambda x, t: torch.cat((x, x), 1))(X, torch.ones(2)), "learned_variance=True"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_an_unknown_prediction_is_refused():
    with pytest.raises((ScorecraftError, TypeCheckError)):
        score_from_denoiser(lambda x, t: x, "score")
