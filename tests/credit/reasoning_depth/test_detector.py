"""RHD: a regression that agrees with scikit-learn's, detectors that refuse what they do not fit, and nested choices."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from scorecraft.credit.reasoning_depth import DepthFeatures, RHDDetector, nested_cross_validation
from scorecraft.credit.reasoning_depth.detector import ranked_auroc
from scorecraft.errors import ScorecraftError


def features(table, unit="nats", vocabulary=100):
    return DepthFeatures(torch.tensor(np.asarray(table), dtype=torch.float64), vocabulary, (1,), unit)


PLACES = np.arange(12)
TABLE = np.column_stack([np.sin(PLACES), np.cos(2 * PLACES), PLACES / 12, PLACES * 7 % 5])
LABELS = np.array([1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0])


@pytest.mark.parametrize(
    ("strength", "weights", "intercept", "first"),
    [
        # From scikit-learn 1.7: LogisticRegression(C=strength, tol=1e-12) on StandardScaler's table.
        (1.0, [0.0156117, 1.3009829, 0.0307895, -0.3232435], -0.4561031, [1.6844498, -1.2520796, -2.1218916]),
        (0.1, [-0.0141087, 0.3494697, -0.0183039, -0.1075915], -0.3475628, [0.2977637, -0.5501152, -0.8227874]),
    ],
)
def test_the_regression_is_scikit_learns(strength, weights, intercept, first):
    detector = RHDDetector.fit(features(TABLE), LABELS, strength=strength)
    assert detector.weights.tolist() == pytest.approx(weights, abs=2e-5)
    assert detector.intercept == pytest.approx(intercept, abs=2e-5)
    assert detector.score(features(TABLE))[:3].tolist() == pytest.approx(first, abs=5e-5)


def test_without_labels_it_is_the_sum_of_z_scores_of_the_patterns():
    # Of (1, 3) the z-scores are -1 and 1; the mean depth does not count, and a constant feature says nothing.
    table = [[9.0, 1.0, 0.2, 5.0], [0.0, 3.0, 0.4, 5.0]]
    detector = RHDDetector.training_free(features(table))
    assert detector.weights.tolist() == [0, 1, 1, 1]
    assert detector.score(features(table)).tolist() == pytest.approx([-2.0, 2.0])
    assert detector.score(features([[0.0, 2.0, 0.3, 6.0]])).tolist() == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: RHDDetector.fit(features(TABLE), np.ones(12)), "both kinds"),
        (lambda: RHDDetector.fit(features(TABLE), LABELS * 2), "labelled 0 and 1"),
        (lambda: RHDDetector.fit(features(TABLE), LABELS[:5]), "12 chains need as many labels"),
        (lambda: RHDDetector.fit(features(TABLE), LABELS, strength=0.0), "strength above 0"),
        (lambda: RHDDetector.training_free(features([[1.0, math.nan, 0.0, 0.0]])), "chain 0 are not finite"),
        (
            lambda: RHDDetector.fit(features(TABLE), LABELS).score(features(TABLE, "paper")),
            "detector has unit nats, but the features unit paper",
        ),
        (
            lambda: RHDDetector.fit(features(TABLE), LABELS).score(features(TABLE, vocabulary=7)),
            "vocabulary 100, but the features vocabulary 7",
        ),
        (lambda: nested_cross_validation({"a": features(TABLE)}, LABELS, folds=6), "6 folds need"),
        (lambda: nested_cross_validation({}, LABELS), "at least one table"),
        (lambda: nested_cross_validation({"a": features(TABLE[:8])}, LABELS), "8 chains need as many"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def planted(seed, signal, chains=120):
    random = np.random.default_rng(seed)
    labels = np.arange(chains) % 2
    noise = random.normal(size=(chains, 4))
    noise[:, 1] += signal * labels
    return features(noise), labels


def test_a_planted_signal_is_found_and_the_table_that_has_it_is_chosen():
    table, labels = planted(0, 3.0)
    empty, _ = planted(1, 0.0)
    found = nested_cross_validation({"empty": empty, "full": table}, labels)
    assert [name for name, _ in found.chosen] == ["full"] * 5
    # Two normal distributions 3 deviations apart: Phi(3 / sqrt 2) = .983.
    assert found.auroc(labels) == pytest.approx(0.983, abs=0.03)
    assert np.bincount(found.fold).tolist() == [24] * 5
    for fold in range(5):
        assert labels[found.fold == fold].sum() == 12


def test_noise_is_not_mistaken_for_a_signal_however_many_tables_are_tried():
    areas = []
    for seed in range(8):
        noise = {str(place): planted(10 * seed + place, 0.0)[0] for place in range(5)}
        labels = np.arange(120) % 2
        areas.append(nested_cross_validation(noise, labels, strengths=(0.1, 1.0), seed=seed).auroc(labels))
    assert abs(np.mean(areas) - 0.5) < 0.06


def test_it_is_repeatable():
    table, labels = planted(2, 1.0)
    first, again = (nested_cross_validation({"one": table}, labels, seed=4) for _ in range(2))
    assert first.scores.tolist() == again.scores.tolist()
    assert nested_cross_validation({"one": table}, labels, seed=5).fold.tolist() != first.fold.tolist()


def test_any_scores_can_be_ranked():
    # Pairs: -5 < 3 right, -5 < 100 right, 7 > 3 wrong, 7 < 100 right.
    assert ranked_auroc([0, 1, 0, 1], [-5.0, 3.0, 7.0, 100.0]) == pytest.approx(0.75)
