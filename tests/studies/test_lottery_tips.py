"""The study's rounds follow their forecast, its strata hold what they say, and every experiment runs."""

import numpy as np
import pytest

from scorecraft.studies import lottery_tips as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    return Trial(settings, 3, "smoke", tmp_path, lambda done, total: None)


def test_results_follow_their_forecast():
    random = np.random.default_rng(0)
    q = study.forecasts(random)
    drawn = study.results_of(q, 40_000, random)
    assert drawn.shape == (40_000, 13)
    for match in range(13):
        assert np.bincount(drawn[:, match], minlength=3) / 40_000 == pytest.approx(q[match], abs=0.015)


def test_a_stratum_holds_distinct_tips_with_its_favourites():
    found = study._of_stratum(7, 300, np.random.default_rng(0))
    assert ((found == 0).sum(1) == 7).all()
    assert len(np.unique(found, axis=0)) == 300


@pytest.mark.parametrize(
    "arm", [(experiment, arm) for experiment in study.STUDY.experiments for arm in experiment.arms],
    ids=lambda arm: f"{arm[0].name}-{arm[1].name}",
)  # fmt: skip
def test_every_arm_runs(tmp_path, arm):
    experiment, chosen = arm
    found = experiment.run(trial(tmp_path, **chosen.settings))
    assert {metric.name for metric in experiment.metrics} <= set(found)
    assert np.isfinite(list(found.values())).all()


def test_the_study_is_fair():
    check_study(study.STUDY)
