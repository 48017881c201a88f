"""ReAct, DICE and ASH: by hand, and against the values of pytorch-ood 0.4.0."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from scorecraft.detect.activations import ash_b, ash_p, ash_s, dice_mask, react, react_threshold
from scorecraft.errors import ScorecraftError

FEATURES = torch.tensor([[1.0, 2.0, 3.0, 4.0, 0.0], [0.0, 0.5, 0.5, 2.0, 1.0]])


def test_react_by_hand():
    assert react_threshold(torch.arange(11.0).view(1, 11)) == pytest.approx(9.0)
    assert react(torch.tensor([[-1.0, 3.0]]), 2.0).tolist() == [[-1.0, 2.0]]


def test_dice_by_hand():
    # Contributions with mean features (2, 1): [[2, -2], [1, .5], [-2, 3]], median .75; their sizes have median 2.
    weight, mean = torch.tensor([[1.0, -2.0], [0.5, 0.5], [-1.0, 3.0]]), torch.tensor([2.0, 1.0])
    assert dice_mask(weight, mean, 50.0).tolist() == [[True, False], [True, False], [False, True]]
    assert dice_mask(weight, mean, 50.0, "absolute").tolist() == [[False, False], [False, False], [False, True]]


def test_ash_of_pytorch_ood():
    assert ash_p(FEATURES, 60.0).tolist() == [[0, 0, 3, 4, 0], [0, 0, 0, 2, 1]]
    assert ash_b(FEATURES, 60.0).tolist() == [[0, 0, 5, 5, 0], [0, 0, 0, 2, 2]]
    found = ash_s(FEATURES, 60.0)
    assert found[0].tolist() == pytest.approx([0, 0, 12.5182027817, 16.6909370422, 0])
    assert found[0, 2].item() == pytest.approx(3 * math.exp(10 / 7))
    assert found[1].tolist() == pytest.approx([0, 0, 0, 7.587336, 3.793668])


@pytest.mark.parametrize("shape", [ash_p, ash_b, ash_s])
def test_a_row_of_zeros_stays_so(shape):
    assert shape(torch.zeros(2, 3, 2), 50.0).tolist() == torch.zeros(2, 3, 2).tolist()


@given(st.integers(0, 1000), st.floats(0, 99))
def test_ash_keeps_so_many_and_ash_b_keeps_the_sum(seed, percentile):
    features = torch.rand(3, 2, 5, generator=torch.Generator().manual_seed(seed)) + 0.01
    wanted = max(1, 10 - round(10 * percentile / 100))
    for shape in (ash_p, ash_b, ash_s):
        assert (shape(features, percentile) > 0).flatten(1).sum(1).tolist() == [wanted] * 3
    torch.testing.assert_close(ash_b(features, percentile).flatten(1).sum(1), features.flatten(1).sum(1))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: react_threshold(torch.empty(0, 3)), "at least one training input"),
        (lambda: react_threshold(torch.ones(1, 3), 101.0), "percentile from 0 to 100"),
        (lambda: dice_mask(torch.ones(1, 3), torch.ones(3), -1.0), "percentile from 0 to 100"),
        (lambda: ash_p(FEATURES, 100.0), "below 100"),
        (lambda: ash_s(-FEATURES), "at least 0"),
        (lambda: ash_b(-FEATURES), "at least 0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: dice_mask(torch.ones(1, 3), torch.ones(3), 90.0, "both"), "signed"),  # pyright: ignore
    ],
)
def test_what_checked_types_refuse_too(call, said):
    with pytest.raises((ScorecraftError, TypeCheckError), match=f"{said}|Type-check error"):
        call()
