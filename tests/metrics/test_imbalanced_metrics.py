"""Metrics of rare classes: by hand, against scikit-learn, and the order of F1 and g-mean."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.imbalanced_metrics import (
    Confusion,
    confusion,
    f1_gmean_key,
    imbalanced_metrics,
    rank_f1_gmean,
)

# 492 frauds among 284,807 payments: a good detector, one that floods, and one that never alerts.
GOOD = Confusion(400, 100, 92, 284_215)
FLOOD = Confusion(480, 28_000, 12, 256_315)
SILENT = Confusion(0, 0, 492, 284_315)

columns = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)
counts = st.builds(Confusion, *[st.integers(0, 300_000).map(float)] * 4).filter(any)


def test_a_good_detector_by_hand():
    found = imbalanced_metrics(GOOD)
    assert found.precision == 0.8
    assert found.recall == pytest.approx(400 / 492)
    assert found.recall == pytest.approx(0.813008, abs=1e-6)
    assert found.f1 == pytest.approx(800 / 992)
    assert found.f1 == pytest.approx(0.806452, abs=1e-6)
    assert found.g_mean == pytest.approx(0.901511, abs=1e-6)
    assert found.mcc == pytest.approx(0.806140, abs=1e-6)
    assert found.accuracy == pytest.approx(1 - 192 / 284_807)
    assert found.accuracy == pytest.approx(0.999326, abs=1e-6)
    assert found.f_beta == pytest.approx(2000 / (2000 + 4 * 92 + 100))
    assert found.fpr == pytest.approx(100 / 284_315)
    assert found.fnr == pytest.approx(92 / 492)
    assert found.prevalence == pytest.approx(492 / 284_807)
    # Chance agreement: (500 * 492 + 284307 * 284315) / 284807^2.
    chance = (500 * 492 + 284_307 * 284_315) / 284_807**2
    assert found.kappa == pytest.approx((found.accuracy - chance) / (1 - chance), rel=1e-9)
    assert found.undefined == ()


def test_f1_sees_the_flood_that_g_mean_does_not():
    good, flood = imbalanced_metrics(GOOD), imbalanced_metrics(FLOOD)
    assert flood.precision == pytest.approx(0.016854, abs=1e-6)
    assert flood.f1 == pytest.approx(0.033135, abs=1e-6)
    assert flood.g_mean == pytest.approx(0.937832, abs=1e-6)
    assert flood.accuracy == pytest.approx(0.901646, abs=1e-6)
    assert flood.g_mean > good.g_mean
    assert rank_f1_gmean([FLOOD, GOOD]) == [1, 0]


def test_what_is_undefined_is_named():
    silent = imbalanced_metrics(SILENT)
    assert silent.accuracy == pytest.approx(0.998273, abs=1e-6)
    assert (silent.f1, silent.g_mean, silent.mcc, silent.precision) == (0, 0, 0, 0)
    # F1 is 0 / 492 and g-mean sqrt(0 * 1): numbers, not gaps.
    assert silent.undefined == ("precision", "mcc")
    gaps = imbalanced_metrics(SILENT, zero_division="nan")
    assert math.isnan(gaps.precision)
    assert math.isnan(gaps.mcc)
    assert gaps.f1 == 0
    no_positives = imbalanced_metrics(Confusion(0, 3, 0, 7))
    assert no_positives.undefined == ("recall", "balanced_accuracy", "g_mean", "mcc", "fnr")
    assert no_positives.specificity == 0.7
    no_negatives = imbalanced_metrics(Confusion(3, 0, 1, 0), zero_division="nan")
    assert no_negatives.undefined == ("specificity", "balanced_accuracy", "g_mean", "mcc", "fpr")
    assert math.isnan(no_negatives.g_mean)
    assert no_negatives.recall == 0.75
    all_right = imbalanced_metrics(Confusion(0, 0, 0, 5))
    assert all_right.accuracy == 1
    assert {"f1", "f_beta", "kappa", "precision"} <= set(all_right.undefined)


@given(columns)
def test_what_scikit_learn_says(pairs):
    metrics = pytest.importorskip("sklearn.metrics")
    true, predicted = [t for t, _ in pairs], [p for _, p in pairs]
    c = confusion(true, predicted)
    assert [[c.tn, c.fp], [c.fn, c.tp]] == metrics.confusion_matrix(true, predicted, labels=[False, True]).tolist()
    found = imbalanced_metrics(c)
    assert found.precision == metrics.precision_score(true, predicted, zero_division=0)
    assert found.recall == metrics.recall_score(true, predicted, zero_division=0)
    assert found.specificity == metrics.recall_score(true, predicted, pos_label=False, zero_division=0)
    assert found.f1 == metrics.f1_score(true, predicted, zero_division=0)
    assert found.f_beta == pytest.approx(metrics.fbeta_score(true, predicted, beta=2, zero_division=0), abs=1e-15)
    assert found.accuracy == metrics.accuracy_score(true, predicted)
    if not {"recall", "specificity"} & set(found.undefined):
        assert found.balanced_accuracy == metrics.balanced_accuracy_score(true, predicted)
        assert found.mcc == pytest.approx(metrics.matthews_corrcoef(true, predicted), abs=1e-14)
        assert found.kappa == pytest.approx(metrics.cohen_kappa_score(true, predicted), abs=1e-14)
        # The geometric mean of the recalls of both classes.
        recalls = metrics.recall_score(true, predicted, average=None)
        assert found.g_mean == pytest.approx(float(np.prod(recalls)) ** 0.5, abs=1e-15)


def test_weights_count_rows():
    # Kinds (1, 1), (0, 1), (1, 0), (0, 0) with weights 2, 0.5, 3 and 10.
    assert confusion([1, 0, 1, 0], [1, 1, 0, 0], [2, 0.5, 3, 10]) == (2, 0.5, 3, 10)


@given(counts, st.floats(1e-12, 1e12))
def test_metrics_do_not_depend_on_the_number_of_rows(c, factor):
    first, second = imbalanced_metrics(c), imbalanced_metrics(Confusion(*(factor * value for value in c)))
    assert second[:-1] == pytest.approx(first[:-1], rel=1e-9, abs=1e-12)
    assert first.undefined == second.undefined


@given(counts)
def test_bounds(c):
    found = imbalanced_metrics(c)
    assert all(0 <= value <= 1 for name, value in found._asdict().items() if name not in {"mcc", "kappa", "undefined"})
    assert -1 - 1e-12 <= found.mcc <= 1 + 1e-12
    assert -1 - 1e-12 <= found.kappa <= 1 + 1e-12
    if not {"recall", "specificity"} & set(found.undefined):
        assert found.g_mean <= found.balanced_accuracy + 1e-12
        assert min(found.recall, found.specificity) <= found.g_mean + 1e-12
        assert found.fpr == pytest.approx(1 - found.specificity)


def test_more_rows_than_a_float_counts_exactly():
    huge = imbalanced_metrics(Confusion(*(value * 10**70 for value in (400, 100, 92, 284_215))))
    assert huge.mcc == pytest.approx(imbalanced_metrics(GOOD).mcc)
    assert math.isfinite(huge.kappa)


def test_g_mean_decides_where_f1_is_equal():
    # F1 = 2 * 40 / (80 + 40) for both; the first catches 40 of 50, the second 40 of 70.
    catches, spares = Confusion(40, 30, 10, 1000), Confusion(40, 10, 30, 1000)
    assert imbalanced_metrics(catches).f1 == imbalanced_metrics(spares).f1
    assert imbalanced_metrics(catches).g_mean > imbalanced_metrics(spares).g_mean
    assert rank_f1_gmean([spares, catches]) == [1, 0]
    # F1 of .7273 and .7143: apart without a tolerance, one step of .05 with it (14 * .05 = .70), then g-mean decides.
    careful, eager = Confusion(40, 5, 25, 1000), Confusion(40, 28, 4, 1000)
    assert imbalanced_metrics(careful).f1 == pytest.approx(80 / 110)
    assert imbalanced_metrics(eager).f1 == pytest.approx(80 / 112)
    assert rank_f1_gmean([eager, careful]) == [1, 0]
    assert rank_f1_gmean([careful, eager], 0.05) == [1, 0]


def test_a_step_begins_on_its_edge():
    # F1 = 6 / 20 = 0.3, and 0.3 / 0.1 is 2.9999999999999996.
    assert f1_gmean_key(Confusion(3, 7, 7, 90), 0.1)[0] == 3


def test_equals_keep_their_order():
    assert rank_f1_gmean([GOOD, SILENT, GOOD, SILENT]) == [0, 2, 1, 3]
    assert rank_f1_gmean([]) == []


@given(st.lists(counts, min_size=2, max_size=12, unique=True), st.sampled_from([0.0, 0.05, 0.3]), st.randoms())
def test_the_order_does_not_depend_on_the_list(confusions, f1_tol, random):
    keys = [f1_gmean_key(c, f1_tol) for c in confusions]
    assume(len(set(keys)) == len(keys))
    shuffled = random.sample(confusions, len(confusions))
    first = [confusions[place] for place in rank_f1_gmean(confusions, f1_tol)]
    assert first == [shuffled[place] for place in rank_f1_gmean(shuffled, f1_tol)]
    f1 = [imbalanced_metrics(c).f1 for c in first]
    assert all(better > worse - max(f1_tol, 1e-12) for better, worse in pairwise(f1))


def test_tensors_and_columns_are_taken():
    torch = pytest.importorskip("torch")
    expected = confusion([1, 0, 1], [1, 1, 0])
    assert confusion(torch.tensor([1, 0, 1]), np.array([True, True, False])) == expected


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: confusion([], []), "no rows"),
        (lambda: confusion([0, 2], [0, 1]), "y_true: row 1 is 2; expected labels 0 and 1"),
        (lambda: confusion([0, 1], [0.2, 1]), "y_pred: row 0 is 0.2"),
        (lambda: confusion([0, 1], [1]), "y_pred: 1 rows, expected 2"),
        (lambda: confusion([0, 1], [1, 1], [-1, 1]), "row 0 is -1; expected weights"),
        (lambda: confusion([0, 1], [1, 1], [0, 0]), "all weights are 0"),
        (lambda: imbalanced_metrics(Confusion(1, -2, 0, 0)), "fp is -2"),
        (lambda: imbalanced_metrics(Confusion(1, 0, math.nan, 0)), "fn is nan"),
        (lambda: imbalanced_metrics(Confusion(0, 0, 0, 0)), "holds nothing"),
        (lambda: imbalanced_metrics((1, 2, 3)), "four entries"),
        (lambda: imbalanced_metrics(GOOD, beta=0), "beta above 0"),
        (lambda: imbalanced_metrics(GOOD, zero_division=1), "zero_division of 0 or 'nan'"),
        (lambda: f1_gmean_key(GOOD, -0.1), "f1_tol in \\[0, 1\\]"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
