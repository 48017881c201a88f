"""The bootstrap over bins against that over rows, its coverage, and input that cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.metrics import (
    calibration_error_interval,
    expected_calibration_error,
    maximum_calibration_error,
    squared_calibration_error,
)

MEASURES = {
    "expected": expected_calibration_error,
    "maximum": maximum_calibration_error,
    "squared": lambda y, p, **options: squared_calibration_error(y, p, debiased=False, **options),
    "debiased": squared_calibration_error,
}


def forecasts(rows, shift, seed):
    random = np.random.default_rng(seed)
    truth = random.random(rows) * (1 - shift)
    return random.random(rows) < truth, truth + shift, random


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("weighted", [False, True])
def test_it_agrees_with_resampling_rows(measure, weighted):
    labels, prob, random = forecasts(1500, 0.08, 3)
    weights = random.integers(1, 4, 1500).astype(float) if weighted else None
    function, options = MEASURES[measure], {"n_bins": 5, "sample_weight": weights}
    found = calibration_error_interval(labels, prob, measure=measure, method="percentile", resamples=4000, **options)
    drawn = []
    for _ in range(1500):
        rows = random.integers(1500, size=1500)
        picked = None if weights is None else weights[rows]
        drawn.append(function(labels[rows], prob[rows], n_bins=5, sample_weight=picked))
    low, high = np.quantile(drawn, (0.025, 0.975))
    assert found.estimate == function(labels, prob, **options)
    width = high - low
    assert found.low == pytest.approx(low, abs=0.12 * width)
    assert found.high == pytest.approx(high, abs=0.12 * width)


@pytest.mark.parametrize("shift", [0.0, 0.1])
@pytest.mark.parametrize("measure", ["expected", "debiased"])
def test_it_holds_the_true_error_as_often_as_it_says(measure, shift):
    # With equal shifts every bin has the same gap: the error is the shift, or its square.
    truth = shift if measure == "expected" else shift**2
    held = 0
    for seed in range(100):
        labels, prob, _ = forecasts(2000, shift, seed)
        found = calibration_error_interval(labels, prob, measure=measure, resamples=300, seed=seed)
        assert found.low <= found.estimate <= found.high
        held += found.low - 1e-12 <= truth <= found.high + 1e-12
    assert held >= 88


def test_classes_count_by_their_top_label():
    table = np.random.default_rng(0).dirichlet(np.ones(3), 300)
    labels = table.argmax(1)
    found = calibration_error_interval(labels, table)
    best = table.max(1)
    assert found == calibration_error_interval(np.ones(300), best)


def test_the_same_seed_gives_the_same_interval():
    labels, prob, _ = forecasts(500, 0.1, 0)
    first, second = (calibration_error_interval(labels, prob, strategy="quantile", seed=7) for _ in range(2))
    assert first == second
    assert first != calibration_error_interval(labels, prob, strategy="quantile", seed=8)


def test_perfect_and_constant_forecasts():
    assert calibration_error_interval([0, 1, 1], [0.0, 1.0, 1.0]) == (0.0, 0.0, 0.0)
    found = calibration_error_interval([0, 1, 1, 0], [0.5] * 4)
    assert found.estimate == found.low == 0.0
    assert 0 <= found.high <= 1


def test_rows_of_no_weight_are_not_drawn():
    labels, prob, _ = forecasts(400, 0.1, 1)
    weights = np.r_[np.ones(300), np.zeros(100)]
    with_them = calibration_error_interval(labels, prob, sample_weight=weights)
    assert with_them == pytest.approx(calibration_error_interval(labels[:300], prob[:300]), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"confidence": 0}, "confidence"),
        ({"method": "bca"}, "method"),
        ({"measure": "mean"}, "measure"),
        ({"resamples": 0}, "resamples"),
        ({"n_bins": 0}, "n_bins"),
        ({"sample_weight": [0, 0]}, "all weights are 0"),
        ({"sample_weight": [0, 1]}, "one row only"),
    ],
)
def test_bad_input_is_named(options, said):
    with pytest.raises(ScorecraftError, match=said):
        calibration_error_interval([0, 1], [0.5, 0.5], **options)
