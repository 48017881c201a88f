"""Recalibrators: the best of their families, scikit-learn's own, its conventions, and input that cannot be."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.calibration import _sigmoid_calibration, _TemperatureScaling
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks as checks

from scorecraft.errors import ScorecraftError
from scorecraft.metrics import (
    BetaCalibration,
    IsotonicCalibration,
    PlattScaling,
    RecalibrationError,
    TemperatureScaling,
    expected_calibration_error,
    log_loss,
)

ALL = [TemperatureScaling, PlattScaling, IsotonicCalibration, BetaCalibration]
# Those of scikit-learn's checks that one column of scores can undergo.
MEANINGFUL = [
    checks.check_estimator_cloneable,
    checks.check_estimator_tags_renamed,
    checks.check_valid_tag_types,
    checks.check_estimator_repr,
    checks.check_no_attributes_set_in_init,
    checks.check_fit_score_takes_y,
    checks.check_estimators_overwrite_params,
    checks.check_estimators_fit_returns_self,
    checks.check_readonly_memmap_input,
    checks.check_estimators_unfitted,
    checks.check_do_not_raise_errors_in_init_or_set_params,
    checks.check_mixin_order,
    checks.check_estimators_dtypes,
    checks.check_sample_weights_pandas_series,
    checks.check_sample_weights_list,
    checks.check_sample_weights_shape,
    checks.check_sample_weights_not_overwritten,
    checks.check_estimators_pickle,
    checks.check_classifiers_one_label,
    checks.check_classifiers_classes,
    checks.check_classifiers_regression_target,
    checks.check_parameters_default_constructible,
    checks.check_get_params_invariance,
    checks.check_set_params,
    checks.check_fit_idempotent,
    checks.check_fit_check_is_fitted,
]


def sigmoid(score):
    return 1 / (1 + np.exp(-score))


def too_sure(rows, seed=0, classes=2):
    """Return logits three times too large, labels and weights."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (rows, classes) if classes > 2 else rows)
    if classes == 2:
        labels = (random.random(rows) < sigmoid(logits)).astype(int)
    else:
        prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        labels = (prob.cumsum(1) < random.random((rows, 1))).sum(1)
    return 3 * logits, labels, random.integers(1, 4, rows).astype(float)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("given_as", ["probability", "logit"])
def test_errors_shrink(kind, given_as):
    logits, labels, _ = too_sure(6000)
    scores = sigmoid(logits) if given_as == "probability" else logits
    fitted = kind(input=given_as).fit(scores[:3000], labels[:3000])
    found = fitted.predict_proba(scores[3000:])
    assert found.shape == (3000, 2)
    assert found.sum(1) == pytest.approx(1)
    before = expected_calibration_error(labels[3000:], sigmoid(logits[3000:]))
    after = expected_calibration_error(labels[3000:], found[:, 1])
    assert before > 0.1
    assert after < 0.04


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("given_as", ["probability", "logit"])
def test_errors_of_classes_shrink(kind, given_as):
    logits, labels, _ = too_sure(6000, classes=4)
    grown = np.exp(logits)
    prob = grown / grown.sum(1, keepdims=True)
    scores = prob if given_as == "probability" else logits
    found = kind(input=given_as).fit(scores[:3000], labels[:3000]).predict_proba(scores[3000:])
    assert found.shape == (3000, 4)
    assert found.sum(1) == pytest.approx(1)
    assert expected_calibration_error(labels[3000:], found) < expected_calibration_error(labels[3000:], prob[3000:]) / 3


def test_the_true_temperature_is_found():
    logits, labels, _ = too_sure(40_000)
    assert TemperatureScaling(input="logit").fit(logits, labels).temperature_ == pytest.approx(3, rel=0.05)
    logits, labels, _ = too_sure(20_000, classes=3)
    assert TemperatureScaling(input="logit").fit(logits, labels).temperature_ == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("classes", [2, 3])
def test_temperature_is_sklearns(classes):
    logits, labels, weights = too_sure(500, 1, classes)
    # Its logits of one column are (-x, x), which are twice as far apart.
    theirs = _TemperatureScaling().fit(logits / 2 if classes == 2 else logits, labels, weights)
    ours = TemperatureScaling(input="logit").fit(logits, labels, weights)
    assert 1 / ours.temperature_ == pytest.approx(float(theirs.beta_), rel=1e-5)


def test_platt_is_sklearns():
    logits, labels, weights = too_sure(400, 2)
    slope, intercept = _sigmoid_calibration(logits, labels, sample_weight=weights)
    ours = PlattScaling(input="logit").fit(logits, labels, weights)
    assert ours.maps_[0] == pytest.approx([-slope, -intercept], rel=1e-3, abs=1e-4)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10), st.integers(1, 3)), min_size=2, max_size=25).filter(
        lambda rows: {y for y, *_ in rows} == {0, 1}
    )
)
def test_isotonic_is_sklearns(rows):
    labels, tenths, weights = (np.array(column) for column in zip(*rows, strict=True))
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(tenths / 10, labels, weights)
    ours = IsotonicCalibration().fit(tenths / 10, labels, weights)
    everywhere = np.linspace(0, 1, 41)
    assert ours.predict_proba(everywhere)[:, 1] == pytest.approx(theirs.predict(everywhere), abs=1e-6)


def test_isotonic_by_hand():
    # The pair (.3 -> 1, .5 -> 0) is pooled to 1/2; between .5 and .9 the line from 1/2 to 1.
    fitted = IsotonicCalibration().fit([0.1, 0.3, 0.5, 0.9], [0, 1, 0, 1])
    assert fitted.predict_proba([0.0, 0.3, 0.4, 0.7, 1.0])[:, 1] == pytest.approx([0, 0.5, 0.5, 0.75, 1])


def beta_loss(coefficients, prob, labels, weights):
    a, b, c = coefficients
    score = a * np.log(prob) - b * np.log1p(-prob) + c
    return weights @ (np.logaddexp(0, score) - labels * score) / weights.sum()


@pytest.mark.parametrize(("seed", "turned"), [(0, False), (1, False), (2, True)])
def test_beta_is_the_best_within_its_bounds(seed, turned):
    random = np.random.default_rng(seed)
    prob = random.beta(0.7, 0.7, 300).clip(1e-6, 1 - 1e-6)
    labels = random.random(300) < (1 - prob if turned else prob**2)
    weights = random.integers(1, 4, 300).astype(float)
    found = BetaCalibration().fit(prob, labels, weights).maps_[0]
    best = minimize(
        beta_loss, [1, 1, 0], args=(prob, labels, weights), bounds=[(0, None), (0, None), (None, None)],
        options={"ftol": 1e-15, "gtol": 1e-10},
    )  # fmt: skip
    assert (found[:2] >= 0).all()
    assert beta_loss(found, prob, labels, weights) == pytest.approx(best.fun, abs=1e-7)
    if turned:
        assert found[:2].tolist() == [0, 0]


def test_beta_leaves_right_probabilities_alone():
    random = np.random.default_rng(5)
    prob = random.random(200_000)
    found = BetaCalibration().fit(prob, random.random(200_000) < prob).maps_[0]
    assert found == pytest.approx([1, 1, 0], abs=0.05)


@pytest.mark.parametrize("kind", ALL)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=2, max_size=20).filter(
        lambda rows: {y for y, _ in rows} == {0, 1}
    )
)
def test_maps_rise_and_stay_probabilities(kind, rows):
    labels, eighths = (np.array(column) for column in zip(*rows, strict=True))
    fitted = kind().fit(eighths / 8, labels)
    found = fitted.predict_proba(np.linspace(0, 1, 33))
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()
    if kind is not PlattScaling:  # whose slope may be below 0 where the scores say the opposite of the truth
        assert (np.diff(found[:, 1]) >= -1e-9).all()


@pytest.mark.parametrize("kind", [PlattScaling, IsotonicCalibration, BetaCalibration])
def test_a_weight_of_two_is_a_row_twice(kind):
    logits, labels, weights = too_sure(80, 3)
    prob = sigmoid(logits)
    times = weights.astype(int)
    weighted = kind().fit(prob, labels, weights).predict_proba(prob)
    repeated = kind().fit(np.repeat(prob, times), np.repeat(labels, times)).predict_proba(prob)
    assert weighted == pytest.approx(repeated, abs=1e-6)


@pytest.mark.parametrize("kind", ALL)
def test_separable_constant_and_extreme_scores_have_values(kind):
    for scores in ([0.1, 0.2, 0.8, 0.9], [0.0, 0.0, 1.0, 1.0], [0.5] * 4):
        found = kind().fit(scores, [0, 0, 1, 1]).predict_proba(scores)
        assert np.isfinite(found).all()
        if scores[0] == scores[-1]:
            assert found[:, 1] == pytest.approx(0.5)
        else:
            assert (found.argmax(1) == [0, 0, 1, 1]).all()
    huge = kind(input="logit").fit([-1e6, -1.0, 1.0, 1e6], [0, 1, 0, 1]).predict_proba([-1e6, 0.0, 1e6])
    assert np.isfinite(huge).all()


def test_bounds_of_the_temperature():
    assert TemperatureScaling().fit([0.1, 0.9], [0, 1]).temperature_ == pytest.approx(1e-3)
    assert TemperatureScaling().fit([0.1, 0.9], [1, 0]).temperature_ == pytest.approx(1e3)
    assert TemperatureScaling().fit([0.5, 0.5], [1, 0]).temperature_ == 1
    assert TemperatureScaling().fit([[0.5, 0.5], [0.5, 0.5]], [1, 0]).temperature_ == 1


def test_temperature_keeps_the_order_of_classes():
    logits, labels, _ = too_sure(300, 4, 5)
    fitted = TemperatureScaling(input="logit").fit(logits, labels)
    assert (fitted.predict(logits) == logits.argmax(1)).all()
    raw = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert log_loss(labels, fitted.predict_proba(logits)) < log_loss(labels, raw)


@pytest.mark.parametrize("kind", ALL)
def test_labels_of_any_kind_and_classes_that_do_not_occur(kind):
    named = kind().fit([0.2, 0.3, 0.7, 0.6], ["no", "no", "yes", "yes"])
    assert named.classes_.tolist() == ["no", "yes"]
    assert named.predict([0.05, 0.95]).tolist() == ["no", "yes"]
    assert named.score([0.05, 0.95], ["no", "no"]) == 0.5
    missing = kind().fit([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]], [0, 1, 1])
    assert missing.classes_.tolist() == [0, 1, 2]
    assert missing.predict_proba([[0.2, 0.2, 0.6]]).shape == (1, 3)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("check", MEANINGFUL, ids=lambda check: check.__name__)
@pytest.mark.filterwarnings("ignore")
def test_sklearns_checks_pass(kind, check):
    check(kind.__name__, kind(input="logit"))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.filterwarnings("ignore")
def test_check_estimator_passes(kind):
    checks.check_estimator(kind())


@pytest.mark.parametrize("kind", ALL)
def test_sklearns_tools_take_them(kind):
    logits, labels, _ = too_sure(200)
    copy = clone(kind(input="logit"))
    assert copy.get_params() == {"input": "logit"}
    assert repr(copy) == f"{kind.__name__}(input='logit')"
    assert cross_val_score(copy, logits, labels, cv=3).mean() > 0.6
    piped = make_pipeline(FunctionTransformer(sigmoid), kind()).fit(logits[:, None], labels)
    assert piped.predict_proba(logits[:, None]).shape == (200, 2)
    with pytest.raises(NotFittedError):
        kind().predict_proba([0.5])
    with pytest.raises(ScorecraftError, match="not fitted"):
        kind().predict_proba([0.5])


def test_sklearn_is_not_needed():
    code = """
import sys
from scorecraft.metrics import BetaCalibration, IsotonicCalibration, PlattScaling, TemperatureScaling
for kind in (BetaCalibration, IsotonicCalibration, PlattScaling, TemperatureScaling):
    kind().fit([.2, .6, .4, .8], [0, 0, 1, 1]).predict([.5])
    try:
        kind().predict([.5])
    except ValueError as error:
        assert 'not fitted' in str(error)
print('sklearn' in sys.modules, 'torch' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("scores", "labels", "options", "said"),
    [
        ([], [], {}, "no rows"),
        ([0.5, 0.6], [1, 1], {}, "only one class"),
        ([0.5, 0.6], [1, 0], {"sample_weight": [1, 0]}, "only one class"),
        ([0.5, 0.6], [1, 0], {"sample_weight": [1, -1]}, "at least 0"),
        ([0.5, 0.6], [1, 0], {"sample_weight": [0, 0]}, "all weights are 0"),
        ([0.5, 1.6], [1, 0], {}, r"in \[0, 1\]"),
        ([0.5, float("nan")], [1, 0], {}, "finite"),
        ([0.5, 0.6], [1], {}, "2 rows"),
        ([0.5, 0.6], None, {}, "expected the class"),
        ([0.5, 0.6], [0.5, 1.0], {}, "expected classes"),
        ([0.5, 0.6, 0.7], [0, 1, 2], {}, "Only binary"),
        ([[0.5, 0.6], [0.5, 0.5]], [0, 1], {}, "sum to 1"),
        ([[0.5, 0.5], [0.5, 0.5]], [0, 2], {}, None),
        ([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]], ["a", "b"], {}, "2 classes such as"),
    ],
)
def test_bad_input_is_named(kind, scores, labels, options, said):
    if said is None:  # two labels for two columns, whatever they are
        assert kind().fit(scores, labels).classes_.tolist() == [0, 2]
        return
    with pytest.raises(RecalibrationError, match=said):
        kind().fit(scores, labels, **options)
    with pytest.raises(ValueError, match=said):
        kind().fit(scores, labels, **options)


@pytest.mark.parametrize("kind", ALL)
def test_bad_options_are_named(kind):
    with pytest.raises(RecalibrationError, match="input"):
        kind(input="score").fit([0.5, 0.6], [0, 1])
    with pytest.raises(RecalibrationError, match="no parameter 'inputs'"):
        kind().set_params(inputs="logit")
    fitted = kind().fit([0.5, 0.6], [0, 1])
    with pytest.raises(RecalibrationError, match="3 features"):
        fitted.predict_proba([[0.2, 0.3, 0.5]])
