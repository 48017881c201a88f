"""Sums in batches are those of all rows at once, and metrics of counts are within their stated bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.metrics import (
    average_precision,
    expected_calibration_error,
    fpr_at_tpr,
    log_losses,
    roc_auc,
    roc_auc_interval,
)
from scorecraft.metrics.binning import bin_sums
from scorecraft.metrics.score_counts import (
    area_under_roc,
    area_under_roc_interval,
    average_precision_interval_of,
    average_precision_of,
    count_scores,
    equal_weight_sums,
    false_alarms_at,
    false_alarms_interval,
)
from scorecraft.metrics.streaming import BinaryStream, Moments, ScoreBins, Scores, StreamedSums, coarser

ROWS = st.lists(
    st.tuples(st.booleans(), st.floats(0, 1, allow_subnormal=False) | st.sampled_from([0.0, 0.5, 1.0])),
    min_size=2, max_size=60,
)  # fmt: skip


def columns(rows):
    labels, prob = zip(*rows, strict=True)
    return np.array(labels), np.array(prob)


def random_rows(count=5000, seed=0):
    random = np.random.default_rng(seed)
    prob = random.beta(0.3, 0.5, count)
    return random.random(count) < prob, prob


@given(st.lists(st.lists(st.floats(-100, 100), max_size=8), max_size=6))
def test_moments_in_batches_are_those_of_all(batches):
    moments = Moments()
    for batch in batches:
        moments.add(np.array(batch, dtype=np.float64))
    whole = np.concatenate([np.array(batch, dtype=np.float64) for batch in batches]) if batches else np.zeros(0)
    assert moments.count == len(whole)
    if len(whole) > 1:
        assert moments.mean == pytest.approx(whole.mean(), abs=1e-9)
        assert moments.standard_error == pytest.approx(whole.std(ddof=1) / math.sqrt(len(whole)), abs=1e-8)
    else:
        assert moments.standard_error == math.inf


def test_equal_numbers_have_no_error():
    moments = Moments()
    for size in (3, 5):
        moments.add(np.full(size, 0.1))
    assert moments.standard_error == 0


@given(ROWS, st.integers(1, 59))
def test_sums_in_batches_are_those_of_all_and_of_coarser_bins(rows, cut):
    labels, prob = columns(rows)
    stream = StreamedSums()
    for part in (slice(0, cut), slice(cut, None)):
        stream.add(labels[part], prob[part])
    whole = bin_sums(labels, prob, 15, squares=True)
    found = coarser(stream.sums, 15)
    assert (found.rows == whole.rows).all()
    np.testing.assert_allclose(found.prob, whole.prob, atol=1e-12)
    np.testing.assert_allclose(found.squares, whole.squares, atol=1e-12)
    np.testing.assert_allclose(found.edges, whole.edges, atol=1e-15)


def test_coarser_bins_must_divide():
    with pytest.raises(ScorecraftError, match="divides 300"):
        coarser(StreamedSums().sums, 7)


@pytest.mark.parametrize("bits", [8, 12, 16, 20])
def test_bins_of_scores_are_in_order_and_no_wider_than_stated(bits):
    bins = ScoreBins(bits)
    random = np.random.default_rng(0)
    small = 2.0 ** -random.uniform(1, 60, 20_000)
    prob = np.sort(np.concatenate([small, 1 - small, random.random(20_000), [0, 0.5, 1]]))
    place = bins.place(prob)
    assert (np.diff(place) >= 0).all()
    assert place[0] == 0
    assert place[-1] == bins.size - 1
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    widths = np.maximum.reduceat(prob, starts) - np.minimum.reduceat(prob, starts)
    assert widths.max() <= 2.0**-bits
    # Half is alone.
    middle = bins.place(np.array([np.nextafter(0.5, 0), 0.5, np.nextafter(0.5, 1)]))
    assert len(set(middle.tolist())) == 3


def test_bits_out_of_range_are_told():
    with pytest.raises(ScorecraftError, match="8 to 20 bits"):
        ScoreBins(7)


@given(ROWS)
@settings(max_examples=50)
def test_metrics_of_counts_of_distinct_scores_are_exact(rows):
    labels, prob = columns(rows)
    if labels.all() or not labels.any():
        return
    counts = count_scores(labels, prob)
    for found, exact in (
        (area_under_roc(counts), roc_auc(labels, prob)),
        (average_precision_of(counts), average_precision(labels, prob)),
        (false_alarms_at(counts), fpr_at_tpr(labels, prob)),
    ):
        assert found.bound == 0
        assert found.value == pytest.approx(exact, abs=1e-12)


@given(ROWS, st.sampled_from([8, 10]))
@settings(max_examples=100)
def test_metrics_of_bins_are_within_their_bounds(rows, bits):
    labels, prob = columns(rows)
    # Many scores in few bins.
    prob = 0.5 + (prob - 0.5) / 64
    if labels.all() or not labels.any():
        return
    scores = Scores(bits)
    scores.add(labels[:7], prob[:7])
    scores.fold()
    scores.add(labels[7:], prob[7:])
    counts = scores.counts()
    for found, exact in (
        (area_under_roc(counts), roc_auc(labels, prob)),
        (average_precision_of(counts), average_precision(labels, prob)),
        (false_alarms_at(counts), fpr_at_tpr(labels, prob)),
    ):
        assert abs(found.value - exact) <= found.bound + 1e-12


def test_bins_of_many_rows_cost_little():
    labels, prob = random_rows(200_000)
    scores = Scores()
    scores.fold()
    scores.add(labels, prob)
    found = area_under_roc(scores.counts())
    assert found.bound < 1e-4
    assert abs(found.value - roc_auc(labels, prob)) <= found.bound
    sums, bound = equal_weight_sums(scores.counts(), 15)
    error = expected_calibration_error(labels, prob, n_bins=15, strategy="quantile")
    own = float(np.abs(sums.prob.sum(0) - sums.rows[1]).sum() / sums.rows.sum())
    assert bound < 0.01
    assert abs(own - error) <= bound


def test_delong_interval_of_counts_is_that_of_rows():
    labels, prob = random_rows(300)
    found, exact = area_under_roc_interval(count_scores(labels, prob)), roc_auc_interval(labels, prob)
    assert found is not None
    assert tuple(found) == pytest.approx(tuple(exact), abs=1e-12)


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 1], [0, 0, 1, 1]])
def test_no_variance_is_no_interval(labels):
    counts = count_scores(labels, np.linspace(0.1, 0.9, len(labels)))
    assert area_under_roc_interval(counts) is None


def test_one_class_is_told():
    counts = count_scores([1, 1], [0.1, 0.2])
    for function in (area_under_roc, average_precision_of, false_alarms_at, average_precision_interval_of):
        with pytest.raises(ScorecraftError, match="no row of the label 0"):
            function(counts)


def test_bootstrap_intervals_hold_the_estimate_and_shrink_with_rows():
    for function in (average_precision_interval_of, false_alarms_interval):
        widths = []
        for rows in (200, 20_000):
            found = function(count_scores(*random_rows(rows)))
            assert found.low <= found.estimate <= found.high
            widths.append(found.high - found.low)
        # A hundred times as many rows: a tenth of the width, by a factor of 2 either way.
        assert 0.05 < widths[1] / widths[0] < 0.2


def test_average_precision_by_hand():
    # From above: 1, 0, 1: precisions 1 and 2/3 at the positives.
    found = average_precision_of(count_scores([1, 0, 1], [0.9, 0.5, 0.2]))
    assert found.value == pytest.approx((1 + 2 / 3) / 2)


def test_a_stream_adds_what_its_rows_say():
    labels = np.array([True, False, True, False])
    prob = np.array([0.9, 0.8, 0.0, 0.25])
    stream = BinaryStream()
    for row in range(4):
        stream.add(labels[row : row + 1], prob[row : row + 1])
    totals = stream.totals()
    assert totals.rows == 4
    # (.1^2 + .8^2 + 1 + .25^2) / 4
    assert totals.brier.mean == pytest.approx((0.01 + 0.64 + 1 + 0.0625) / 4)
    # The third row was called impossible.
    assert totals.impossible == 1
    assert totals.log_loss.mean == pytest.approx(-np.log([0.9, 0.2, 0.75]).mean())
    assert np.isinf(log_losses(labels, prob)[2])
    # Gains .1, -.8, -1, .25: right and wrong less the larger probability.
    assert totals.balance.mean == pytest.approx((0.1 - 0.8 - 1 + 0.25) / 4)
    assert totals.confusion == (1, 1, 1, 1)


def test_a_stream_takes_empty_batches_and_the_same_after_folding():
    labels, prob = random_rows(1000)
    plain, folded = BinaryStream(), BinaryStream()
    folded.fold()
    for stream in (plain, folded):
        stream.add(labels[:0], prob[:0])
        for part in np.array_split(np.arange(1000), 3):
            stream.add(labels[part], prob[part])
    first, second = plain.totals(), folded.totals()
    assert first.brier.mean == second.brier.mean
    assert (first.sums.rows == second.sums.rows).all()
    assert first.counts.positives.sum() == second.counts.positives.sum()
