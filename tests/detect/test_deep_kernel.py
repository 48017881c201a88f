"""The deep kernel by hand, and that its training finds the direction in which two sets differ."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scorecraft.detect.deep_kernel import DeepKernel, convolutional_features, train_deep_kernel
from scorecraft.detect.maximum_mean_discrepancy import GaussianKernel, median_scale, mmd2_of_each
from scorecraft.detect.ood_report import ood_report
from scorecraft.errors import ScorecraftError


class Doubled(nn.Module):
    def forward(self, x):
        return math.sqrt(2) * x.flatten(1)


def kernel_of(scale=100.0, feature_scale=15.0, smoothing=0.1):
    kernel = DeepKernel(Doubled(), scale, feature_scale=feature_scale)
    with torch.no_grad():
        kernel.smoothing_logit.fill_(math.log(smoothing / (1 - smoothing)))
    return kernel


def test_kernel_by_hand():
    # Squared distances 2 of the samples and 4 of the features.
    a, b = torch.zeros(1, 2), torch.ones(1, 2)
    assert kernel_of()(a, b).item() == pytest.approx((0.9 * math.exp(-4 / 15) + 0.1) * math.exp(-0.02))
    assert kernel_of()(a, b).item() == pytest.approx(0.7737056, abs=1e-6)
    assert kernel_of()(b, b).item() == pytest.approx(1.0)


def test_kernel_is_symmetric_between_0_and_1():
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    table = kernel_of(scale=4.0)(x, x)
    torch.testing.assert_close(table, table.T)
    torch.testing.assert_close(table.diagonal(), torch.ones(20))
    assert (table > 0).all()
    assert (table <= 1 + 1e-6).all()


def test_start_is_as_stated():
    for seed in range(20):
        kernel = DeepKernel(Doubled(), 200.0, smoothing=1e-2, generator=torch.Generator().manual_seed(seed))
        assert 0 < kernel.smoothing_logit.sigmoid().item() <= 0.01
        assert (kernel.scale_root**2).item() == pytest.approx(200, rel=1e-5)
        assert (kernel.feature_scale_root**2).item() == pytest.approx(15, rel=1e-5)


@pytest.mark.parametrize(
    ("size", "widths", "last"), [(32, (16, 32), 8), (8, (16, 32), 2), (224, (16, 32, 64, 128), 14)]
)
def test_features_have_the_published_shape(size, widths, last):
    net = convolutional_features(3, size, size, widths=widths)
    linear = net[-1]
    assert linear.in_features == widths[-1] * last**2
    norms = [module for module in net if isinstance(module, nn.BatchNorm2d)]
    assert [norm.num_features for norm in norms] == list(widths[1:])
    assert {norm.eps for norm in norms} == {0.8}
    if size <= 32:
        assert net.eval()(torch.zeros(2, 3, size, size)).shape == (2, 300)


def sets(rows, generator):
    """Return natural and shifted samples: a small shift in one of 16 directions of unequal spread."""
    spread = torch.linspace(2.0, 0.1, 16)
    natural, other = (torch.randn(rows, 16, generator=generator) * spread for _ in range(2))
    other[:, -1] += 0.6
    return natural, other


def test_training_finds_the_difference():
    generator = torch.Generator().manual_seed(0)
    natural, other = sets(400, generator)
    test_natural, test_other = sets(300, generator)
    torch.manual_seed(0)
    features = nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 16))
    kernel = DeepKernel(features, 100.0, generator=generator)
    history = train_deep_kernel(
        kernel, natural, other, epochs=60, learning_rate=1e-2, batch_size=200, generator=generator
    )
    assert len(history) == 60
    assert history[-1] > 2 * max(history[0], 0.1)
    assert not kernel.training

    def area(used):
        with torch.no_grad():
            return ood_report(*(mmd2_of_each(used, natural, x) for x in (test_natural, test_other))).auroc

    assert area(kernel) > 0.8
    assert area(GaussianKernel(median_scale(natural))) < 0.6


def test_training_is_repeatable():
    found = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(3)
        natural, other = sets(40, generator)
        kernel = DeepKernel(Doubled(), 100.0, generator=generator)
        found.append(train_deep_kernel(kernel, natural, other[:30], epochs=3, batch_size=10, generator=generator))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: DeepKernel(Doubled(), 0.0), "scale above 0"),
        (lambda: DeepKernel(Doubled(), 1.0, smoothing=0.0), "smoothing above 0"),
        (lambda: train_deep_kernel(kernel_of(), torch.ones(1, 2), torch.ones(4, 2)), "in a batch, got 1"),
        (lambda: train_deep_kernel(kernel_of(), torch.ones(4, 2), torch.ones(4, 2), batch_size=1), "batch, got 1"),
        (lambda: train_deep_kernel(kernel_of(), torch.ones(4, 2), torch.ones(4, 3)), "samples of shapes"),
        (lambda: train_deep_kernel(kernel_of(), torch.full((4, 2), math.nan), torch.ones(4, 2)), "not finite"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
