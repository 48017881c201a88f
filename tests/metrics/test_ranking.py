"""Ranking metrics: exact references in fractions, scikit-learn, intervals against plain resampling."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, fbeta_score, matthews_corrcoef, roc_auc_score

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.metrics import (
    average_precision,
    average_precision_interval,
    delong_test,
    f_beta,
    fpr_at_tpr,
    fpr_at_tpr_interval,
    g_mean,
    matthews_correlation,
    roc_auc,
    roc_auc_interval,
)

rows_of = st.lists(st.tuples(st.integers(0, 1), st.integers(-4, 4), st.integers(1, 3)), min_size=2, max_size=20).filter(
    lambda rows: {y for y, *_ in rows} == {0, 1}
)


def split(rows):
    return [(s, w) for y, s, w in rows if y], [(s, w) for y, s, w in rows if not y]


def columns(rows):
    return (list(column) for column in zip(*rows, strict=True))


@given(rows_of)
def test_areas_are_exact(rows):
    positives, negatives = split(rows)
    labels, scores, weights = columns(rows)
    wins = sum(Fraction(w * v) * (Fraction(1, 2) if s == t else int(s > t)) for s, w in positives for t, v in negatives)
    exact = wins / (sum(w for _, w in positives) * sum(w for _, w in negatives))
    assert roc_auc(labels, scores, sample_weight=weights) == pytest.approx(float(exact), abs=1e-13)
    caught = alarms = 0
    precision = Fraction(0)
    for threshold in sorted(set(scores), reverse=True):
        new = sum(w for s, w in positives if s == threshold)
        caught, alarms = caught + new, alarms + sum(w for s, w in negatives if s == threshold)
        precision += Fraction(new * caught, caught + alarms)
    exact = precision / sum(w for _, w in positives)
    assert average_precision(labels, scores, sample_weight=weights) == pytest.approx(float(exact), abs=1e-13)


@given(rows_of, st.sampled_from([Fraction(1, 2), Fraction(19, 20), Fraction(1)]))
def test_false_alarms_at_a_catch_are_exact(rows, share):
    positives, negatives = split(rows)
    labels, scores, weights = columns(rows)
    possible = [
        threshold
        for threshold in {s for s, _ in positives}
        if sum(w for s, w in positives if s >= threshold) >= share * sum(w for _, w in positives)
    ]
    alarms = sum(w for s, w in negatives if s >= max(possible))
    exact = Fraction(alarms, sum(w for _, w in negatives))
    assert fpr_at_tpr(labels, scores, float(share), sample_weight=weights) == pytest.approx(float(exact), abs=1e-13)


@given(rows_of)
def test_sklearn_has_the_same(rows):
    labels, scores, weights = columns(rows)
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert roc_auc(labels, scores, sample_weight=weights) == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=weights)
    )
    assert average_precision(labels, scores, sample_weight=weights) == pytest.approx(
        average_precision_score(labels, scores, sample_weight=weights)
    )
    called = [score > 0 for score in scores]
    options = {"sample_weight": weights}
    assert f_beta(labels, called, 2.0, **options) == pytest.approx(
        fbeta_score(labels, called, beta=2.0, zero_division=0, **options)
    )
    assert matthews_correlation(labels, called, **options) == pytest.approx(
        matthews_corrcoef(labels, called, **options)
    )


@given(rows_of, st.floats(0.1, 10), st.floats(-3, 3))
def test_only_the_order_of_scores_counts(rows, slope, shift):
    labels, scores, _ = columns(rows)
    moved = [slope * score + shift for score in scores]
    assert roc_auc(labels, moved) == roc_auc(labels, scores)
    assert average_precision(labels, moved) == average_precision(labels, scores)
    assert fpr_at_tpr(labels, moved) == fpr_at_tpr(labels, scores)
    assert roc_auc(labels, [-score for score in scores]) == pytest.approx(1 - roc_auc(labels, scores))


def delong_variance(labels, scores):
    """Return the variance by the definition, with two loops."""
    positives = [s for y, s in zip(labels, scores, strict=True) if y]
    negatives = [s for y, s in zip(labels, scores, strict=True) if not y]
    wins = np.array([[(s > t) + (s == t) / 2 for t in negatives] for s in positives])
    return wins.mean(1).var(ddof=1) / len(positives) + wins.mean(0).var(ddof=1) / len(negatives)


def test_delong_by_its_definition():
    random = np.random.default_rng(0)
    labels = random.random(60) < 0.4
    scores = np.round(random.normal(labels * 1.0, 1), 1)
    area, deviation = roc_auc(labels, scores), math.sqrt(delong_variance(labels, scores))
    found = roc_auc_interval(labels, scores, method="wald")
    assert found == pytest.approx((area, area - 1.959964 * deviation, area + 1.959964 * deviation), rel=1e-6)
    logit = roc_auc_interval(labels, scores)
    half = 1.959964 * deviation / (area * (1 - area))
    centre = math.log(area / (1 - area))
    assert [math.log(end / (1 - end)) for end in logit[1:]] == pytest.approx([centre - half, centre + half], rel=1e-6)


def test_delong_by_hand():
    # Wins of positives (3, 1) over negatives (2, 0): rows (1, 1) and (0, 1). V10 = 1, .5 and V01 = .5, 1.
    found = roc_auc_interval([1, 1, 0, 0], [3, 1, 2, 0], method="wald", confidence=0.5)
    assert found.estimate == 0.75
    assert found.high - found.estimate == pytest.approx(0.6744898 * math.sqrt(0.125 / 2 + 0.125 / 2))


def test_the_paired_test_accounts_for_correlation():
    random = np.random.default_rng(1)
    labels = random.random(400) < 0.5
    signal = random.normal(labels * 1.0, 1)
    first, second = signal + random.normal(0, 0.1, 400), signal + random.normal(0, 0.6, 400)
    found = delong_test(labels, first, second)
    wins = []
    for scores in (first, second):
        positives, negatives = scores[labels], scores[~labels]
        wins.append((positives[:, None] > negatives).astype(float))
    apart = wins[0] - wins[1]
    variance = apart.mean(1).var(ddof=1) / labels.sum() + apart.mean(0).var(ddof=1) / (~labels).sum()
    assert found.difference == pytest.approx(apart.mean())
    assert found.z == pytest.approx(apart.mean() / math.sqrt(variance))
    assert found.p_value == pytest.approx(math.erfc(abs(found.z) / math.sqrt(2)))
    turned = delong_test(labels, second, first)
    assert (turned.z, turned.low) == pytest.approx((-found.z, -found.high))
    apart_alone = delong_variance(labels, first) + delong_variance(labels, second)
    assert variance < apart_alone


def test_the_paired_test_rejects_as_often_as_it_says():
    rejected = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        labels = random.random(120) < 0.5
        signal = random.normal(labels * 1.0, 1)
        first, second = (signal + random.normal(0, 0.7, 120) for _ in range(2))
        rejected += delong_test(labels, first, second).p_value < 0.1
    assert 15 <= rejected <= 48


def test_scores_without_variance_have_documented_values():
    labels = [0, 0, 1, 1]
    assert delong_test(labels, [1, 2, 3, 4], [5, 6, 7, 8])[2:] == (0, 0, 0, 0, 1)
    apart = delong_test(labels, [1, 2, 3, 4], [4, 3, 2, 1])
    assert (apart.difference, apart.z, apart.p_value) == (1, math.inf, 0)
    for scores, area in (([1, 2, 3, 4], 1.0), ([1, 1, 1, 1], 0.5)):
        with pytest.warns(ScorecraftWarning, match="no variance"):
            assert roc_auc_interval(labels, scores) == (area, area, area)
    assert average_precision(labels, [7] * 4) == 0.5
    assert fpr_at_tpr(labels, [7] * 4) == 1.0


def resampled(function, labels, scores, random, times):
    ones, zeros = np.flatnonzero(labels), np.flatnonzero(~labels)
    drawn = []
    for _ in range(times):
        rows = np.r_[random.choice(ones, len(ones)), random.choice(zeros, len(zeros))]
        drawn.append(function(labels[rows], scores[rows]))
    return drawn


@pytest.mark.parametrize(
    ("function", "interval"),
    [(fpr_at_tpr, fpr_at_tpr_interval), (average_precision, average_precision_interval)],
)
def test_bootstrap_intervals_are_those_of_resampling_rows(function, interval):
    random = np.random.default_rng(3)
    labels = np.arange(200) < 70
    scores = np.round(random.normal(labels * 1.5, 1), 1)
    found = interval(labels, scores, resamples=20_000, confidence=0.8)
    low, high = np.quantile(resampled(function, labels, scores, random, 4000), (0.1, 0.9))
    assert found.estimate == function(labels, scores)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.08 * (high - low))
    assert found == interval(labels, scores, resamples=20_000, confidence=0.8)


def test_labels_by_hand():
    true, called = [1, 1, 1, 0, 0], [1, 1, 0, 1, 0]
    assert f_beta(true, called) == pytest.approx(4 / 6)
    assert f_beta(true, called, 2.0) == pytest.approx(10 / (10 + 4 + 1))
    assert g_mean(true, called) == pytest.approx(math.sqrt(2 / 3 * 1 / 2))
    assert matthews_correlation(true, called) == pytest.approx((2 * 1 - 1 * 1) / math.sqrt(3 * 3 * 2 * 2))
    assert f_beta([0, 0], [0, 0]) == 0
    assert matthews_correlation([0, 1], [1, 1]) == 0
    with pytest.raises(ScorecraftError, match="one class"):
        g_mean([1, 1], [1, 0])


@pytest.mark.parametrize(
    "metric",
    [roc_auc, average_precision, fpr_at_tpr, roc_auc_interval, average_precision_interval, fpr_at_tpr_interval],
)
@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([], [], "no rows"),
        ([1, 1], [0.1, 0.2], "no row of the label 0"),
        ([0, 0], [0.1, 0.2], "no row of the label 1"),
        ([0, 1], [0.1], "expected 2"),
        ([0, 1], [0.1, float("nan")], "finite"),
        ([0, 1], [0.1, float("inf")], "finite"),
        ([0, 2], [0.1, 0.2], "labels 0 and 1"),
    ],
)
def test_bad_input_is_named(metric, labels, scores, said):
    with pytest.raises(ScorecraftError, match=said):
        metric(labels, scores)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: roc_auc([0, 1], [1, 2], sample_weight=[1, 0]), "no row of the label 1"),
        (lambda: roc_auc([0, 1], [1, 2], sample_weight=[1, -1]), "at least 0"),
        (lambda: roc_auc([0, 1], [1, 2], sample_weight=[0, 0]), "all weights are 0"),
        (lambda: roc_auc_interval([0, 1, 1], [1, 2, 3]), "one row of a class"),
        (lambda: delong_test([0, 1, 1], [1, 2, 3], [1, 2, 3]), "one row of a class"),
        (lambda: delong_test([0, 0, 1, 1], [1, 2, 3, 4], [1, 2, 3]), "expected 4"),
        (lambda: roc_auc_interval([0, 1], [1, 2], confidence=1.0), "confidence"),
        (lambda: roc_auc_interval([0, 1], [1, 2], method="exact"), "method"),
        (lambda: fpr_at_tpr([0, 1], [1, 2], 0.0), "tpr"),
        (lambda: fpr_at_tpr_interval([0, 1], [1, 2], resamples=0), "resamples"),
        (lambda: average_precision_interval([0, 1], [1, 2], resamples=0), "resamples"),
        (lambda: f_beta([0, 1], [0, 1], 0.0), "beta"),
    ],
)
def test_bad_options_are_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
