"""The audit of metrics: samples against expectation, correlations against scipy, the crossover by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, spearmanr

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.annotation_error import noisy_confusion
from scorecraft.metrics.hypothetical_classifier import HypotheticalClassifier
from scorecraft.metrics.imbalanced_metrics import Confusion
from scorecraft.metrics.metric_audit import (
    MetricAgreement,
    cost_crossover,
    metric_audit,
    misclassification_cost,
    places,
    rank_agreement,
    sampled_confusions,
)
from scorecraft.metrics.ranking import roc_auc

FRAUD = 492 / 284_807
SEVERAL = [(0.9, 0.01), (0.8, 0.0005), (0.5, 0.0001), (0.95, 0.04)]


def test_samples_are_what_the_closed_form_expects():
    rates = np.array([(0.7, 0.1), (0.4, 0.02)])
    clean, observed = sampled_confusions(rates, 0.2, 0.25, 0.05, 1_000_000, np.random.default_rng(0))
    for (tpr, fpr), truth, seen in zip(rates, clean, observed, strict=True):
        assert sum(truth) == sum(seen) == 1_000_000
        assert truth.tp + truth.fn == 200_000
        # Six deviations of at most sqrt(1e6) / 2 = 500 rows.
        assert truth == pytest.approx(1e6 * np.array(noisy_confusion(0.2, tpr, fpr)), abs=3000)
        assert seen == pytest.approx(1e6 * np.array(noisy_confusion(0.2, tpr, fpr, 0.25, 0.05)), abs=3000)
    # One set of labels for all.
    assert observed[0].tp + observed[0].fn == observed[1].tp + observed[1].fn


def test_without_errors_labels_are_the_truth():
    clean, observed = sampled_confusions(np.array(SEVERAL), FRAUD, 0, 0, 284_807, np.random.default_rng(1))
    assert clean == observed
    assert clean[0].tp + clean[0].fn == 492


def test_cost_by_hand():
    both = [Confusion(0, 10, 3, 0), Confusion(0, 40, 1, 0)]
    assert misclassification_cost(both, (1, 20)).tolist() == [[13, 41], [70, 60]]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=20))
def test_the_correlation_is_spearmans(pairs):
    values = np.array([[float(a) for a, _ in pairs]])
    costs = np.array([[float(b) for _, b in pairs]])
    found = rank_agreement(values, costs)[0, 0]
    if np.ptp(values) == 0 or np.ptp(costs) == 0:
        assert found == 0
    else:
        assert found == pytest.approx(spearmanr(values[0], -costs[0]).statistic)


def test_places_of_keys():
    assert places([(0.2, 9.0), (0.5, 0.1), (0.2, 3.0), (0.5, 0.1)]) == [1, 2, 0, 2]


def test_accuracy_is_the_cost_where_a_miss_costs_one_false_alarm():
    rows = {(row.metric, row.cost_ratio): row.spearman for row in metric_audit(SEVERAL, FRAUD, seeds=[3])}
    assert rows["accuracy", 1] == pytest.approx(1)
    # Misses and false alarms of the four: 49 and 2843, 98 and 142, 246 and 28, 25 and 11373. At a ratio of 1 the order
    # of cost is 240, 274, 2892, 11398; recall has it the other way round but for the first two places.
    # Places by -cost: 1, 3, 2, 0; by recall: 2, 1, 0, 3. 1 - 6 (1 + 4 + 4 + 9) / 60.
    assert rows["recall", 1] == pytest.approx(1 - 6 * 18 / 60)
    # At 100: 7743, 9942, 24628, 13873, places 3, 2, 0, 1; recall differs by 1, 1, 0, 2.
    assert rows["recall", 100] == pytest.approx(1 - 6 * 6 / 60)
    assert rows["f1", 1] == rows["f1_then_g_mean", 1]
    assert len(rows) == 11 * 4


def test_balanced_accuracy_is_the_cost_where_a_miss_costs_as_many_false_alarms_as_negatives_come_to_a_positive():
    # 2 (1 - balanced accuracy) = FN / P + FP / N, which is (FN N / P + FP) / N.
    ratio = (284_807 - 492) / 492
    rows = metric_audit(SEVERAL, FRAUD, seeds=range(5), cost_ratios=[ratio])
    assert [row.spearman for row in rows if row.metric == "balanced_accuracy"] == pytest.approx([1] * 5)


def test_seeds_are_reproducible_and_kept_apart():
    first, second = (metric_audit(SEVERAL, FRAUD, 0.3, 0.002, seeds=[0, 5], cost_ratios=[20]) for _ in range(2))
    assert first == second
    assert {row.seed for row in first} == {0, 5}


def test_the_crossover_by_hand():
    def rows(f1, g):
        return [
            MetricAgreement(name, ratio, seed, value)
            for name, values in (("f1", f1), ("g_mean", g))
            for ratio, value in zip((1, 10, 100, 1000), values, strict=True)
            for seed in (0, 1)
        ]

    # Ahead by -.4, -.2, +.2, +.4: half-way between 10 and 100 in the logarithm.
    assert cost_crossover(rows((0.8, 0.8, 0.6, 0.5), (0.4, 0.6, 0.8, 0.9))) == pytest.approx(10**1.5)
    # The last change of sign counts.
    assert cost_crossover(rows((0.5, 0.8, 0.6, 0.5), (0.9, 0.6, 0.8, 0.9))) == pytest.approx(10**1.5)
    assert cost_crossover(rows((0.5, 0.5, 0.5, 0.5), (0.9, 0.6, 0.8, 0.9))) == 1
    assert cost_crossover(rows((0.9, 0.9, 0.9, 0.9), (0.5, 0.6, 0.8, 0.9))) is None


@pytest.mark.parametrize(
    "classifier", [HypotheticalClassifier(d_prime=1.5), HypotheticalClassifier(beta=(4.0, 2.0, 2.0, 4.0))]
)
def test_scores_have_the_rates_they_are_said_to_have(classifier):
    true = np.arange(60_000) % 3 == 0
    score = classifier.scores(true, np.random.default_rng(0))
    for threshold, (tpr, fpr) in zip((0.3, 0.6, 0.9), classifier.rates([0.3, 0.6, 0.9]), strict=True):
        # Four deviations of sqrt(.25 / 20000).
        assert (score[true] >= threshold).mean() == pytest.approx(tpr, abs=0.015)
        assert (score[~true] >= threshold).mean() == pytest.approx(fpr, abs=0.015)


def test_normal_rates_and_area_by_hand():
    classifier = HypotheticalClassifier(d_prime=2.0)
    # At 1, half-way: one deviation above the negatives, one below the positives.
    assert classifier.rates([1.0])[0] == pytest.approx((0.841345, 0.158655), abs=1e-6)
    true = np.arange(60_000) % 2 == 0
    area = roc_auc(true, classifier.scores(true, np.random.default_rng(2)))
    assert area == pytest.approx(norm.cdf(2 / math.sqrt(2)), abs=0.005)
    # a = b = 1 is the uniform distribution.
    assert HypotheticalClassifier(beta=(1, 1, 1, 1)).rates([0.25])[0] == pytest.approx((0.75, 0.75))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: metric_audit([(0.5, 0.1)], 0.1), "two or more classifiers"),
        (lambda: metric_audit([0.5, 0.1], 0.1), "shape"),
        (lambda: metric_audit([(0.5, 0.1), (1.5, 0.1)], 0.1), "classifier 1 are"),
        (lambda: metric_audit([(0.5, 0.1), (math.nan, 0.1)], 0.1), "classifier 1 are"),
        (lambda: metric_audit(SEVERAL, 0.1, cost_ratios=[0]), "cost_ratios above 0"),
        (lambda: metric_audit(SEVERAL, 0.1, cost_ratios=[]), "cost_ratios above 0"),
        (lambda: metric_audit(SEVERAL, 0.1, miss=2), "miss: expected a rate"),
        (lambda: metric_audit(SEVERAL, 1e-9, n=1000), "hold 0 positives"),
        (lambda: cost_crossover([]), "no cost ratio with both"),
        (HypotheticalClassifier, "either d_prime or beta"),
        (lambda: HypotheticalClassifier(1.0, (1, 1, 1, 1)), "either d_prime or beta"),
        (lambda: HypotheticalClassifier(math.inf), "finite d_prime"),
        (lambda: HypotheticalClassifier(beta=(1, 1, 1, 0)), "four numbers above 0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
