"""Net benefit by hand, and its interval covers as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.decision_curve import decision_curve


def test_net_benefit_by_hand():
    # Thresholds .25, .5, .75; rows at .3 (1), .6 (0), .8 (1), .1 (0).
    curve = decision_curve([1, 0, 1, 0], [0.3, 0.6, 0.8, 0.1], steps=4)
    assert curve.threshold.tolist() == [0.25, 0.5, 0.75]
    # Caught 2, 1, 1; alarms 1, 1, 0; odds 1/3, 1, 3.
    assert curve.net_benefit.tolist() == pytest.approx([(2 - 1 / 3) / 4, (1 - 1) / 4, 1 / 4])
    # All: half of the rows are ones.
    assert curve.act_on_all.tolist() == pytest.approx([0.5 - 0.5 / 3, 0, 0.5 - 1.5])


def test_a_probability_at_the_threshold_acts():
    assert decision_curve([1, 1], [0.5, 0.4], steps=2).net_benefit.tolist() == [0.5]


def test_the_interval_covers():
    random = np.random.default_rng(0)
    truth = np.linspace(0.025, 0.975, 20)
    at = truth >= 0.5
    # The expected benefit at .5: the mean of what is caught less what is a false alarm.
    expected = (truth[at] - (1 - truth[at])).sum() / 20
    hits = 0
    for _ in range(400):
        prob = random.choice(truth, 200)
        curve = decision_curve(random.random(200) < prob, prob, steps=2)
        hits += curve.low[0] <= expected <= curve.high[0]
    # 95 % of 400, within four deviations of sqrt(400 * .95 * .05) = 4.4.
    assert 380 - 18 <= hits <= 380 + 18


@pytest.mark.parametrize(("options", "message"), [({"steps": 1}, "2 steps"), ({"confidence": 1.0}, "between 0 and 1")])
def test_bad_settings_are_told(options, message):
    with pytest.raises(ScorecraftError, match=message):
        decision_curve([1, 0], [0.3, 0.2], **options)
