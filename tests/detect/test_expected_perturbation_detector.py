"""The detector on normal data whose score is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from scorecraft.detect.deep_kernel import DeepKernel
from scorecraft.detect.expected_perturbation_detector import ExpectedPerturbationDetector
from scorecraft.detect.expected_perturbation_score import expected_perturbation_score, vp_marginal
from scorecraft.detect.maximum_mean_discrepancy import GaussianKernel, median_scale, mmd2_of_each
from scorecraft.errors import ScorecraftError


def score(x_t, t):
    m, s = (value[:, None] for value in vp_marginal(t))
    return -x_t / (m**2 * 0.04 + s**2)


def samples(rows, shift=0.0, seed=0):
    found = 0.2 * torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed)) + shift
    return found.clamp(-1, 1)


def test_score_is_the_discrepancy_of_the_perturbation_scores():
    detector = ExpectedPerturbationDetector(score, levels=5, seed=7).fit(samples(30))
    natural, x = (
        expected_perturbation_score(each, score, levels=5, generator=torch.Generator().manual_seed(seed))
        for each, seed in ((samples(30), 7), (samples(10, 0.3, 1), 8))
    )
    expected = mmd2_of_each(GaussianKernel(median_scale(natural)), natural, x)
    torch.testing.assert_close(detector.predict_score(samples(10, 0.3, 1)), expected)


def test_shifted_samples_score_higher_and_the_threshold_holds():
    detector = ExpectedPerturbationDetector(score).fit(samples(300)).set_threshold(samples(400, seed=1), 0.95)
    assert detector.predict(samples(400, seed=2)).float().mean().item() == pytest.approx(0.05, abs=0.03)
    assert detector.predict(samples(100, 0.4, seed=3)).float().mean() > 0.9


def test_calls_are_repeatable_and_take_numpy():
    detector = ExpectedPerturbationDetector(score, levels=3).fit(samples(20).numpy())
    first = detector.predict_score(samples(5, seed=1))
    assert first.equal(detector.predict_score(samples(5, seed=1).numpy()))
    assert first.equal(ExpectedPerturbationDetector(score, levels=3).fit(samples(20)).predict_score(samples(5, seed=1)))


def test_with_common_noise_a_sample_scores_the_same_in_any_company():
    detector = ExpectedPerturbationDetector(score, common_noise=True).fit(samples(50))
    x = samples(8, seed=1)
    torch.testing.assert_close(detector.predict_score(x)[3:4], detector.predict_score(x[3:4]))


def test_references_are_as_many_as_asked_for():
    detector = ExpectedPerturbationDetector(score, references=10).fit(samples(50))
    assert detector.reference_ is not None
    assert detector.reference_.shape == (10, 6)


def test_a_deep_kernel_is_trained_on_attacked_samples():
    torch.manual_seed(0)
    kernel = DeepKernel(nn.Linear(6, 4), 1e4)
    x = torch.cat((samples(60), samples(60, 0.1, 1)))
    before = kernel.features.weight.detach().clone()
    detector = ExpectedPerturbationDetector(score, kernel=kernel, epochs=5, batch_size=30, levels=3)
    detector.fit(x, np.array([0] * 60 + [1] * 60))
    assert not kernel.features.weight.equal(before)
    assert detector.reference_ is not None
    assert len(detector.reference_) == 60
    assert not detector.predict_score(samples(4)).requires_grad


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ExpectedPerturbationDetector(score).predict_score(samples(3)), "call fit"),
        (lambda: ExpectedPerturbationDetector(score).fit(samples(3)).predict(samples(3)), "set_threshold"),
        (lambda: ExpectedPerturbationDetector(score).fit(samples(1)), "at least 2 natural samples, got 1"),
        (lambda: ExpectedPerturbationDetector(score).fit(samples(0)), "at least 1 sample"),
        (lambda: ExpectedPerturbationDetector(score, references=1), "at least 2 references"),
        (lambda: ExpectedPerturbationDetector(score).fit(samples(4), [0, 0, 1, 1]), "DeepKernel"),
        (lambda: ExpectedPerturbationDetector(score).fit(samples(4), [0, 0, 0, 2]), "0 or 1"),
        (lambda: ExpectedPerturbationDetector(score).fit(samples(4), [0, 0, 0]), "0 or 1"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
