"""Paired comparisons: by hand, against enumeration, their errors of both kinds, and input that cannot be."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.metrics import (
    brier_score,
    brier_scores,
    compare_losses,
    compare_metric,
    comparison_power,
    expected_calibration_error,
    log_loss,
    roc_auc,
)


def forecasts(rows, seed):
    random = np.random.default_rng(seed)
    truth = random.random(rows)
    labels = random.random(rows) < truth
    return labels, truth, np.clip(truth + random.normal(0, 0.2, rows), 0, 1)


def test_losses_of_rows_by_hand():
    first, second = [1.0, 2.0, 3.0, 4.0], [0.0, 1.5, 2.0, 4.5]
    found = compare_losses(first, second)
    apart = [1.0, 0.5, 1.0, -0.5]
    assert (found.first, found.second, found.difference) == (2.5, 2.0, 0.5)
    means = [abs(np.dot(signs, apart)) / 4 for signs in product((1, -1), repeat=4)]
    assert found.p_value == np.mean([mean >= 0.5 - 1e-12 for mean in means])
    assert found.standard_error == pytest.approx(np.std(apart, ddof=1) / 2)
    assert found.rows == 4
    # Power .8 at n rows asks for (z_.975 + z_.8) errors; errors shrink as 1 / sqrt(n).
    assert found.detectable == pytest.approx((1.959964 + 0.841621) * found.standard_error, rel=1e-5)
    assert found.rows_needed == pytest.approx(4 * (found.detectable / 0.5) ** 2)
    again = compare_losses(first, second, effect=found.detectable)
    assert again.power == pytest.approx(0.8, abs=1e-4)
    assert again.rows_needed == pytest.approx(4)


def test_both_ways_agree_on_a_mean():
    labels, good, bad = forecasts(300, 0)
    by_rows = compare_losses(brier_scores(labels, good), brier_scores(labels, bad))
    by_metric = compare_metric(brier_score, labels, good, bad)
    assert by_metric.difference == pytest.approx(by_rows.difference)
    width = by_rows.high - by_rows.low
    assert (by_metric.low, by_metric.high) == pytest.approx((by_rows.low, by_rows.high), abs=0.15 * width)
    assert by_metric.p_value == pytest.approx(by_rows.p_value, abs=0.02)
    assert by_metric.standard_error == pytest.approx(by_rows.standard_error, rel=0.15)


def test_any_metric():
    labels, good, bad = forecasts(400, 1)
    area = compare_metric(roc_auc, labels, good, bad, resamples=300, alternative="greater")
    assert area.difference == roc_auc(labels, good) - roc_auc(labels, bad) > 0
    assert area.p_value < 0.05
    assert compare_metric(roc_auc, labels, good, bad, resamples=300, alternative="less").p_value > 0.9
    ece = compare_metric(expected_calibration_error, labels, good, bad, resamples=300)
    assert ece.low < ece.difference < ece.high < 0 or ece.low < ece.difference < 0
    assert ece == compare_metric(expected_calibration_error, labels, good, bad, resamples=300)


def test_classes_are_exchanged_by_rows():
    random = np.random.default_rng(2)
    good = random.dirichlet(np.ones(3), 200)
    labels = good.argmax(1)
    bad = random.dirichlet(np.ones(3), 200)
    found = compare_metric(brier_score, labels, good, bad, resamples=99)
    assert found.difference < 0
    assert found.p_value == 1 / 100


def test_equal_models_differ_in_nothing():
    labels, good, _ = forecasts(50, 3)
    for found in (
        compare_metric(roc_auc, labels, good, good, resamples=50),
        compare_losses(brier_scores(labels, good), brier_scores(labels, good), resamples=50),
    ):
        assert (found.difference, found.low, found.high, found.standard_error, found.p_value) == (0, 0, 0, 0, 1)
        assert found.power == pytest.approx(0.05)
        assert found.rows_needed == math.inf


def test_it_errs_as_often_as_it_says_and_its_power_is_what_happens():
    rejected, detected, powers = 0, 0, []
    for seed in range(150):
        random = np.random.default_rng(seed)
        noise = random.normal(0, 1, 60)
        first = random.normal(0, 1, 60)
        rejected += compare_losses(first, first + noise, resamples=199).p_value <= 0.05
        better = compare_losses(first, first + noise + 0.3, effect=-0.3, resamples=199)
        detected += better.p_value <= 0.05
        powers.append(better.power)
    assert rejected <= 17
    assert detected / 150 == pytest.approx(np.mean(powers), abs=0.12)


def test_power_by_hand():
    assert comparison_power(0, 1) == pytest.approx(0.05)
    assert comparison_power(1.959964, 1) == pytest.approx(0.5, abs=1e-4)
    assert comparison_power(-1.959964, 1) == comparison_power(1.959964, 1)
    assert comparison_power(1.644854, 1, alternative="greater") == pytest.approx(0.5, abs=1e-6)
    assert comparison_power(1.644854, 1, alternative="less") == pytest.approx(0.0005, abs=1e-4)
    assert comparison_power(0.1, 0) == 1.0
    assert comparison_power(0.1, 0, alternative="less") == pytest.approx(0.05)


def test_resamples_of_one_class_are_drawn_again():
    labels = [1, 0, 0, 0, 0, 0]
    with pytest.raises(ScorecraftError, match=r"undefined on .* resamples.*no row of the label 1"):
        compare_metric(roc_auc, labels, range(6), range(6), resamples=100)
    found = compare_metric(roc_auc, [1, 1, 1, 1, 0, 0, 0, 0], range(8), [3, 1, 2, 0, 4, 5, 6, 7], resamples=100)
    assert -1 <= found.low <= found.high <= 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: compare_losses([], []), "no rows"),
        (lambda: compare_losses([1.0], [1.0]), "at least 2"),
        (lambda: compare_losses([1.0, 2.0], [1.0]), "expected 2"),
        (lambda: compare_losses([1.0, math.inf], [1.0, 2.0]), "finite"),
        (lambda: compare_losses([1.0, 2.0], [1.0, 3.0], confidence=1), "confidence"),
        (lambda: compare_metric(roc_auc, [0, 1], [0.1, 0.2], [0.1]), "two equal columns"),
        (lambda: compare_metric(roc_auc, [0], [0.1], [0.1]), "1 rows"),
        (lambda: compare_metric(roc_auc, [0, 0], [0.1, 0.2], [0.1, 0.2]), "no row of the label 1"),
        (lambda: compare_metric(log_loss, [0, 1], [0.1, 0.0], [0.1, 0.2]), "metric is inf"),
        (lambda: compare_metric(roc_auc, [0, 1], [0.1, 0.2], [0.1, 0.2], resamples=0), "resamples"),
        (lambda: compare_metric(roc_auc, [0, 1], [0.1, 0.2], [0.1, 0.2], confidence=0), "confidence"),
        (lambda: compare_metric(roc_auc, [0, 1], [0.1, 0.2], [0.1, 0.2], alternative="more"), "alternative"),
        (lambda: comparison_power(1, -1), "standard error"),
        (lambda: comparison_power(math.nan, 1), "finite effect"),
        (lambda: comparison_power(1, 1, confidence=2), "confidence"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
