"""Every public metric: what is bad is told by name, nothing is silently NaN, and every kind of array gives the same."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

import scorecraft.metrics as public
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.metrics.annotation_error import annotate
from scorecraft.metrics.balance_score import (
    balance_bootstrap,
    balance_parts,
    balance_score,
    balance_score_multiclass,
    balance_terms,
    true_ece,
)
from scorecraft.metrics.calibration_panel import calibration_panel
from scorecraft.metrics.decision_curve import decision_curve
from scorecraft.metrics.imbalanced_metrics import confusion

pytestmark = pytest.mark.filterwarnings("ignore::scorecraft.errors.ScorecraftWarning")

# Of labels and the probability of 1.
ONE_COLUMN = [
    public.brier_score, public.brier_scores, public.brier_decomposition, public.log_loss, public.log_losses,
    public.spherical_score, public.spherical_scores, public.ranked_probability_score, public.ranked_probability_scores,
    public.expected_calibration_error, public.maximum_calibration_error, public.squared_calibration_error,
    public.l2_calibration_error, public.classwise_calibration_error, public.kernel_calibration_error,
    public.calibration_error_interval, public.reliability_curve, balance_score, balance_terms, balance_parts,
    balance_bootstrap, calibration_panel, decision_curve,
]  # fmt: skip
# Of labels and the probabilities of all classes.
CLASSES = [
    public.brier_score, public.brier_scores, public.brier_decomposition, public.log_loss, public.spherical_score,
    public.ranked_probability_score, public.expected_calibration_error, public.classwise_calibration_error,
    public.kernel_calibration_error, public.calibration_error_interval, public.reliability_curve,
    balance_score_multiclass,
]  # fmt: skip
# Of labels and a score on any scale.
RANKS = [
    public.roc_auc, public.roc_auc_interval, public.average_precision, public.average_precision_interval,
    public.fpr_at_tpr, public.fpr_at_tpr_interval,
]  # fmt: skip
# Of labels and predicted labels.
PREDICTED = [public.f_beta, public.g_mean, public.matthews_correlation, confusion]
WEIGHTED = [
    public.brier_score, public.log_loss, public.spherical_score, public.ranked_probability_score,
    public.expected_calibration_error, public.maximum_calibration_error, public.squared_calibration_error,
    public.classwise_calibration_error, public.kernel_calibration_error, public.reliability_curve, public.roc_auc,
    public.average_precision, public.fpr_at_tpr, public.f_beta, public.g_mean, public.matthews_correlation,
    balance_score,
]  # fmt: skip

Y = np.array([0, 1, 1, 0, 1, 0, 1, 1])
P = np.array([0.125, 0.75, 0.5, 0.25, 0.875, 0.625, 0.375, 0.9375])
TABLE = np.stack([P / 2, 1 - P, P / 2], axis=1)
Y3 = np.array([0, 1, 2, 1, 0, 1, 2, 2])


def named(metrics):
    return pytest.mark.parametrize("metric", metrics, ids=lambda metric: metric.__name__)


def numbers(found):
    """Yield all numbers of a result."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, Iterable) and not isinstance(found, str):
        for one in found:
            yield from numbers(one)
    elif isinstance(found, int | float | np.generic):
        yield float(found)


@named(ONE_COLUMN)
@pytest.mark.parametrize(
    ("y", "p", "words"),
    [
        ([], [], "row|empty"),
        ([0, 1], [0.5], "rows"),
        ([0, 1], [0.5, 1.5], r"\[0, 1\]"),
        ([0, 1], [0.5, -0.1], r"\[0, 1\]"),
        ([0, 1], [0.5, math.nan], "finite|NaN|nan"),
        ([0, 1], [0.5, math.inf], "finite|inf"),
        ([0, 2], [0.5, 0.5], "0 and 1|label|class"),
        ([0, 0.5], [0.5, 0.5], "0 and 1|label|class|whole"),
        ([0, math.nan], [0.5, 0.5], "0 and 1|label|class|finite|NaN|nan"),
        (["a", "b"], [0.5, 0.5], "number|0 and 1|label"),
        ([0, 1], ["a", "b"], "number"),
        ([0, 1], [[[0.5]], [[0.5]]], "shape|axis|axes|dimension"),
    ],
)
def test_bad_columns_are_told(metric, y, p, words):
    with pytest.raises(ScorecraftError, match=words):
        metric(y, p)


@named(CLASSES)
@pytest.mark.parametrize(
    ("y", "p", "words"),
    [
        ([0, 1], [[0.5, 0.5, 0.5], [1, 0, 0]], "sum"),
        ([0, 3], [[0.5, 0.25, 0.25], [1, 0, 0]], "class|label"),
        ([0, -1], [[0.5, 0.25, 0.25], [1, 0, 0]], "class|label"),
        ([0], [[0.5, 0.25, 0.25], [1, 0, 0]], "rows"),
        ([0, 1], [[1.5, -0.25, -0.25], [1, 0, 0]], r"\[0, 1\]"),
        ([0, 1], [[math.nan, 0.5, 0.5], [1, 0, 0]], "finite|NaN|nan"),
        (np.zeros(0, dtype=int), np.zeros((0, 3)), "row|empty"),
    ],
)
def test_bad_distributions_are_told(metric, y, p, words):
    with pytest.raises(ScorecraftError, match=words):
        metric(y, p)


@named(RANKS)
@pytest.mark.parametrize(
    ("y", "s", "words"),
    [
        ([], [], "row|empty"),
        ([0, 1], [1.0], "rows"),
        ([0, 0], [1.0, 2.0], "label 1|both|one class"),
        ([1, 1], [1.0, 2.0], "label 0|both|one class"),
        ([0, 1], [1.0, math.nan], "finite"),
        ([0, 2], [1.0, 2.0], "0 and 1"),
    ],
)
def test_bad_scores_are_told(metric, y, s, words):
    with pytest.raises(ScorecraftError, match=words):
        metric(y, s)


@named(PREDICTED)
@pytest.mark.parametrize(
    ("y", "yes"), [([], []), ([0, 1], [1]), ([0, 1], [0, 2]), ([0, 2], [0, 1]), ([0, 1], [0.5, 1])]
)
def test_bad_predictions_are_told(metric, y, yes):
    with pytest.raises(ScorecraftError):
        metric(y, yes)


@named(WEIGHTED)
@pytest.mark.parametrize("weights", [-np.ones(8), np.zeros(8), np.ones(7), np.full(8, math.nan), np.full(8, math.inf)])
def test_bad_weights_are_told(metric, weights):
    given = (P >= 0.5).astype(int) if metric in PREDICTED else P
    with pytest.raises(ScorecraftError, match="weight"):
        metric(Y, given, sample_weight=weights)


@named([*ONE_COLUMN, *CLASSES])
@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([1, 1, 1], [0.25, 0.5, 1.0]),  # one class
        ([0, 1, 1], [0.5, 0.5, 0.5]),  # constant
        ([0, 1, 1], [0.0, 1.0, 1.0]),  # certain and right
        ([0, 1, 0, 1], [0.01, 0.35, 0.65, 0.99]),  # bins of one row
    ],
)
def test_odd_rows_have_values_and_no_nan(metric, y, p):
    if metric is balance_score_multiclass:
        p = np.stack([1 - np.array(p), p], axis=1)
    for value in numbers(metric(y, p)):
        assert not math.isnan(value)


@pytest.mark.parametrize(
    "metric", [balance_bootstrap, public.calibration_error_interval, public.kernel_calibration_error]
)
def test_one_row_is_too_few_to_resample_or_pair(metric):
    with pytest.raises(ScorecraftError):
        metric([1], [0.5])


def test_certain_and_wrong_is_infinite_and_not_nan():
    assert public.log_loss([1, 0], [0.0, 0.5]) == math.inf
    assert public.log_loss([1], [0.0], clip=0.5) == pytest.approx(math.log(2))


@named(RANKS)
def test_constant_scores_rank_nothing(metric):
    found = metric([0, 1, 1, 0], [3.0] * 4)
    for value in numbers(found):
        assert 0 <= value <= 1
    if metric is public.roc_auc:
        assert found == 0.5


def kinds(values):
    """Return one column as every kind of array that is taken."""
    values = np.asarray(values)
    series = pd.Series(values, index=np.random.default_rng(0).permutation(len(values)))
    found = {
        "list": values.tolist(),
        "strided": np.repeat(values, 2)[::2],
        "torch": torch.tensor(values),
        "pandas": series,
        "nullable": series.astype("Float64" if values.dtype.kind == "f" else "Int64"),
        "polars": pl.Series(values),
    }
    if values.dtype.kind == "f":
        found |= {"float32": values.astype(np.float32), "graph": torch.tensor(values, requires_grad=True),
                  "bfloat16": torch.tensor(values, dtype=torch.bfloat16)}  # fmt: skip
    else:
        found |= {"bool": values.astype(bool), "float labels": values.astype(float), "int8": values.astype(np.int8)}
    return found


@named([*ONE_COLUMN, *RANKS])
def test_every_kind_of_column_gives_the_same(metric):
    expected = list(numbers(metric(Y, P)))
    for name, column in kinds(Y).items():
        assert list(numbers(metric(column, P))) == pytest.approx(expected, nan_ok=False), name
    for name, column in kinds(P).items():  # all are exact in 8 bits
        assert list(numbers(metric(Y, column))) == pytest.approx(expected), name


@named(PREDICTED)
def test_every_kind_of_label_gives_the_same(metric):
    yes = (P >= 0.5).astype(int)
    expected = list(numbers(metric(Y, yes)))
    for name, column in kinds(yes).items():
        assert list(numbers(metric(Y, column))) == pytest.approx(expected), name


@named(CLASSES)
def test_every_kind_of_table_gives_the_same(metric):
    expected = list(numbers(metric(Y3, TABLE)))
    frames = {
        "list": TABLE.tolist(), "torch": torch.tensor(TABLE), "pandas": pd.DataFrame(TABLE),
        "polars": pl.DataFrame(TABLE), "transposed": np.asfortranarray(TABLE),
    }  # fmt: skip
    for name, table in frames.items():
        assert list(numbers(metric(Y3, table))) == pytest.approx(expected), name


@named(WEIGHTED)
def test_weights_of_every_kind_and_whole_ones_are_copies(metric):
    given = (P >= 0.5).astype(int) if metric in PREDICTED else P
    weights = np.array([1, 2, 1, 3, 1, 1, 2, 1])
    expected = list(numbers(metric(Y, given, sample_weight=weights)))
    for name, column in kinds(weights).items():
        if name != "bool":
            assert list(numbers(metric(Y, given, sample_weight=column))) == pytest.approx(expected), name
    if metric in (public.squared_calibration_error, public.kernel_calibration_error, public.reliability_curve):
        return  # a copy is a row of its own there
    copied = list(numbers(metric(Y.repeat(weights), np.asarray(given).repeat(weights))))
    assert copied == pytest.approx(expected)


def test_the_rest_takes_no_bad_input():
    with pytest.raises(ScorecraftError):
        true_ece([0.5], [1.5])
    with pytest.raises(ScorecraftError):
        annotate([0, 2], 0.1, 0.1, rng=np.random.default_rng(0))
    with pytest.warns(ScorecraftWarning):
        balance_score([0, 1], [0.5, 0.5])
    with pytest.raises(ScorecraftError):
        partial(public.delong_test, [0, 1])([0.1, 0.2], [0.1])
    with pytest.raises(ScorecraftError):
        public.compare_losses([0.1], [0.2])
