"""The instances are what they say, and every arm runs."""

import numpy as np
import pytest

from scorecraft.studies import online_matching as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def test_instances_by_hand():
    # Three groups of two arrivals: the first sees all, the last one only the last.
    assert (2 * study.triangle(3, 2)).tolist() == [[1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]
    # Four groups of one: the first two see their own and the second half; the others their own.
    assert study.two_levels(4, 1).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]


@pytest.mark.parametrize(
    "arm", [(experiment, arm) for experiment in study.STUDY.experiments for arm in experiment.arms],
    ids=lambda arm: f"{arm[0].name}-{arm[1].name}",
)  # fmt: skip
def test_every_arm_runs(tmp_path, arm):
    experiment, chosen = arm
    found = experiment.run(Trial(chosen.settings, 3, "smoke", tmp_path, lambda done, total: None))
    assert {metric.name for metric in experiment.metrics} <= set(found)
    assert np.isfinite(list(found.values())).all()


def test_the_study_is_fair():
    check_study(study.STUDY)
