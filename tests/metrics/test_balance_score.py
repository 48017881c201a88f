"""The Balance score: gains and scores by hand, its expectation against the true error, and what it cannot see."""

from __future__ import annotations

import inspect
import math
import warnings

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.metrics.balance_score import (
    balance_bootstrap,
    balance_parts,
    balance_score,
    balance_score_multiclass,
    balance_terms,
    true_ece,
)

# Away from 0.5, where a tie goes to one side.
PROBABILITIES = st.floats(0, 1).filter(lambda p: abs(p - 0.5) > 1e-6)
ROWS = st.lists(st.tuples(st.booleans(), PROBABILITIES), min_size=1, max_size=30)


def both_labels(q, p):
    """Return every forecast with both labels, weighted by their probabilities: an expectation instead of a sample."""
    labels = np.concatenate((np.ones(len(q)), np.zeros(len(q))))
    return labels, np.concatenate((p, p)), np.concatenate((q, 1 - q))


def test_gains_by_hand():
    y, p = [1, 0, 0, 1], [0.9, 0.8, 0.3, 0.4]
    assert balance_terms(y, p).tolist() == pytest.approx([0.1, -0.8, 0.3, -0.6])
    assert balance_score(y, p) == pytest.approx(-0.25)
    assert balance_score(y, p, sign="overconfidence") == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("p", "y", "gain"), [(0.5, 1, 0.5), (0.5, 0, -0.5), (1, 0, -1), (0, 1, -1), (0, 0, 0), (1, 1, 0)]
)
def test_gains_at_the_edges(p, y, gain):
    assert balance_terms([y, 1], [p, 0.75]).tolist() == [gain, 0.25]


def test_parts_by_hand():
    found = balance_parts([1, 0, 0, 1], [0.9, 0.8, 0.3, 0.4])
    assert found[:3] == pytest.approx((-0.25, 0.5, 0.75))
    # Deviations .35, -.55, .55, -.35: squares sum to .85; divided by 3 and by 4.
    error = math.sqrt(0.85 / 12)
    assert found.standard_error == pytest.approx(error)
    assert found.z == pytest.approx(-0.25 / error)
    # The normal distribution leaves 0.3476 outside 0.9393 deviations.
    assert found.p_value == pytest.approx(0.3476, abs=1e-4)


def test_an_error_that_is_not_known_is_not_made_up():
    one = balance_parts([1], [0.9])
    assert one.score == pytest.approx(0.1)
    assert one.standard_error == math.inf
    assert (one.z, one.p_value) == (0.0, 1.0)
    equal = balance_parts([1] * 7, [0.9] * 7)
    assert equal.standard_error == 0
    assert (equal.z, equal.p_value) == (math.copysign(math.inf, equal.score), 0.0)


def test_weights_are_repeated_rows():
    y, p = [1, 0, 0, 1], [0.9, 0.8, 0.3, 0.4]
    # (.1 * 2 - .8 * 0 + .3 * 1 - .6 * 3) / 6
    assert balance_score(y, p, sample_weight=[2, 0, 1, 3]) == pytest.approx(-1.3 / 6)
    assert balance_score([1, 1, 0, 1, 1, 1], [0.9, 0.9, 0.3, 0.4, 0.4, 0.4]) == pytest.approx(-1.3 / 6)
    # One scale of all weights changes nothing, in the error too.
    assert balance_parts(y, p, sample_weight=[5] * 4) == pytest.approx(balance_parts(y, p))
    # By hand for weights 1, 1, 0, 2: the mean is -1.9/4, deviations .575, -.325, -, -.125.
    weighted = balance_parts(y, p, sample_weight=[1, 1, 0, 2])
    squares = 0.575**2 + 0.325**2 + 4 * 0.125**2
    assert weighted.standard_error == pytest.approx(math.sqrt(4 / 3 * squares) / 4)


@given(ROWS)
def test_the_score_is_accuracy_minus_confidence_and_bounded(rows):
    y, p = np.array([y for y, _ in rows]), np.array([p for _, p in rows])
    gains = balance_terms(y, p)
    # The four cases as they are published.
    cases = [((1 - p if p >= 0.5 else p - 1) if y else (-p if p >= 0.5 else p)) for y, p in rows]
    assert gains.tolist() == pytest.approx(cases, abs=1e-15)
    assert ((gains >= -1) & (gains <= 0.5)).all()
    parts = balance_parts(y, p)
    assert parts.score == pytest.approx(parts.accuracy - parts.confidence, abs=1e-12)
    assert parts.accuracy == pytest.approx(((p >= 0.5) == y).mean())


@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_rows_and_names_of_classes_do_not_matter(rows, random):
    y, p = np.array([y for y, _ in rows]), np.array([p for _, p in rows])
    shuffled = random.sample(range(len(rows)), len(rows))
    assert balance_score(y[shuffled], p[shuffled]) == pytest.approx(balance_score(y, p), abs=1e-12)
    assert balance_score(~y, 1 - p) == pytest.approx(balance_score(y, p), abs=1e-12)


@given(st.lists(st.tuples(st.floats(0, 1), PROBABILITIES), min_size=1, max_size=30))
def test_the_expected_size_is_at_most_the_true_error_and_equal_for_one_forecast(rows):
    q, p = np.array([q for q, _ in rows]), np.array([p for _, p in rows])
    labels, stated, weight = both_labels(q, p)
    assert abs(balance_score(labels, stated, sample_weight=weight)) <= true_ece(q, p) + 1e-12
    labels, stated, weight = both_labels(q[:1], p[:1])
    expected = q[0] - p[0] if p[0] >= 0.5 else p[0] - q[0]
    assert balance_score(labels, stated, sample_weight=weight) == pytest.approx(expected, abs=1e-12)


@given(ROWS.map(lambda rows: np.array([p for _, p in rows])), st.floats(0.01, 0.5))
def test_in_one_direction_it_is_the_true_error_with_its_sign(q, tendency):
    extreme = np.where(q >= 0.5, q + tendency * (1 - q), q - tendency * q)
    labels, stated, weight = both_labels(q, extreme)
    found = balance_score(labels, stated, sample_weight=weight)
    assert found == pytest.approx(-true_ece(q, extreme), abs=1e-12)
    assert true_ece(q, extreme) == pytest.approx(tendency * np.minimum(q, 1 - q).mean(), abs=1e-12)
    timid = 0.5 + (1 - tendency) * (q - 0.5)
    labels, stated, weight = both_labels(q, timid)
    assert balance_score(labels, stated, sample_weight=weight) == pytest.approx(true_ece(q, timid), abs=1e-12)


def test_regions_that_cancel_are_not_seen():
    y = [1] * 8 + [0] * 2 + [1] * 7 + [0] * 3
    p = [0.9] * 10 + [0.6] * 10
    assert balance_score(y, p) == pytest.approx(0, abs=1e-15)
    assert true_ece([0.8] * 10 + [0.7] * 10, p) == pytest.approx(0.1)


def test_a_constant_shift_is_hardly_seen():
    # Middles of 9000 cells of [.05, .95]. Five ninths of them are forecast at .5 or more.
    q = 0.05 + 0.9 * (np.arange(9000) + 0.5) / 9000
    labels, stated, weight = both_labels(q, q + 0.05)
    assert balance_score(labels, stated, sample_weight=weight) == pytest.approx(-0.05 / 9)
    assert true_ece(q, q + 0.05) == pytest.approx(0.05)


def test_several_classes_by_hand():
    p = [[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]]
    # Right at .7, wrong at .4, right at .8.
    assert balance_score_multiclass([0, 1, 1], p) == pytest.approx((0.3 - 0.4 + 0.2) / 3)
    assert balance_score_multiclass([0, 1, 1], p, sample_weight=[1, 1, 0]) == pytest.approx(-0.05)
    third = np.full((2, 3), 1 / 3)
    # The bounds: 1 - 1/K where the tie goes to the right class, -1 for surely wrong.
    assert balance_score_multiclass([0, 0], third) == pytest.approx(2 / 3)
    assert balance_score_multiclass([1], [[1.0, 0.0]]) == -1


@given(ROWS)
def test_two_classes_are_several(rows):
    y, p = np.array([y for y, _ in rows]), np.array([p for _, p in rows])
    assert balance_score_multiclass(y, np.stack((1 - p, p), 1)) == pytest.approx(balance_score(y, p), abs=1e-12)


def test_the_bootstrap_interval_is_the_normal_one_for_many_rows():
    random = np.random.default_rng(0)
    q = random.random(4000)
    y = random.random(4000) < q
    found = balance_bootstrap(y, q, seed=1)
    parts = balance_parts(y, q)
    assert found.estimate == pytest.approx(parts.score)
    assert found.low == pytest.approx(parts.score - 1.96 * parts.standard_error, abs=0.15 * parts.standard_error)
    assert found.high == pytest.approx(parts.score + 1.96 * parts.standard_error, abs=0.15 * parts.standard_error)
    assert balance_bootstrap(y, q, seed=1) == found
    narrow = balance_bootstrap(y, q, seed=1, confidence=0.5)
    assert found.low < narrow.low < narrow.high < found.high


@pytest.mark.parametrize(
    "as_columns",
    [
        np.array,
        torch.tensor,
        pandas.Series,
        lambda values: np.array(values)[:, None],
        lambda values: torch.tensor(values, dtype=torch.float32, requires_grad=True),
    ],
    ids=["numpy", "torch", "pandas", "one column of a table", "a tensor with a gradient"],
)
def test_columns_of_any_kind(as_columns):
    assert balance_score(as_columns([1, 0, 0, 1]), as_columns([0.9, 0.8, 0.3, 0.4])) == pytest.approx(-0.25, abs=1e-7)


def test_only_halves_are_warned_of():
    with pytest.warns(ScorecraftWarning, match=r"all probabilities are 0\.5"):
        assert balance_score([1, 1, 1, 0], [0.5] * 4) == 0.25
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        balance_score([1, 0], [0.5, 0.4])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: balance_score([1, 0], [0.2, 1.5]), r"y_prob: row 1 is 1\.5"),
        (lambda: balance_score([1, 0], [0.2, -0.1]), r"y_prob: row 1 is -0\.1"),
        (lambda: balance_score([1, 0, 1], [0.2, math.nan, math.nan]), "y_prob: row 1 is nan"),
        (lambda: balance_score([1, 2], [0.2, 0.5]), "y_true: row 1 is 2; expected labels 0 and 1"),
        (lambda: balance_score([1, 0.5], [0.2, 0.5]), "labels 0 and 1"),
        (lambda: balance_score([1, 0], [0.2]), "y_prob: 1 rows, expected 2"),
        (lambda: balance_score([], []), "y_true: no rows"),
        (lambda: balance_score(["a"], [0.2]), "expected numbers"),
        (lambda: balance_score([1, 0], [0.2, 0.5], sample_weight=[1, -1]), "sample_weight: row 1 is -1"),
        (lambda: balance_score([1, 0], [0.2, 0.5], sample_weight=[0, 0]), "all weights are 0"),
        (lambda: balance_score([1, 0], [0.2, 0.5], sample_weight=[1]), "sample_weight: 1 rows"),
        (lambda: inspect.unwrap(balance_score)([1, 0], [0.2, 0.5], sign="minus"), "unknown sign 'minus'"),
        (lambda: balance_score([1, 0], [[0.8, 0.2], [0.5, 0.5]]), r"pass y_prob\[:, 1\]"),
        (lambda: balance_score([1, 0], np.full((2, 3), 1 / 3)), "use balance_score_multiclass"),
        (lambda: balance_terms([1], [2.0]), "y_prob: row 0"),
        (lambda: balance_parts([1], [2.0]), "y_prob: row 0"),
        (lambda: balance_bootstrap([1], [0.8]), "at least 2"),
        (lambda: balance_score_multiclass([3], [[0.2, 0.3, 0.5]]), "expected classes 0 to 2"),
        (lambda: balance_score_multiclass([1], [[0.2, 0.3, 0.6]]), "sum to 1"),
        (lambda: true_ece([0.2], [0.2, 0.3]), "y_prob: 2 rows, expected 1"),
        (lambda: true_ece([1.2], [0.2]), "true_prob: row 0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
