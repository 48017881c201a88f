"""The simulations of the Balance score: measures as the package has them, and shapes whose error is known by hand."""

import math

import numpy as np
import pytest

from scorecraft.metrics.balance_score import balance_score, true_ece
from scorecraft.metrics.calibration import brier, ece
from scorecraft.studies import balance_score as study
from scorecraft.studies import real_forecasts
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    return Trial(settings, 0, "smoke", tmp_path, lambda done, total: None)


@pytest.fixture(scope="module")
def drawn():
    random = np.random.default_rng(0)
    q = random.random((5, 203))
    return random.random(q.shape) < q, q


def test_measures_of_many_samples_are_those_of_each(drawn):
    labels, stated = drawn
    expected = {
        "accuracy": lambda y, p: ((p >= 0.5) == y).mean(),
        "brier": brier,
        "ece": ece,
        "ece-15": lambda y, p: ece(y, p, 15),
        "ece-adaptive": lambda y, p: ece(y, p, 15, adaptive=True),
        "balance": balance_score,
    }
    for name, measure in expected.items():
        found = study.MEASURES[name](labels, stated)
        assert found.tolist() == pytest.approx([measure(y, p) for y, p in zip(labels, stated, strict=True)]), name


def test_the_chance_level_is_what_right_forecasts_have():
    # One bin with 2 rows at .5: error |sum| / 2, chance sqrt(2 / pi * .5) / 2.
    labels, stated = np.array([[True, True]]), np.array([[0.5, 0.5]])
    found = study.ece_rows(labels, stated, 10, above_chance=True)
    assert found[0] == pytest.approx(0.5 - math.sqrt(1 / math.pi) / 2)
    random = np.random.default_rng(1)
    q = random.random((200, 2000))
    plain = study.ece_rows(random.random(q.shape) < q, q, 10).mean()
    # sqrt(2 / pi) sqrt(10 / 2000) times the mean of sqrt(q (1 - q)), pi / 8, which bins change little.
    assert plain == pytest.approx(math.sqrt(2 / math.pi) * math.sqrt(10 / 2000) * math.pi / 8, rel=0.03)


def test_tendencies_by_hand():
    q = np.array([0.2, 0.5, 0.9])
    assert study.extreme(q, 0.1).tolist() == pytest.approx([0.18, 0.55, 0.91])
    assert study.timid(q, 0.1).tolist() == pytest.approx([0.23, 0.5, 0.86])
    even = (np.arange(10_000) + 0.5) / 10_000
    assert true_ece(even, study.extreme(even, 0.1)) == pytest.approx(0.025)
    assert true_ece(even, study.timid(even, 0.1)) == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("shape", "truth", "bias", "tolerance"),
    [
        ("right", 0.0, 0.0, 1e-12),
        ("groups", 0.1, 0.0, 1e-12),
        ("shift", 0.05, 0.05, 1e-12),
        # The mean of .05 |sin| is .1 / pi.
        ("s-shape", 0.1 / math.pi, 0.0, 2e-3),
        ("extreme", 0.025, 0.0, 2e-3),
    ],
)
def test_shapes_have_the_error_that_they_are_said_to_have(shape, truth, bias, tolerance):
    q, p = study.shaped(shape, np.random.default_rng(0))
    assert ((p >= 0) & (p <= 1)).all()
    assert true_ece(q, p) == pytest.approx(truth, abs=tolerance)
    assert (p - q).mean() == pytest.approx(bias, abs=tolerance)


def test_properties_tell_measures_apart(tmp_path):
    found = {m: study.properties(trial(tmp_path, measure=m)) for m in ("accuracy", "brier", "balance")}
    assert found["accuracy"]["response"] == 0
    # E q(1 - q) of Beta(2, 2) and of Beta(.5, .5): .2 - .125, with 5000 rows.
    assert found["brier"]["spread"] == pytest.approx(0.075, abs=0.015)
    # .05 on either side of 0, exactly the difference in mean confidence.
    assert found["balance"]["direction"] == pytest.approx(0.1, abs=0.005)
    assert found["balance"]["choice"] == 0
    assert study.properties(trial(tmp_path, measure="ece", bins=True))["choice"] > 0


def test_right_forecasts_of_a_known_shape(tmp_path):
    shape, accuracy, expected = study.BETAS["0.5"]
    found = study.table(trial(tmp_path, shape=shape, accuracy=accuracy, brier=expected))
    # Four standard errors of 5000 rows.
    assert found["accuracy_off"] == pytest.approx(0, abs=0.022)
    assert found["brier_off"] == pytest.approx(0, abs=0.012)
    assert found["size"] == abs(found["balance"]) < 0.02


def test_sizes_are_of_the_same_draws_for_every_measure(tmp_path):
    found = study.sizes(trial(tmp_path, measure="balance"))
    assert len(found["rmse_course"]) == len(study.SIZES)
    assert 2 ** found["doublings_100"] == pytest.approx(found["rmse_course"][0])
    # With 10,000 rows the standard error is sqrt(1/6) / 100 = .004; over 20 samples the RMSE is near it.
    assert found["rmse_course"][-1] == pytest.approx(math.sqrt(1 / 6) / 100, rel=0.5)
    assert found["order_course"][-1] == 1
    random = np.random.default_rng(0)
    q = random.random((20, 100))
    p = study.extreme(q, 0.1)
    sizes = [abs(balance_score(y, row)) for y, row in zip(random.random(q.shape) < q, p, strict=True)]
    assert found["mean_course"][0] == pytest.approx(np.mean(sizes))


def test_bins_and_blind_spots(tmp_path):
    assert study.bins(trial(tmp_path, measure="balance")) == {"reversed": 0.0, "ever": 0.0}
    with_bins = study.bins(trial(tmp_path, measure="ece"))
    assert 0 <= with_bins["reversed"] <= with_bins["ever"] <= 1
    cancelled = study.blind_spots(trial(tmp_path, shape="groups"))
    assert cancelled["truth"] == pytest.approx(0.1)
    assert cancelled["missed"] > 0.08
    assert cancelled["flagged"] == 1


def test_real_data_are_held_out(tmp_path):
    pytest.importorskip("sklearn")
    found = real_forecasts.real(trial(tmp_path, model="bayes"))
    # Right on the training rows in 94 %; held out it cannot be perfect, nor near to guessing.
    assert 0.9 < found["accuracy"] < 0.97
    assert found["balance"] < 0


def test_the_study_is_fair():
    check_study(study.STUDY)
