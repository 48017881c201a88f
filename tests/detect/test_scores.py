"""Scores of logits: by hand, and against the values of pytorch-ood 0.4.0."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from scorecraft.detect.scores import LOGIT_SCORES, energy_score, entropy_score, max_logit_score, msp_score, odin_score
from scorecraft.errors import ScorecraftError, ScorecraftWarning

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.3, -1.2, 4.0], [-5.0, -5.0, -5.5]])


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (msp_score(LOGITS), [-0.6652409434, -0.9706475735, -0.3836517334]),
        (msp_score(LOGITS, 2.0), [-0.5064803958, -0.8120107651, -0.3598674834]),
        (energy_score(LOGITS), [-2.4076058865, -4.029791832, 4.0419797897]),
        (energy_score(LOGITS, 2.0), [-3.3605394363, -4.4164834023, 2.9559612274]),
        (max_logit_score(LOGITS), [-2.0, -4.0, 5.0]),
        (entropy_score(LOGITS), [0.8323955536, 0.1464279294, 1.0743684769]),
    ],
)
def test_values_of_pytorch_ood(found, wanted):
    assert found.tolist() == pytest.approx(wanted, abs=1e-6)


def test_by_hand():
    row = torch.tensor([[math.log(3.0), 0.0]])  # probabilities 3/4 and 1/4
    assert msp_score(row).item() == pytest.approx(-0.75)
    assert energy_score(row).item() == pytest.approx(-math.log(4))
    assert entropy_score(row).item() == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))


def test_entropy_of_a_probability_that_underflows_is_0():
    assert entropy_score(torch.tensor([[1e4, 0.0]])).tolist() == [0.0]


@pytest.mark.parametrize("score", LOGIT_SCORES.values())
def test_pixels_are_rows(score):
    pixels = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    rows = score(pixels.permute(0, 2, 3, 1).reshape(-1, 3)).view(2, 4, 5)
    torch.testing.assert_close(score(pixels, dim=1), rows)


def test_half_precision_is_scored_in_float32():
    found = energy_score(torch.tensor([[100.0, 100.0]], dtype=torch.float16))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(-100 - math.log(2), abs=1e-5)
    assert energy_score(torch.zeros(1, 2, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("score", LOGIT_SCORES.values())
def test_no_rows_give_no_scores(score):
    assert score(torch.empty(0, 3)).shape == (0,)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=6), st.floats(-50, 50), st.floats(0.1, 10))
def test_shifts_and_bounds(values, shift, temperature):
    z = torch.tensor([values], dtype=torch.float64)
    for score in LOGIT_SCORES.values():
        assert score(z.flip(1)).item() == pytest.approx(score(z).item(), abs=1e-9)
    assert energy_score(z + shift, temperature).item() == pytest.approx(energy_score(z, temperature).item() - shift)
    assert msp_score(z + shift).item() == pytest.approx(msp_score(z).item())
    # The energy is a smooth maximum: below the hard one by at most T log C.
    gap = max_logit_score(z).item() - energy_score(z, temperature).item()
    assert -1e-9 <= gap <= temperature * math.log(len(values)) + 1e-9
    assert -1 <= msp_score(z).item() <= -1 / len(values) + 1e-12
    assert -1e-12 <= entropy_score(z).item() <= math.log(len(values)) + 1e-12


def linear(weight, bias):
    model = nn.Linear(2, len(bias)).eval()
    with torch.no_grad():
        model.weight.copy_(torch.tensor(weight))
        model.bias.copy_(torch.tensor(bias))
    return model


def test_odin_by_hand():
    # Two classes: the gradient of the cross-entropy is p_1 (w_1 - w_0), of signs (-, +), so that x' = (.1, -.1).
    # That of the raw logit alone would be -w_0, of signs (-, -). Logits at x': 10 and .09 - .3.
    model = linear([[1.0, 1.0], [0.9, 3.0]], [10.0, 0.0])
    found = odin_score(model, torch.zeros(1, 2), temperature=1000.0, epsilon=0.1)
    assert found.item() == pytest.approx(-1 / (1 + math.exp(-10.21 / 1000)), abs=1e-7)
    assert model.weight.grad is None


def test_odin_of_pytorch_ood():
    model = linear([[1.0, -2.0], [0.5, 0.5], [-1.0, 3.0]], [0.1, -0.2, 0.3])
    x = torch.tensor([[0.5, -0.3], [1.2, 0.4], [-0.7, 0.9]])
    with torch.no_grad():
        cold = odin_score(model, x, temperature=1.0, epsilon=0.1)
        hot = odin_score(model, x, temperature=1000.0, epsilon=0.1)
        moved = torch.tensor([[0.7, -0.35], [1.4, 0.45], [-0.9, 0.95]])
        own_std = odin_score(model, x, temperature=10.0, epsilon=0.1, std=[0.5, 2.0])
        assert own_std.tolist() == pytest.approx(msp_score(model(moved), 10.0).tolist())
    assert cold.tolist() == pytest.approx([-0.7989240289, -0.3906938434, -0.9841460586], abs=1e-6)
    assert hot.tolist() == pytest.approx([-0.3338446021, -0.3333888948, -0.3345564902], abs=1e-6)


def test_std_is_of_the_channels_of_images():
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 2)).eval()
    x = torch.randn(3, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(odin_score(model, x, std=[0.5, 0.5]), odin_score(model, x, epsilon=0.0028))


def test_a_single_class_tells_nothing():
    for score in (msp_score, entropy_score):
        with pytest.warns(ScorecraftWarning, match="single class"):
            score(torch.zeros(2, 1))
    assert energy_score(torch.ones(2, 1)).tolist() == [-1.0, -1.0]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: msp_score(torch.tensor([[0.0, math.nan]])), r"logit \(0, 1\) is nan"),
        (lambda: energy_score(torch.tensor([[math.inf, 0.0]])), "expected finite"),
        (lambda: energy_score(torch.zeros(1, 2), 0.0), "temperature above 0"),
        (lambda: max_logit_score(torch.zeros(3, 0)), "no class"),
        (lambda: odin_score(linear([[1.0, 1.0]], [0.0]).train(), torch.zeros(1, 2)), "training mode"),
        (lambda: odin_score(lambda x: x[:, 0], torch.zeros(1, 2)), "logits"),
        (lambda: odin_score(nn.Identity().eval(), torch.zeros(1, 2), std=[1.0]), "std above 0 for every channel"),
        (lambda: odin_score(nn.Identity().eval(), torch.zeros(1, 2), std=[1.0, 0.0]), "std above 0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
