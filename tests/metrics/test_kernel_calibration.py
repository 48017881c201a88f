"""The kernel calibration error: pair by pair, without bias, and on input that cannot be."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.metrics import kernel_calibration_error


def pair_by_pair(labels, prob, kernel, width, weights=None, block=None):
    """Return the definition, with two loops."""
    prob = np.asarray(prob, dtype=float)
    rows = len(prob)
    weights = np.ones(rows) if weights is None else weights
    residual = labels - prob if prob.ndim == 1 else np.eye(prob.shape[1])[labels] - prob
    top = bottom = 0.0
    for i, j in product(range(rows), repeat=2):
        if i == j or (block and i // block != j // block):
            continue
        apart = np.abs(prob[i] - prob[j])
        if kernel == "gaussian":
            near = math.exp(-float((apart**2).sum()) / (2 * width**2))
        else:
            near = math.exp(-float(apart.sum()) / (1 if prob.ndim == 1 else 2) / width)
        top += weights[i] * weights[j] * near * float(np.dot(residual[i], residual[j]))
        bottom += weights[i] * weights[j]
    return top / bottom


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20), st.integers(1, 3)), min_size=2, max_size=15),
    st.sampled_from(["laplacian", "gaussian"]),
    st.sampled_from([1e-4, 0.05, 1.0]),
)
def test_one_column_is_the_sum_over_pairs(rows, kernel, width):
    labels, twentieths, weights = (np.array(column) for column in zip(*rows, strict=True))
    prob = twentieths / 20
    found = kernel_calibration_error(labels, prob, kernel=kernel, bandwidth=width, sample_weight=weights)
    assert found == pytest.approx(pair_by_pair(labels, prob, kernel, width, weights), abs=1e-12)


@pytest.mark.parametrize("kernel", ["laplacian", "gaussian"])
def test_classes_and_blocks(kernel):
    random = np.random.default_rng(0)
    table = random.dirichlet(np.ones(3), 23)
    labels = random.integers(3, size=23)
    found = kernel_calibration_error(labels, table, kernel=kernel, bandwidth=0.3)
    assert found == pytest.approx(pair_by_pair(labels, table, kernel, 0.3), abs=1e-12)
    blocks = kernel_calibration_error(labels, table, kernel=kernel, bandwidth=0.3, block_size=4)
    assert blocks == pytest.approx(pair_by_pair(labels, table, kernel, 0.3, block=4), abs=1e-12)
    column = table[:, 0]
    two = np.stack((1 - column, column), 1)
    wide = math.sqrt(2) if kernel == "gaussian" else 1.0  # in two columns the Euclidean distance is so much larger
    single = kernel_calibration_error(labels == 0, column, kernel=kernel, bandwidth=0.3)
    assert kernel_calibration_error(labels == 0, two, kernel=kernel, bandwidth=0.3 * wide) == pytest.approx(2 * single)


def test_many_rows_are_the_same_in_blocks_of_the_matrix_and_in_one_walk():
    random = np.random.default_rng(1)
    prob = random.random(1300)
    labels = random.random(1300) < prob**2
    two = np.stack((1 - prob, prob), 1)
    for width in (1e-3, 0.2):
        walked = kernel_calibration_error(labels, prob, bandwidth=width)
        assert kernel_calibration_error(labels, two, bandwidth=width) == pytest.approx(2 * walked, rel=1e-9)


def test_it_is_0_on_average_for_calibrated_probabilities():
    prob = [Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)]
    mean = 0.0
    for labels in product((0, 1), repeat=3):
        chance = math.prod(p if y else 1 - p for y, p in zip(labels, prob, strict=True))
        mean += float(chance) * kernel_calibration_error(labels, [float(p) for p in prob], bandwidth=0.5)
    assert mean == pytest.approx(0, abs=1e-12)


def test_it_sees_miscalibration():
    random = np.random.default_rng(2)
    prob = random.random(4000)
    good, bad = random.random(4000) < prob, random.random(4000) < prob**3
    assert abs(kernel_calibration_error(good, prob)) < 0.001
    assert kernel_calibration_error(bad, prob) > 0.01


def test_constant_probabilities_have_a_bandwidth_too():
    assert kernel_calibration_error([1, 0, 1], [0.5] * 3) == pytest.approx((0.25 - 0.25 - 0.25) / 3)


@pytest.mark.parametrize(
    ("labels", "prob", "options", "said"),
    [
        ([], [], {}, "no rows"),
        ([1], [0.5], {}, "one row only"),
        ([1, 0], [0.5, 0.5], {"sample_weight": [1, 0]}, "one row only"),
        ([1, 0], [0.5, 0.5], {"sample_weight": [1, -1]}, "at least 0"),
        ([1, 0], [0.5, 2.0], {}, r"in \[0, 1\]"),
        ([1, 0], [0.5, float("nan")], {}, "finite"),
        ([1, 0], [0.5], {}, "expected 1"),
        ([1, 0], [0.5, 0.5], {"bandwidth": 0}, "bandwidth"),
        ([1, 0], [0.5, 0.5], {"bandwidth": "mean"}, "bandwidth"),
        ([1, 0], [0.5, 0.5], {"kernel": "rbf"}, "kernel"),
        ([1, 0], [0.5, 0.5], {"block_size": 1}, "block_size"),
    ],
)
def test_bad_input_is_named(labels, prob, options, said):
    with pytest.raises(ScorecraftError, match=said):
        kernel_calibration_error(labels, prob, **options)
