"""Every public metric against its definition in exact fractions, on small rows with weights and many ties."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scorecraft.metrics as public
from scorecraft.metrics.balance_score import balance_score, balance_score_multiclass, balance_terms
from scorecraft.metrics.decision_curve import decision_curve
from scorecraft.metrics.imbalanced_metrics import confusion, imbalanced_metrics

SIXTEENTHS = st.integers(0, 16)
BINARY = st.lists(st.tuples(st.integers(0, 1), SIXTEENTHS, st.integers(0, 3)), min_size=1, max_size=12).filter(
    lambda rows: any(weight for *_, weight in rows)
)
# Three classes whose probabilities are sixteenths.
CUTS = st.tuples(SIXTEENTHS, SIXTEENTHS).map(sorted)
CLASSES = st.lists(st.tuples(st.integers(0, 2), CUTS, st.integers(1, 3)), min_size=1, max_size=10)


def binary(rows):
    labels, prob, weights = (list(column) for column in zip(*rows, strict=True))
    return labels, [Fraction(p, 16) for p in prob], [Fraction(w) for w in weights]


def classes(rows):
    labels, cuts, weights = (list(column) for column in zip(*rows, strict=True))
    table = [[Fraction(low, 16), Fraction(high - low, 16), Fraction(16 - high, 16)] for low, high in cuts]
    return labels, table, [Fraction(w) for w in weights]


def floats(values):
    return np.array(values, dtype=np.float64)


def mean(values, weights):
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


# Each of labels, probabilities and weights, for one column.
def brier(y, p, w):
    return mean([(a - b) ** 2 for a, b in zip(y, p, strict=True)], w)


def log_loss(y, p, w):
    stated = [b if a else 1 - b for a, b in zip(y, p, strict=True)]
    if any(s == 0 and weight for s, weight in zip(stated, w, strict=True)):
        return math.inf
    return math.fsum(-math.log(s) * weight for s, weight in zip(stated, w, strict=True) if weight) / float(sum(w))


def spherical(y, p, w):
    found = [float(b if a else 1 - b) / math.sqrt(b * b + (1 - b) ** 2) for a, b in zip(y, p, strict=True)]
    return math.fsum(v * float(weight) for v, weight in zip(found, w, strict=True)) / float(sum(w))


def roc_auc(y, s, w):
    pairs = [
        (w[i] * w[j], Fraction(1) if s[i] > s[j] else Fraction(int(s[i] == s[j]), 2))
        for i in range(len(y)) for j in range(len(y)) if y[i] and not y[j]
    ]  # fmt: skip
    return sum(weight * value for weight, value in pairs) / sum(weight for weight, _ in pairs)


def average_precision(y, s, w):
    ones = sum(b for a, b in zip(y, w, strict=True) if a)
    total = Fraction(0)
    for score in set(s):
        above = [(a, b) for a, c, b in zip(y, s, w, strict=True) if c >= score]
        here = sum(b for a, c, b in zip(y, s, w, strict=True) if c == score and a)
        caught = sum(b for a, b in above if a)
        if here:
            total += here / ones * caught / sum(b for _, b in above)
    return total


def fpr_at_tpr(y, s, w):
    ones, zeros = (sum(b for a, b in zip(y, w, strict=True) if a == label) for label in (1, 0))
    found = []
    for score in set(s):
        caught, alarms = (
            sum(b for a, c, b in zip(y, s, w, strict=True) if c >= score and a == label) for label in (1, 0)
        )
        if caught >= Fraction(95, 100) * ones:
            found.append(alarms / zeros)
    return min(found)


def kernel(y, p, w):
    total = weight = 0.0
    for i, j in combinations(range(len(y)), 2):
        both = float(w[i] * w[j])
        weight += both
        total += both * math.exp(-float(abs(p[i] - p[j])) / 0.25) * float((y[i] - p[i]) * (y[j] - p[j]))
    return total / weight


def balance(y, p, w):
    return mean([Fraction(int((b >= Fraction(1, 2)) == bool(a))) - max(b, 1 - b) for a, b in zip(y, p, strict=True)], w)


ONE_COLUMN = {
    public.brier_score: brier,
    public.log_loss: log_loss,
    public.spherical_score: spherical,
    balance_score: balance,
}
OF_RANKS = {
    public.roc_auc: roc_auc,
    public.average_precision: average_precision,
    public.fpr_at_tpr: fpr_at_tpr,
}


@pytest.mark.parametrize("metric", ONE_COLUMN, ids=lambda metric: metric.__name__)
@pytest.mark.filterwarnings("ignore::scorecraft.errors.ScorecraftWarning")
@given(rows=BINARY)
@settings(max_examples=60)
def test_metrics_of_one_column(metric, rows):
    y, p, w = binary(rows)
    found = metric(y, floats(p), sample_weight=floats(w))
    assert found == pytest.approx(float(ONE_COLUMN[metric](y, p, w)), abs=1e-12)


@pytest.mark.parametrize("metric", OF_RANKS, ids=lambda metric: metric.__name__)
@given(rows=BINARY)
@settings(max_examples=60)
def test_metrics_of_ranks(metric, rows):
    y, p, w = binary(rows)
    if len({a for a, b in zip(y, w, strict=True) if b}) < 2:
        return
    found = metric(y, floats(p), sample_weight=floats(w))
    assert found == pytest.approx(float(OF_RANKS[metric](y, p, w)), abs=1e-12)


@given(rows=BINARY)
@settings(max_examples=60)
def test_the_kernel_error(rows):
    y, p, w = binary(rows)
    if sum(weight > 0 for weight in w) < 2:
        return
    found = public.kernel_calibration_error(y, floats(p), bandwidth=0.25, sample_weight=floats(w))
    assert found == pytest.approx(kernel(y, p, w), abs=1e-12)


@given(rows=BINARY, bins=st.sampled_from([None, 1, 4, 16]))
@settings(max_examples=80)
def test_the_parts_of_the_brier_score(rows, bins):
    y, p, w = binary(rows)
    groups = {}
    for a, b, weight in zip(y, p, w, strict=True):
        groups.setdefault(b if bins is None else min(b * bins // 1, bins - 1), []).append((a, b, weight))
    total, overall = sum(w), mean(y, w)
    reliability = resolution = Fraction(0)
    for group in groups.values():
        held = sum(weight for *_, weight in group)
        if held:
            rate, stated = (mean([row[place] for row in group], [row[2] for row in group]) for place in (0, 1))
            reliability += held / total * (stated - rate) ** 2
            resolution += held / total * (rate - overall) ** 2
    found = public.brier_decomposition(y, floats(p), bins, sample_weight=floats(w))
    uncertainty = overall * (1 - overall)
    assert found.reliability == pytest.approx(float(reliability), abs=1e-12)
    assert found.resolution == pytest.approx(float(resolution), abs=1e-12)
    assert found.uncertainty == pytest.approx(float(uncertainty), abs=1e-12)
    assert found.within_bins == pytest.approx(float(brier(y, p, w) - reliability + resolution - uncertainty), abs=1e-12)


@given(rows=CLASSES)
@settings(max_examples=60)
def test_scores_of_classes(rows):
    y, table, w = classes(rows)
    prob = floats(table)
    squared = [sum((q - (k == a)) ** 2 for k, q in enumerate(row)) for a, row in zip(y, table, strict=True)]
    ranked = [
        sum((sum(row[: k + 1]) - (a <= k)) ** 2 for k in range(2)) for a, row in zip(y, table, strict=True)
    ]  # fmt: skip
    assert public.brier_score(y, prob, sample_weight=floats(w)) == pytest.approx(float(mean(squared, w)), abs=1e-12)
    assert public.brier_scores(y, prob).tolist() == pytest.approx([float(v) for v in squared], abs=1e-12)
    assert public.ranked_probability_score(y, prob, sample_weight=floats(w)) == pytest.approx(
        float(mean(ranked, w)), abs=1e-12
    )
    assert public.ranked_probability_scores(y, prob).tolist() == pytest.approx([float(v) for v in ranked], abs=1e-12)
    spheres = [float(row[a]) / math.sqrt(sum(q * q for q in row)) for a, row in zip(y, table, strict=True)]
    assert public.spherical_scores(y, prob).tolist() == pytest.approx(spheres, abs=1e-12)
    stated = [row[a] for a, row in zip(y, table, strict=True)]
    expected = [math.inf if not q else -math.log(q) for q in stated]
    assert public.log_losses(y, prob).tolist() == pytest.approx(expected, abs=1e-12)


@given(rows=CLASSES)
@settings(max_examples=40)
def test_balance_of_classes(rows):
    y, table, w = classes(rows)
    del w
    best = [row.index(max(row)) for row in table]
    gains = [Fraction(int(b == a)) - max(row) for a, b, row in zip(y, best, table, strict=True)]
    assert balance_score_multiclass(y, floats(table)) == pytest.approx(float(sum(gains) / len(y)), abs=1e-12)


@given(rows=CLASSES, n_bins=st.integers(1, 5))
@settings(max_examples=40)
def test_the_error_of_classes_is_the_mean_of_theirs(rows, n_bins):
    y, table, w = classes(rows)
    errors = []
    for k in range(3):
        groups = {}
        for a, row, weight in zip(y, table, w, strict=True):
            groups.setdefault(min(row[k] * n_bins // 1, n_bins - 1), []).append(weight * ((a == k) - row[k]))
        errors.append(sum(abs(sum(group)) for group in groups.values()) / sum(w))
    found = public.classwise_calibration_error(y, floats(table), n_bins=n_bins, sample_weight=floats(w))
    assert found == pytest.approx(float(sum(errors) / 3), abs=1e-12)


@given(rows=BINARY)
@settings(max_examples=60)
def test_metrics_of_predicted_labels(rows):
    y, p, w = binary(rows)
    yes = [int(q >= Fraction(1, 2)) for q in p]
    cells = {(a, b): Fraction(0) for a in (0, 1) for b in (0, 1)}
    for a, b, weight in zip(y, yes, w, strict=True):
        cells[a, b] += weight
    tp, fp, fn, tn = cells[1, 1], cells[0, 1], cells[1, 0], cells[0, 0]
    assert confusion(y, yes, floats(w)) == (tp, fp, fn, tn)
    found = imbalanced_metrics(confusion(y, yes, floats(w)))

    def ratio(a, b):
        return float(a / b) if b else 0.0

    assert found.precision == pytest.approx(ratio(tp, tp + fp))
    assert found.recall == pytest.approx(ratio(tp, tp + fn))
    assert found.accuracy == pytest.approx(ratio(tp + tn, sum(w)))
    beta = Fraction(4)  # of F2, squared
    expected = ratio((1 + beta) * tp, (1 + beta) * tp + beta * fn + fp)
    assert public.f_beta(y, yes, 2.0, sample_weight=floats(w)) == pytest.approx(expected)
    under = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    correlation = float(tp * tn - fp * fn) / math.sqrt(under) if under else 0.0
    assert public.matthews_correlation(y, yes, sample_weight=floats(w)) == pytest.approx(correlation, abs=1e-12)
    if tp + fn and tn + fp:
        geometric = math.sqrt(tp / (tp + fn) * tn / (tn + fp))
        assert public.g_mean(y, yes, sample_weight=floats(w)) == pytest.approx(geometric, abs=1e-12)


@given(rows=BINARY)
@settings(max_examples=40)
def test_the_decision_curve(rows):
    y, p, _ = binary(rows)
    curve = decision_curve(y, floats(p), steps=8)
    for place in range(1, 8):
        threshold = Fraction(place, 8)
        acted = [a for a, q in zip(y, p, strict=True) if q >= threshold]
        benefit = (sum(acted) - threshold / (1 - threshold) * (len(acted) - sum(acted))) / len(y)
        assert curve.net_benefit[place - 1] == pytest.approx(float(benefit), abs=1e-12)


@given(rows=BINARY)
def test_the_gains_of_the_balance_score(rows):
    y, p, _ = binary(rows)
    expected = [
        (1 - q if a else -q) if q >= Fraction(1, 2) else (q - 1 if a else q) for a, q in zip(y, p, strict=True)
    ]  # fmt: skip
    assert balance_terms(y, floats(p)).tolist() == [float(value) for value in expected]


# What is exact elsewhere, and what has no closed value.
ELSEWHERE = {
    "expected_calibration_error": "test_calibration_errors.py",
    "maximum_calibration_error": "test_calibration_errors.py",
    "squared_calibration_error": "test_calibration_errors.py",
    "l2_calibration_error": "test_calibration_errors.py",
    "reliability_curve": "test_calibration_errors.py",
    "top_label": "test_calibration_errors.py",
    "delong_test": "test_ranking.py",
    "roc_auc_interval": "test_ranking.py",
}
NO_VALUE = {
    "average_precision_interval", "calibration_error_interval", "compare_losses", "compare_metric", "comparison_power",
    "fpr_at_tpr_interval",
}  # fmt: skip


def test_no_public_metric_is_left_out():
    from pathlib import Path

    own = Path(__file__).read_text(encoding="utf-8")
    for name in public.__all__:
        found = getattr(public, name)
        if isinstance(found, type) or name in NO_VALUE:
            continue
        if name in ELSEWHERE:
            assert name in Path(__file__).with_name(ELSEWHERE[name]).read_text(encoding="utf-8"), name
        else:
            assert f"public.{name}" in own, name
