"""Erring labels: the closed form by hand and against labels that are really flipped, and its inverse."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.metrics.annotation_error import annotate, correct_confusion, noisy_confusion, observed_confusion
from scorecraft.metrics.imbalanced_metrics import Confusion, confusion, imbalanced_metrics

FRAUD = 492 / 284_807
rates = st.floats(1e-9, 1) | st.just(0.0)
inner = st.floats(0.001, 0.999)


@pytest.mark.parametrize(
    ("miss", "false_alarm", "expected"),
    [
        (0.2, 0.001, {"f1": 0.51912, "g_mean": 0.68142, "precision": 0.58799, "recall": 0.46469}),
        (0.0, 0.0, {"f1": 0.76594, "g_mean": 0.89420}),
        (0.2, 0.0, {"f1": 0.67763, "g_mean": 0.89408, "recall": 0.8}),
        (0.0, 0.001, {"f1": 0.60018, "g_mean": 0.71200, "precision": 0.73493}),
    ],
)
def test_a_card_fraud_detector_under_errors(miss, false_alarm, expected):
    found = imbalanced_metrics(noisy_confusion(FRAUD, 0.8, 0.0005, miss, false_alarm))
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=5e-6)


def test_by_hand():
    # Of 100 true positives 90 are caught, of 1000 negatives 50 alarmed. A tenth of the positives is labelled 0, a
    # fiftieth of the negatives 1.
    found = observed_confusion(Confusion(90, 50, 10, 950), 0.1, 0.02)
    assert found == pytest.approx((90 * 0.9 + 50 * 0.02, 90 * 0.1 + 50 * 0.98, 10 * 0.9 + 950 * 0.02, 1 + 950 * 0.98))
    # Half of the false alerts are taken over: .02 + .5 * .98 = .51 of them become positives; the rest is as before.
    biased = observed_confusion(Confusion(90, 50, 10, 950), 0.1, 0.02, 0.5)
    assert biased[:2] == pytest.approx((81 + 25.5, 9 + 24.5))
    assert biased[2:] == found[2:]


@given(inner, rates, rates, rates)
def test_misses_alone_leave_recall_and_scale_precision(prevalence, tpr, fpr, miss):
    clean = imbalanced_metrics(noisy_confusion(prevalence, tpr, fpr))
    found = imbalanced_metrics(noisy_confusion(prevalence, tpr, fpr, miss=miss))
    if miss < 0.999:
        assert found.recall == pytest.approx(tpr, abs=1e-9)
    assert found.precision == pytest.approx(clean.precision * (1 - miss), abs=1e-9)


def test_false_alarms_alone_leave_precision_and_crush_recall():
    clean = imbalanced_metrics(noisy_confusion(FRAUD, 0.8, 0.0005))
    found = imbalanced_metrics(noisy_confusion(FRAUD, 0.8, 0.0005, false_alarm=0.001))
    assert found.precision == pytest.approx(clean.precision, abs=0.001)
    # A share (1 - pi) b / (pi + (1 - pi) b) = .000998 / .002726 of the observed positives is wrong.
    wrong = (1 - FRAUD) * 0.001 / found.prevalence
    assert wrong == pytest.approx(0.366, abs=0.001)
    assert found.recall == pytest.approx(0.8 * (1 - wrong) + 0.0005 * wrong, rel=1e-9)


@given(inner, rates, rates, rates, rates)
def test_accuracy_moves_by_no_more_than_labels_do(prevalence, tpr, fpr, miss, false_alarm):
    clean, found = noisy_confusion(prevalence, tpr, fpr), noisy_confusion(prevalence, tpr, fpr, miss, false_alarm)
    assert sum(found) == pytest.approx(1)
    moved = abs(found.tp + found.tn - clean.tp - clean.tn)
    assert moved <= prevalence * miss + (1 - prevalence) * false_alarm + 1e-12
    observed = found.tp + found.fn
    assert observed == pytest.approx(prevalence * (1 - miss) + (1 - prevalence) * false_alarm)


@given(inner, rates, rates, st.floats(0, 0.45), st.floats(0, 0.4), st.floats(0, 0.2))
def test_the_way_back(prevalence, tpr, fpr, miss, false_alarm, bias):
    clean = noisy_confusion(prevalence, tpr, fpr)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = correct_confusion(observed_confusion(clean, miss, false_alarm, bias), miss, false_alarm, bias)
    assert back == pytest.approx(clean, abs=1e-12)
    assert min(back) >= 0


def test_the_way_back_of_the_detector():
    clean = noisy_confusion(FRAUD, 0.8, 0.0005)
    back = correct_confusion(noisy_confusion(FRAUD, 0.8, 0.0005, 0.2, 0.001), 0.2, 0.001)
    assert back == pytest.approx(clean, rel=0, abs=1e-12)


def test_what_cannot_be_is_clipped_and_said():
    # 5 of 100 rows predicted 1 are labelled 1, but false alarms alone would make 10: TP = (5 - 10) / .9 < 0. Among the
    # 900 predicted 0 they would make 90 where 50 were seen.
    with pytest.warns(ScorecraftWarning, match="more errors than were observed"):
        assert correct_confusion(Confusion(5, 95, 50, 850), 0, 0.1) == (0, 100, 0, 900)
    # All 10 rows predicted 1 are labelled 1 though half of the positives are missed: TP = 10 / .5 > 10.
    with pytest.warns(ScorecraftWarning):
        assert correct_confusion(Confusion(10, 0, 0, 90), 0.5, 0) == (10, 0, 0, 90)


def test_labels_are_flipped_at_the_rates():
    rng = np.random.default_rng(0)
    true = np.repeat([True, False], [20_000, 80_000])
    predicted = rng.random(100_000) < np.where(true, 0.7, 0.2)
    for bias in (0.0, 0.3):
        labels = annotate(true, 0.2, 0.05, rng=rng, y_pred=predicted, alert_bias=bias)
        found = confusion(labels, predicted)
        expected = noisy_confusion(0.2, 0.7, 0.2, 0.2, 0.05, bias)
        # Standard deviations are at most sqrt(100000) / 2 = 158 rows.
        assert np.array(found) == pytest.approx(100_000 * np.array(expected), abs=600)


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_rates_of_none_and_of_all(true):
    rng = np.random.default_rng(1)
    labels = np.array(true)
    assert annotate(true, rng=rng).tolist() == true
    assert annotate(true, 1, 1, rng=rng).tolist() == (~labels).tolist()
    assert not annotate(true, 1, 0, rng=rng).any()
    # The bias touches nothing but alerts: with none, labels stay.
    assert annotate(true, rng=rng, y_pred=np.zeros(len(true)), alert_bias=1).tolist() == true
    assert annotate(true, rng=rng, y_pred=np.ones(len(true)), alert_bias=1).all()


def test_the_same_chance_gives_the_same_labels():
    true = np.arange(200) % 3 == 0
    first, second = (annotate(true, 0.3, 0.3, rng=np.random.default_rng(7)) for _ in range(2))
    assert (first == second).all()
    assert (first != true).any()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: annotate([0, 1], 1.2, rng=np.random.default_rng()), "miss: expected a rate in \\[0, 1\\], got 1.2"),
        (lambda: annotate([0, 3], rng=np.random.default_rng()), "row 1 is 3"),
        (lambda: annotate([0, 1], rng=np.random.default_rng(), alert_bias=0.5), "needs y_pred"),
        (lambda: annotate([0, 1], rng=np.random.default_rng(), alert_bias=0.5, y_pred=[1]), "1 rows, expected 2"),
        (lambda: noisy_confusion(-0.1, 0.5, 0.5), "prevalence: expected a rate"),
        (lambda: noisy_confusion(0.1, math.nan, 0.5), "tpr: expected a rate"),
        (lambda: noisy_confusion(0.1, 0.5, 0.5, false_alarm=2), "false_alarm: expected a rate"),
        (lambda: observed_confusion(Confusion(-1, 0, 0, 2), 0.1), "tp is -1"),
        (lambda: correct_confusion(Confusion(1, 1, 1, 1), 0.5, 0.5), "expected less than 1"),
        (lambda: correct_confusion(Confusion(1, 1, 1, 1), 0.2, 0.1, 0.9), "among rows predicted 1"),
        (lambda: correct_confusion(Confusion(0, 0, 0, 0), 0.1, 0.1), "holds nothing"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
