"""Every arm runs; games come out as their values; the exact gradient climbs."""

import numpy as np
import pytest

from scorecraft.decisions.levine_hats import hats
from scorecraft.studies import levine_hats as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    return Trial(settings, 3, "smoke", tmp_path, lambda done, total: None)


@pytest.mark.parametrize(
    "arm", [(experiment, arm) for experiment in study.STUDY.experiments for arm in experiment.arms],
    ids=lambda arm: f"{arm[0].name}-{arm[1].name}",
)  # fmt: skip
def test_every_arm_runs(tmp_path, arm):
    experiment, chosen = arm
    found = experiment.run(trial(tmp_path, **chosen.settings))
    assert {metric.name for metric in experiment.metrics} <= set(found)
    assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize(("kind", "value"), [("block", 0.35), ("first-white", 1 / 3), ("first", 0.25)])
def test_games_come_out_as_their_values(kind, value):
    won = study._played(kind, 40_000, np.random.default_rng(0)) / 40_000
    # Four standard errors of sqrt(.25 / 40,000).
    assert won == pytest.approx(value, abs=0.01)


def test_the_exact_gradient_raises_the_value():
    random = np.random.default_rng(0)
    black = hats(3).astype(float)
    tables = [random.normal(0, 0.1, (8, 3)) for _ in range(2)]

    def value():
        chances = [np.exp(table) / np.exp(table).sum(1, keepdims=True) for table in tables]
        hit = [chance @ black.T for chance in chances]
        return float((hit[0] * hit[1].T).mean())

    before = value()
    for _ in range(50):
        study._learn(tables, black, random, exact=True)
    assert value() > before + 0.02


def test_the_study_is_fair():
    check_study(study.STUDY)
