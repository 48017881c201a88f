"""Calibration errors and reliability curves: exact references in fractions, and the libraries that have the same."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from scorecraft.errors import ScorecraftError
from scorecraft.metrics import (
    classwise_calibration_error,
    expected_calibration_error,
    l2_calibration_error,
    maximum_calibration_error,
    reliability_curve,
    squared_calibration_error,
    top_label,
)
from scorecraft.metrics.binning import BLOCK_ROWS, bin_sums
from scorecraft.stats.intervals import wilson_interval

# Labels, probabilities in hundredths (so that many stand on edges), whole weights.
rows_of = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 100), st.integers(0, 3)), min_size=1, max_size=30
).filter(lambda rows: any(weight for *_, weight in rows))
bins_of = st.integers(1, 12)


def uniform_groups(rows, n_bins, right_closed=False):
    groups = {}
    for label, hundredths, weight in rows:
        place = Fraction(hundredths, 100) * n_bins
        bin_ = ceil(place) - 1 if right_closed else floor(place)
        if weight:
            groups.setdefault(min(max(bin_, 0), n_bins - 1), []).append((label, Fraction(hundredths, 100), weight))
    return list(groups.values())


def quantile_groups(rows, n_bins):
    """A bin opens at the first probability up to which there is more weight than the bins below have."""
    total, values = sum(w for *_, w in rows), sorted({p for _, p, w in rows if w})
    edges = [
        next(value for value in values if sum(w for _, p, w in rows if p <= value) > Fraction(i * total, n_bins))
        for i in range(1, n_bins)
    ]
    groups = {}
    for y, p, w in rows:
        if w:
            groups.setdefault(sum(p >= edge for edge in edges), []).append((y, Fraction(p, 100), w))
    return list(groups.values())


def exact(groups):
    """Return expected, maximum, squared and debiased error."""
    total = sum(w for group in groups for *_, w in group)
    expected = maximum = squared = debiased = Fraction(0)
    for group in groups:
        weight = sum(w for *_, w in group)
        rate = Fraction(sum(w * y for y, _, w in group), weight)
        gap = rate - sum(w * p for _, p, w in group) / weight
        expected += Fraction(weight, total) * abs(gap)
        maximum = max(maximum, abs(gap))
        squared += Fraction(weight, total) * gap**2
        if len(group) > 1:
            squares = sum(w * w for *_, w in group)
            bias = rate * (1 - rate) * Fraction(squares, weight**2 - squares)
            debiased += Fraction(weight, total) * (gap**2 - bias)
    return expected, maximum, squared, debiased


def all_errors(rows, n_bins, strategy, right_closed=False):
    labels, hundredths, weights = (np.array(column) for column in zip(*rows, strict=True))
    options = {"n_bins": n_bins, "strategy": strategy, "right_closed": right_closed, "sample_weight": weights}
    return (
        expected_calibration_error(labels, hundredths / 100, **options),
        maximum_calibration_error(labels, hundredths / 100, **options),
        squared_calibration_error(labels, hundredths / 100, debiased=False, **options),
        squared_calibration_error(labels, hundredths / 100, **options),
    )


@given(rows_of, bins_of, st.booleans())
def test_bins_of_equal_width_are_exact(rows, n_bins, right_closed):
    groups = uniform_groups(rows, n_bins, right_closed)
    found = all_errors(rows, n_bins, "uniform", right_closed)
    assert found == pytest.approx([float(value) for value in exact(groups)], abs=1e-12)


@given(rows_of, bins_of)
def test_bins_of_equal_weight_are_exact(rows, n_bins):
    found = all_errors(rows, n_bins, "quantile")
    assert found == pytest.approx([float(value) for value in exact(quantile_groups(rows, n_bins))], abs=1e-12)


@given(rows_of, bins_of, st.sampled_from(["uniform", "quantile"]), st.randoms())
def test_the_order_of_rows_is_of_no_account(rows, n_bins, strategy, random):
    shuffled = random.sample(rows, len(rows))
    assert all_errors(shuffled, n_bins, strategy) == pytest.approx(all_errors(rows, n_bins, strategy), abs=1e-12)


@given(rows_of, bins_of, st.sampled_from(["uniform", "quantile"]))
def test_a_weight_of_two_is_a_row_twice_and_errors_stay_in_bounds(rows, n_bins, strategy):
    repeated = [(y, p, 1) for y, p, w in rows for _ in range(w)]
    weighted = all_errors(rows, n_bins, strategy)
    assert all_errors(repeated, n_bins, strategy)[:3] == pytest.approx(weighted[:3], abs=1e-12)
    assert 0 <= weighted[0] <= weighted[1] + 1e-12 <= 1 + 2e-12
    assert weighted[0] ** 2 <= weighted[2] + 1e-12


def test_bins_of_equal_weight_closed_on_the_right_are_those_of_the_mirrored_probabilities():
    hundredths = np.random.default_rng(4).integers(0, 101, 60)
    labels, weights = hundredths % 3 == 0, hundredths % 4 + 1
    options = {"n_bins": 7, "strategy": "quantile"}
    for sample_weight in (None, weights):
        mirrored = expected_calibration_error(~labels, 1 - hundredths / 100, sample_weight=sample_weight, **options)
        found = expected_calibration_error(
            labels, hundredths / 100, sample_weight=sample_weight, right_closed=True, **options
        )
        assert found == pytest.approx(mirrored)


def test_equal_weight_without_ties_means_equal_counts():
    prob = np.random.default_rng(0).random(1003)
    sums = bin_sums(prob < 0.5, prob, 10, "quantile")
    assert set(sums.rows.sum(0)) == {100, 101}
    ones = bin_sums(prob < 0.5, prob, 10, "quantile", sample_weight=np.ones(1003), right_closed=True)
    assert set(ones.rows.sum(0)) == {100, 101}


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_stated_tenths_are_on_their_edges_in_any_precision(kind):
    tenths = (np.arange(11) / 10).astype(kind)
    assert bin_sums(np.zeros(11), tenths, 10).rows[0].tolist() == [1] * 9 + [2]
    assert bin_sums(np.zeros(11), tenths, 10, right_closed=True).rows[0].tolist() == [2] + [1] * 9


def test_more_rows_than_a_block_are_one_pass_over_all():
    random = np.random.default_rng(1)
    prob = random.random(3 * BLOCK_ROWS + 7)
    labels, weights = random.random(len(prob)) < prob**2, random.random(len(prob))
    bins = np.minimum((prob * 15).astype(int), 14)
    gaps = np.bincount(bins, weights * (labels - prob))
    found = expected_calibration_error(labels, prob, sample_weight=weights)
    assert found == pytest.approx(np.abs(gaps).sum() / weights.sum(), rel=1e-9)
    # A bad number in the last block is found, and its row named.
    prob[-2] = np.nan
    with pytest.raises(ScorecraftError, match=f"row {len(prob) - 2} is nan"):
        expected_calibration_error(labels, prob)


def test_the_debiased_error_is_right_on_average():
    # Two rows in each of two bins, probabilities constant in a bin: the mean over all 16 labellings, by their chances.
    truth, said = (Fraction(1, 2), Fraction(4, 5)), (0.25, 0.75)
    mean = plain = Fraction(0)
    for outcome in range(16):
        labels = [outcome >> place & 1 for place in range(4)]
        chance = Fraction(1)
        for place, label in enumerate(labels):
            chance *= truth[place // 2] if label else 1 - truth[place // 2]
        prob = [said[0]] * 2 + [said[1]] * 2
        mean += chance * Fraction(squared_calibration_error(labels, prob, n_bins=2))
        plain += chance * Fraction(squared_calibration_error(labels, prob, n_bins=2, debiased=False))
    wanted = ((0.5 - 0.25) ** 2 + (0.8 - 0.75) ** 2) / 2
    assert float(mean) == pytest.approx(wanted, abs=1e-12)
    assert float(plain) > wanted + 0.05


def test_bins_of_one_row_have_documented_values():
    assert expected_calibration_error([1, 0], [0.9, 0.2], n_bins=10) == pytest.approx(0.15)
    assert maximum_calibration_error([1, 0], [0.9, 0.2], n_bins=10) == pytest.approx(0.2)
    assert squared_calibration_error([1, 0], [0.9, 0.2], n_bins=10) == 0.0
    assert l2_calibration_error([1, 1], [0.95, 0.95]) == pytest.approx(0.05)
    assert l2_calibration_error([1, 0], [0.5, 0.5]) == 0.0  # the square is -.25


def test_constant_scores_and_one_class():
    assert expected_calibration_error([1, 0, 1, 1], [0.5] * 4) == pytest.approx(0.25)
    assert expected_calibration_error([1, 0, 1, 1], [0.5] * 4, strategy="quantile") == pytest.approx(0.25)
    assert expected_calibration_error([1, 1], [0.75, 0.25], n_bins=1) == 0.5


def test_classes_by_hand():
    prob = [[0.75, 0.25, 0.0], [0.5, 0.5, 0.0]]
    right, confidence = top_label([0, 1], prob)
    assert right.tolist() == [True, False]  # a tie goes to the first class
    assert confidence.tolist() == [0.75, 0.5]
    assert expected_calibration_error([0, 1], prob, n_bins=2) == pytest.approx(abs(0.5 - 0.625))
    # Class 0: bin [.5, 1] has rate 1/2 and mean .625; class 1: .25 -> 0 and .5 -> 1; class 2: none and none.
    assert classwise_calibration_error([0, 1], prob, n_bins=2) == pytest.approx((0.125 + (0.25 + 0.5) / 2 + 0) / 3)
    assert classwise_calibration_error([0, 1], [0.25, 0.75], n_bins=1) == 0.0


@pytest.mark.parametrize("norm", ["l1", "max"])
def test_torchmetrics_has_the_same(norm):
    functional = pytest.importorskip("torchmetrics.functional.classification")
    random = np.random.default_rng(2)
    prob = random.random(2000)
    labels = random.random(2000) < prob**1.5
    ours = {"l1": expected_calibration_error, "max": maximum_calibration_error}[norm]
    theirs = functional.binary_calibration_error(torch.tensor(prob), torch.tensor(labels).long(), norm=norm)
    assert ours(labels, prob, right_closed=True) == pytest.approx(float(theirs), abs=1e-6)
    table = random.dirichlet(np.ones(4), 2000)
    classes = (table.cumsum(1) < random.random((2000, 1))).sum(1).clip(0, 3)
    theirs = functional.multiclass_calibration_error(torch.tensor(table), torch.tensor(classes), 4, norm=norm)
    assert ours(classes, table, right_closed=True) == pytest.approx(float(theirs), abs=1e-6)


@given(rows_of, bins_of, st.booleans())
def test_sklearn_has_the_same_curve(rows, n_bins, right_closed):
    labels, hundredths, _ = (np.array(column) for column in zip(*rows, strict=True))
    found = reliability_curve(labels, hundredths / 100, n_bins=n_bins, right_closed=right_closed)
    groups = uniform_groups([(y, p, 1) for y, p, _ in rows], n_bins, right_closed)
    groups.sort(key=lambda group: min(p for _, p, _ in group))
    assert found.rows.tolist() == [len(group) for group in groups]
    assert found.mean_prob == pytest.approx([float(sum(p for _, p, _ in g) / len(g)) for g in groups])
    assert found.rate == pytest.approx([sum(y for y, *_ in g) / len(g) for g in groups])
    # Where nothing is on an inner edge, which floating point decides for scikit-learn.
    if (
        right_closed
        and n_bins in {3, 7, 9, 11}
        and len(set(labels)) == 2
        and not (hundredths * n_bins % 100 == 0).any()
    ):
        rate, mean = calibration_curve(labels, hundredths / 100, n_bins=n_bins)
        assert found.rate == pytest.approx(rate)
        assert found.mean_prob == pytest.approx(mean)


@given(rows_of, bins_of)
def test_intervals_of_the_curve_are_wilsons(rows, n_bins):
    labels, hundredths, _ = (np.array(column) for column in zip(*rows, strict=True))
    found = reliability_curve(labels, hundredths / 100, n_bins=n_bins, confidence=0.9)
    for rate, low, high, count in zip(found.rate, found.low, found.high, found.rows, strict=True):
        wanted = wilson_interval(round(rate * count), int(count), 0.9)
        assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    assert found.weight.sum() == pytest.approx(1)
    assert (found.left <= found.mean_prob + 1e-12).all()
    assert (found.mean_prob <= found.right + 1e-12).all()


def test_equal_weights_of_any_size_leave_the_curve_as_it_is():
    labels, prob = [1, 0, 1, 1], [0.1, 0.1, 0.8, 0.85]
    plain, heavy = reliability_curve(labels, prob), reliability_curve(labels, prob, sample_weight=[7.0] * 4)
    for first, second in zip(plain, heavy, strict=True):
        assert first == pytest.approx(second)
    # Weights of 3 and 1 are worth 16 / 10 rows.
    one = reliability_curve([1, 0], [0.5, 0.5], sample_weight=[3, 1])
    z, rate, trials = 1.959964, 0.75, 1.6
    half = z * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    assert one.high[0] - one.low[0] == pytest.approx(2 * half, rel=1e-6)


@pytest.mark.parametrize(
    "metric",
    [
        expected_calibration_error,
        maximum_calibration_error,
        squared_calibration_error,
        l2_calibration_error,
        classwise_calibration_error,
        reliability_curve,
    ],
)
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize(
    ("labels", "prob", "weights", "said"),
    [
        ([], [], None, "no rows"),
        ([1, 0], [0.5], None, r"rows, expected"),
        ([1], [1.5], None, r"in \[0, 1\]"),
        ([1], [-0.1], None, r"in \[0, 1\]"),
        ([1], [float("nan")], None, "finite number"),
        ([1], ["high"], None, "expected numbers"),
        ([2], [0.5], None, "row 0 is 2"),
        ([float("nan")], [0.5], None, "finite number"),
        ([0, 1], [0.5, 0.5], [-1, 2], "weights of at least 0"),
        ([0, 1], [0.5, 0.5], [0, 0], "all weights are 0"),
        ([0], [[0.5, 0.6]], None, "sum to 1"),
    ],
)
def test_bad_input_is_named(metric, strategy, labels, prob, weights, said):
    with pytest.raises(ScorecraftError, match=said):
        metric(labels, prob, sample_weight=weights, strategy=strategy)


def test_bad_options_are_named():
    with pytest.raises(ScorecraftError, match="n_bins"):
        expected_calibration_error([1], [0.5], n_bins=0)
    with pytest.raises(ScorecraftError, match="strategy"):
        expected_calibration_error([1], [0.5], strategy="even")
    with pytest.raises(ScorecraftError, match="confidence"):
        reliability_curve([1], [0.5], confidence=1)
