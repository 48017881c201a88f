"""Scoring rules: by hand, against exact fractions and scikit-learn, and on input that cannot be."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from scorecraft.errors import ScorecraftError
from scorecraft.metrics import (
    brier_decomposition,
    brier_score,
    brier_scores,
    log_loss,
    log_losses,
    ranked_probability_score,
    spherical_score,
    spherical_scores,
)

binary_rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 16), st.integers(0, 3)), min_size=1, max_size=25
).filter(lambda rows: any(weight for *_, weight in rows))


@st.composite
def class_rows(draw):
    """Rows of a class, counts that make its distribution, and a weight."""
    classes = draw(st.integers(2, 4))
    row = st.tuples(
        st.integers(0, classes - 1),
        st.lists(st.integers(0, 5), min_size=classes, max_size=classes).filter(any),
        st.integers(1, 3),
    )
    return draw(st.lists(row, min_size=1, max_size=12))


def as_probs(rows):
    return [[Fraction(count, sum(counts)) for count in counts] for _, counts, _ in rows]


def test_rules_by_hand():
    assert brier_score([1, 0], [0.75, 0.5]) == (1 / 16 + 1 / 4) / 2
    assert brier_score([0], [[0.5, 0.25, 0.25]]) == 0.25 + 2 / 16
    assert log_loss([1, 0], [0.5, 0.75]) == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert spherical_score([1], [0.6]) == pytest.approx(0.6 / math.sqrt(0.36 + 0.16))
    # P(Y <= 0) = .5 and P(Y <= 1) = .75 against 0 and 0: the true class is the last.
    assert ranked_probability_score([2], [[0.5, 0.25, 0.25]]) == pytest.approx(0.25 + 0.5625)
    assert ranked_probability_score([2], [[0.5, 0.25, 0.25]], normalized=True) == pytest.approx(0.8125 / 2)


def test_probability_near_the_true_class_ranks_better():
    near, far = [[0.0, 0.5, 0.5, 0.0]], [[0.5, 0.5, 0.0, 0.0]]
    assert brier_score([2], [[0.5, 0.0, 0.5, 0.0]]) == brier_score([2], near)
    assert ranked_probability_score([2], near) < ranked_probability_score([2], far)


@given(binary_rows)
def test_brier_and_its_parts_are_exact(rows):
    labels, sixteenths, weights = zip(*rows, strict=True)
    total = sum(weights)
    exact = Fraction(sum(w * (p - 16 * y) ** 2 for y, p, w in rows), 256 * total)
    prob = np.array(sixteenths) / 16
    found = brier_decomposition(labels, prob, sample_weight=weights)
    base = Fraction(sum(w * y for y, _, w in rows), total)
    reliability = resolution = Fraction(0)
    for value in {p for _, p, w in rows if w}:
        weight = sum(w for _, p, w in rows if p == value)
        rate = Fraction(sum(w * y for y, p, w in rows if p == value), weight)
        reliability += Fraction(weight, total) * (Fraction(value, 16) - rate) ** 2
        resolution += Fraction(weight, total) * (rate - base) ** 2
    assert brier_score(labels, np.array(sixteenths) / 16, sample_weight=weights) == pytest.approx(
        float(exact), abs=1e-14
    )
    expected = (exact, reliability, resolution, base * (1 - base), 0)
    assert list(found) == pytest.approx([float(value) for value in expected], abs=1e-13)
    assert found.brier == pytest.approx(found.reliability - found.resolution + found.uncertainty, abs=1e-13)


def test_parts_over_bins_by_hand():
    # One bin: mean forecast .5, rate .5; all of the score but the uncertainty is within the bin.
    found = brier_decomposition([0, 1], [0.25, 0.75], n_bins=1)
    assert found == pytest.approx((1 / 16, 0.0, 0.0, 0.25, 1 / 16 - 0.25))
    assert brier_decomposition([1, 1], [0.5, 1.0])[2:4] == (0.0, 0.0)


@given(class_rows())
def test_rules_for_classes_are_exact(rows):
    probs = as_probs(rows)
    labels, weights = [y for y, _, _ in rows], [w for *_, w in rows]
    table = np.array(probs, dtype=np.float64)
    total = sum(weights)

    def mean(scores):
        return float(Fraction(sum(w * s for w, s in zip(weights, scores, strict=True))) / total)

    brier = [sum((p - (k == y)) ** 2 for k, p in enumerate(row)) for y, row in zip(labels, probs, strict=True)]
    ranked = [
        sum((sum(row[: k + 1]) - (y <= k)) ** 2 for k in range(len(row) - 1))
        for y, row in zip(labels, probs, strict=True)
    ]
    assert brier_score(labels, table, sample_weight=weights) == pytest.approx(mean(brier), abs=1e-12)
    assert ranked_probability_score(labels, table, sample_weight=weights) == pytest.approx(mean(ranked), abs=1e-12)
    for y, row, found in zip(labels, probs, spherical_scores(labels, table), strict=True):
        assert found**2 == pytest.approx(float(row[y] ** 2 / sum(p * p for p in row)), abs=1e-12)
    parts = brier_decomposition(labels, table, sample_weight=weights)
    assert parts.brier == pytest.approx(mean(brier), abs=1e-12)
    assert parts.within_bins == pytest.approx(0, abs=1e-12)


@given(class_rows())
def test_two_columns_agree_with_one_and_with_sklearn(rows):
    labels = np.array([y for y, _, _ in rows])
    table, weights = np.array(as_probs(rows), dtype=np.float64), [w for *_, w in rows]
    classes = range(table.shape[1])
    theirs = sklearn_log_loss(labels, table, labels=classes, sample_weight=weights)
    ours = log_loss(labels, table, sample_weight=weights, clip=np.finfo(np.float64).eps)
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    if table.shape[1] == 2:
        column = table[:, 1]
        assert 2 * brier_score(labels, column) == pytest.approx(brier_score(labels, table))
        assert brier_score(labels, column) == pytest.approx(brier_score_loss(labels, column, labels=[0, 1]))
        assert spherical_score(labels, column) == pytest.approx(spherical_score(labels, table))
        assert ranked_probability_score(labels, column) == pytest.approx(ranked_probability_score(labels, table))
        with np.errstate(divide="ignore"):
            assert log_losses(labels, column) == pytest.approx(-np.log(table[np.arange(len(labels)), labels]))
    else:
        theirs = brier_score_loss(labels, table, labels=classes, scale_by_half=False)
        assert brier_score(labels, table) == pytest.approx(theirs)


@pytest.mark.parametrize("scores", [brier_scores, log_losses, lambda y, p: -spherical_scores(y, p)])
@given(truth=st.integers(1, 19), said=st.integers(1, 19))
def test_the_truth_scores_best_on_average(scores, truth, said):
    def mean_loss(forecast):
        ones, zeros = scores([1], [forecast / 20])[0], scores([0], [forecast / 20])[0]
        return (truth * ones + (20 - truth) * zeros) / 20

    assert mean_loss(truth) <= mean_loss(said) + 1e-12


def test_what_was_called_impossible_costs_without_bound_unless_it_has_no_weight():
    assert log_loss([1, 1], [0.0, 0.5]) == math.inf
    assert log_loss([1, 1], [0.0, 0.5], sample_weight=[0, 2]) == pytest.approx(math.log(2))
    assert log_loss([1], [0.0], clip=math.exp(-3)) == pytest.approx(3)
    assert math.copysign(1, log_loss([1], [1.0])) == 1.0


def test_one_class_and_constant_forecasts_have_values():
    assert brier_score([1, 1, 1], [0.5, 0.5, 0.5]) == 0.25
    assert log_loss([0, 0], [0.0, 0.0]) == 0.0


@pytest.mark.parametrize("rule", [brier_score, log_loss, spherical_score, ranked_probability_score])
@pytest.mark.parametrize(
    ("labels", "prob", "weights", "said"),
    [
        ([], [], None, "no rows"),
        ([1, 0], [0.5], None, "2 rows, expected 1"),
        ([1], [1.5], None, r"expected a probability in \[0, 1\]"),
        ([1], [float("nan")], None, "expected a finite number"),
        ([2], [0.5], None, "expected labels 0 and 1"),
        ([3], [[0.2, 0.3, 0.5]], None, "expected classes 0 to 2"),
        ([0], [[0.2, 0.3, 0.6]], None, "sum to 1"),
        ([0, 1], [0.5, 0.5], [-1, 2], "weights of at least 0"),
        ([0, 1], [0.5, 0.5], [0, 0], "all weights are 0"),
        ([0, 1], [0.5, 0.5], [1], "1 rows, expected 2"),
    ],
)
def test_bad_input_is_named(rule, labels, prob, weights, said):
    with pytest.raises(ScorecraftError, match=said):
        rule(labels, prob, sample_weight=weights)


def test_bad_options_are_named():
    with pytest.raises(ScorecraftError, match="clip"):
        log_loss([1], [0.5], clip=1.0)
    with pytest.raises(ScorecraftError, match="n_bins"):
        brier_decomposition([1], [0.5], n_bins=0)
