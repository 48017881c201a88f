"""Distances to training features, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from scorecraft.detect.distances import fit_class_gaussians, knn_score, mahalanobis_score
from scorecraft.errors import ScorecraftError

TRAIN = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
ROWS = torch.tensor([[0.0, 0.0], [2.0, 0.0], [10.0, 1.0], [10.0, -1.0]])


@pytest.mark.parametrize(("k", "wanted"), [(1, 0.0), (2, math.sqrt(2)), (3, 2.0)])
def test_neighbours_by_hand(k, wanted):
    # Of length 1: (1, 0), (0, 1), (-1, 0), and the row (1, 0).
    assert knn_score(TRAIN, torch.tensor([[5.0, 0.0]]), k).tolist() == pytest.approx([wanted])


def test_gaussians_by_hand():
    # Means (1, 0) and (10, 0); centred rows (-1, 0), (1, 0), (0, 1), (0, -1): covariance I / 2.
    gaussians = fit_class_gaussians(ROWS, torch.tensor([7, 7, 3, 3]), ridge=0.0)
    assert gaussians.means.tolist() == [[10.0, 0.0], [1.0, 0.0]]
    assert gaussians.precision.tolist() == [pytest.approx([2.0, 0.0]), pytest.approx([0.0, 2.0])]
    assert mahalanobis_score(torch.tensor([[1.0, 2.0], [9.0, 0.0]]), gaussians).tolist() == pytest.approx([8.0, 2.0])


@given(st.integers(0, 1000))
def test_mahalanobis_is_blind_to_linear_maps_and_neighbours_to_length(seed):
    random = torch.Generator().manual_seed(seed)
    train, rows = torch.randn(30, 3, generator=random).double(), torch.randn(5, 3, generator=random).double()
    y = torch.arange(30) % 2
    change = torch.eye(3).double() + 0.2 * torch.randn(3, 3, generator=random).double()
    own = mahalanobis_score(rows, fit_class_gaussians(train, y, ridge=0.0))
    mapped = mahalanobis_score(rows @ change, fit_class_gaussians(train @ change, y, ridge=0.0))
    torch.testing.assert_close(mapped, own, rtol=1e-4, atol=1e-6)
    lengths = torch.rand(30, 1, generator=random).double() + 0.1
    torch.testing.assert_close(knn_score(train * lengths, rows * 7, 4), knn_score(train, rows, 4))


def test_no_rows_give_no_scores():
    assert knn_score(TRAIN, torch.empty(0, 2), 1).shape == (0,)
    gaussians = fit_class_gaussians(ROWS, torch.tensor([0, 0, 1, 1]))
    assert mahalanobis_score(torch.empty(0, 2), gaussians).shape == (0,)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: knn_score(TRAIN, TRAIN, 4), "k from 1 to 3"),
        (lambda: knn_score(TRAIN, TRAIN, 0), "k from 1 to 3"),
        (lambda: fit_class_gaussians(torch.ones(4, 2), torch.tensor([0, 0, 1, 1])), "cannot be inverted"),
        (lambda: mahalanobis_score(torch.ones(1, 3), fit_class_gaussians(ROWS, torch.zeros(4).long())), "one width"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: knn_score(TRAIN, torch.ones(1, 3), 1), "one width"),
        (lambda: fit_class_gaussians(ROWS, torch.tensor([0, 1])), "a class of each"),
    ],
)
def test_what_checked_types_refuse_too(call, said):
    with pytest.raises((ScorecraftError, TypeCheckError), match=f"{said}|Type-check error"):
        call()
