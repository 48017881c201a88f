"""Signal to noise of gradient estimates: by hand, without bias, and for several rewards of the same groups."""

from __future__ import annotations

import math

import pytest
import torch

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.signal_to_noise import signal_to_noise, ssl_snr


def test_two_draws_by_hand():
    # Mean (2, 0): 4. Variances 2 and 8: noise 10. Without bias 4 - 10 / 2 = -1.
    found = signal_to_noise(torch.tensor([[1.0, 2.0], [3.0, -2.0]]))
    assert (found.signal, found.noise, found.ratio) == pytest.approx((-1.0, 10.0, -0.1))


def test_gradients_without_spread():
    assert signal_to_noise(torch.ones(3, 2)).ratio == math.inf
    assert signal_to_noise(torch.zeros(3, 2)).ratio == 0.0


def test_the_estimate_has_no_bias():
    # Normal gradients of mean (0.1, 0.2) and deviation 1 in two dimensions: 0.05 / 2.
    draws = torch.randn(4000, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = [signal_to_noise(draw + torch.tensor([0.1, 0.2])).signal for draw in draws]
    assert sum(found) / len(found) == pytest.approx(0.05, abs=0.02)


def test_rewards_are_compared_on_the_same_groups():
    scores = torch.tensor([[[1.0], [-1.0]], [[2.0], [0.0]], [[1.0], [1.0]]], dtype=torch.float64)
    rewards = {
        "flat": torch.zeros(3, 2, dtype=torch.float64),
        "first": torch.tensor([[1.0, 0.0]] * 3, dtype=torch.float64),
    }
    found = ssl_snr(lambda reward: reward - reward.mean(1, keepdim=True), rewards, scores)
    assert found["flat"].ratio == 0.0
    # Advantages (1/2, -1/2): gradients 1/2, 1/2, 0; mean 1/3, variance 1/12.
    assert found["first"].noise == pytest.approx(1 / 12)
    assert found["first"].signal == pytest.approx(1 / 9 - 1 / 36)


@pytest.mark.parametrize(
    ("gradients", "said"),
    [(torch.ones(1, 2), "at least 2 gradients"), (torch.tensor([[1.0], [float("nan")]]), "not finite")],
)
def test_bad_input_is_named(gradients, said):
    with pytest.raises(ScorecraftError, match=said):
        signal_to_noise(gradients)
