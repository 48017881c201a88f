"""AbeT: its values by hand, what the temperature does to both energies, and its heads."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import nn
from torch.nn import functional as F

from scorecraft.detect.learned_temperature_energy import (
    CosineHead,
    HeadOutput,
    LearnedTemperatureHead,
    LearnedTemperatureHead2d,
    abet_box_score,
    abet_pixel_score,
    abet_score,
    cosine_numerators,
    godin_score,
    two_temperature_energy,
)
from scorecraft.detect.ood_report import pixel_report
from scorecraft.errors import ScorecraftError, ScorecraftWarning


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_scores_by_hand():
    # log(e^1.6 + e^.4) = log 6.444857; log(e^8 + e^2) = log 2988.347.
    numerators, temperature = torch.tensor([[0.8, 0.2], [0.8, 0.2]]), torch.tensor([[0.5], [0.1]])
    logits = numerators / temperature
    assert abet_score(logits).tolist() == pytest.approx([-1.863282, -8.002476], abs=1e-6)
    assert two_temperature_energy(logits, temperature).tolist() == pytest.approx([-0.931641, -0.800248], abs=1e-6)
    output = HeadOutput(logits, numerators, temperature)
    assert godin_score(output).tolist() == pytest.approx([-0.8, -0.8])
    assert godin_score(output, "temperature").tolist() == pytest.approx([0.5, 0.1])


def test_the_lowest_temperature_overflows_nothing():
    assert abet_score(torch.tensor([[1e12, -1e12]])).tolist() == [torch.tensor(-1e12).item()]


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=5),
    st.floats(0.05, 1.0),
)
def test_the_temperature_pulls_the_two_energies_apart(cosines, temperature):
    g = torch.tensor([cosines], dtype=torch.float64)
    t = torch.tensor([[temperature]], dtype=torch.float64, requires_grad=True)
    p = (g / t).softmax(1)
    (ablated,) = torch.autograd.grad(abet_score(g / t).sum(), t)
    (whole,) = torch.autograd.grad(two_temperature_energy(g / t, t).sum(), t)
    assert ablated.item() == pytest.approx(((p * g).sum() / t**2).item(), abs=1e-8)
    assert whole.item() == pytest.approx((p * p.log()).sum().item(), abs=1e-8)  # minus the entropy, never above 0


def test_cosines_by_hand():
    weight, features = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[0.0, 5.0], [0.0, 0.0]])
    found = cosine_numerators(features, weight)
    shrunk = 5 / 5.0001
    assert found[0].tolist() == pytest.approx([0.8 * shrunk * shrunk, 2 / 2.0001 * shrunk])
    assert found[1].tolist() == [0.0, 0.0]
    # A feature vector of zeros: all logits 0 at any temperature.
    assert abet_score(found[1:] / 0.3).item() == pytest.approx(-math.log(2))
    zero = torch.zeros(1, 2, requires_grad=True)
    cosine_numerators(zero, weight).sum().backward()
    assert zero.grad is not None
    assert torch.isfinite(zero.grad).all()


@given(st.integers(0, 1000), st.floats(0.5, 100))
def test_cosines_are_bounded_and_blind_to_length(seed, scale):
    features = torch.randn(4, 6, generator=generator(seed)) * 100
    weight = torch.randn(3, 6, generator=generator(seed + 1))
    found = cosine_numerators(features, weight)
    assert (found.abs() <= 1).all()
    torch.testing.assert_close(cosine_numerators(features * scale, weight), found, atol=1e-4, rtol=0)


def test_the_head_is_made_of_its_formula():
    head = LearnedTemperatureHead(64, 10)
    assert head.cosine.weight.numel() == 640
    # 64 weights and a bias, and the scale and shift of the normalisation.
    assert sum(p.numel() for p in [*head.linear.parameters(), *head.norm.parameters()]) == 67
    spread = LearnedTemperatureHead(1000, 100).cosine.weight.std().item()
    assert spread == pytest.approx(math.sqrt(2 / 1000), rel=0.02)
    features = torch.randn(8, 64, generator=generator())
    output = head(features)
    unsure = features @ head.linear.weight.T + head.linear.bias
    unsure = (unsure - unsure.mean()) / (unsure.var(unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(output.temperature, unsure.sigmoid())
    torch.testing.assert_close(output.logits, output.numerators / output.temperature)
    assert output.numerators.shape == (8, 10)


def test_the_temperature_never_reaches_0():
    head = LearnedTemperatureHead(2, 3).eval()
    with torch.no_grad():
        head.linear.weight.fill_(-1e6)
    output = head(torch.ones(1, 2))
    assert output.temperature.item() == pytest.approx(1e-12)
    assert torch.isfinite(output.logits).all()
    assert torch.isfinite(abet_score(output.logits)).all()


def test_half_precision_features_keep_the_temperature_in_float32():
    head = LearnedTemperatureHead(4, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = head(torch.randn(5, 4, generator=generator()).bfloat16())
    assert {part.dtype for part in output} == {torch.float32}


def test_every_pixel_is_a_row():
    rows, pixels = LearnedTemperatureHead(5, 3).eval(), LearnedTemperatureHead2d(5, 3).eval()
    assert sum(p.numel() for p in [*pixels.convolution.parameters(), *pixels.norm.parameters()]) == 5 + 2
    with torch.no_grad():
        pixels.cosine.weight.copy_(rows.cosine.weight)
        pixels.convolution.weight.copy_(rows.linear.weight.view(1, 5, 1, 1))
        rows.linear.bias.zero_()
    features = torch.randn(2, 5, 4, 3, generator=generator())
    found, wanted = pixels(features), rows(features.permute(0, 2, 3, 1).reshape(-1, 5))
    for pixel, row in zip(found, wanted, strict=True):
        torch.testing.assert_close(pixel.permute(0, 2, 3, 1).reshape(row.shape), row)
    scores = abet_pixel_score(found.logits)
    assert scores.shape == (2, 4, 3)
    torch.testing.assert_close(scores.flatten(), abet_score(wanted.logits))
    torch.testing.assert_close(
        two_temperature_energy(found.logits, found.temperature, dim=1).flatten(),
        two_temperature_energy(wanted.logits, wanted.temperature),
    )


def test_a_segmentation_is_learned_and_its_pixels_scored():
    # Left half stripes across, right half stripes along; a third texture, a constant, in a square of test images.
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    labels = (x >= 32).long()
    image = torch.where(labels == 1, x % 4 < 2, y % 4 < 2).float()
    images = image + 0.1 * torch.randn(6, 64, 64, generator=generator())
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 12, 5, padding=2), nn.BatchNorm2d(12), nn.ReLU(), LearnedTemperatureHead2d(12, 2))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(net(images[:4, None]).logits, labels.expand(4, -1, -1)).backward()
        optimizer.step()
    net.eval()
    outside = torch.zeros(2, 64, 64, dtype=torch.bool)
    outside[:, 20:40, 10:30] = True
    tested = torch.where(outside, 0.5, images[4:])
    with torch.no_grad():
        logits = net(tested[:, None]).logits
    right = (logits.argmax(1) == labels)[~outside].float().mean()
    assert right > 0.9
    report = pixel_report(abet_pixel_score(logits), outside)
    assert 0 <= report.fpr95 <= 1
    assert report.auroc > 0.5


def test_boxes_are_scored_without_the_background():
    logits = torch.tensor([[1.0, 2.0, 50.0]])
    assert abet_box_score(logits).item() == pytest.approx(-math.log(math.e + math.e**2))
    assert abet_box_score(logits, 0).item() == pytest.approx(-50.0)
    assert abet_box_score(logits, None).item() == pytest.approx(-50.0)
    assert abet_box_score(torch.empty(0, 3)).shape == (0,)


def test_what_is_wrong_scores_higher_where_the_temperature_learned_it():
    # Three clusters, and a fourth region whose labels are drawn: there alone can the net not be right.
    random = generator(1)
    labels = torch.randint(3, (1200,), generator=random)
    features = torch.eye(8)[labels] * 3
    unsure = torch.arange(1200) % 4 == 0
    features[unsure] = torch.eye(8)[3] * 3
    features = features + 0.3 * torch.randn(1200, 8, generator=random)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), LearnedTemperatureHead(32, 3))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    for rows in torch.randint(1200, (300, 64), generator=random):
        optimizer.zero_grad()
        F.cross_entropy(net(features[rows]).logits, labels[rows]).backward()
        optimizer.step()
    output = net.eval()(features)
    right = output.logits.argmax(1) == labels
    assert 0.75 < right.float().mean() < 0.9
    scores = abet_score(output.logits)
    assert scores[right].mean() < scores[~right].mean() - 0.5
    assert output.temperature[unsure].mean() > output.temperature[~unsure].mean()


def test_a_single_class_is_warned_of():
    with pytest.warns(ScorecraftWarning, match="nothing is learned"):
        CosineHead(4, 1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: abet_score(torch.tensor([[math.nan, 0.0]])), "expected finite"),
        (lambda: abet_score(torch.tensor([[0.0, -math.inf]])), "expected finite"),
        (lambda: two_temperature_energy(torch.zeros(2, 3), torch.ones(2)), "temperatures above 0"),
        (lambda: two_temperature_energy(torch.zeros(2, 3), torch.zeros(2, 1)), "temperatures above 0"),
        (lambda: LearnedTemperatureHead(4, 3)(torch.zeros(1, 4)), "batch of 1 row"),
        (lambda: LearnedTemperatureHead2d(4, 3)(torch.zeros(1, 4, 1, 1)), "batch of 1 pixel"),
        (lambda: CosineHead(0, 3), "at least 1 feature"),
        (lambda: CosineHead(2, 0), "1 class"),
        (lambda: abet_box_score(torch.zeros(2, 3), 3), "class 3 cannot be left out of 3"),
        (lambda: abet_box_score(torch.zeros(2, 1)), "cannot be left out of 1"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_a_row_alone_is_fine_once_trained():
    assert LearnedTemperatureHead(4, 3).eval()(torch.zeros(1, 4)).logits.tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: CosineHead(4, 3)(torch.zeros(2, 5)), "width 4"),
        (lambda: godin_score(HeadOutput(*[torch.ones(1, 1)] * 3), "cosin"), "did you mean 'cosine'"),  # pyright: ignore
    ],
)
def test_what_checked_types_refuse_too(call, said):
    with pytest.raises((ScorecraftError, TypeCheckError), match=f"{said}|Type-check error"):
        call()
