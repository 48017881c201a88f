"""The click task by hand: scores, rewards and advantages, and what the audit measures."""

import math

import numpy as np
import pytest

from scorecraft.studies import sweet_spot as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial

TARGET = np.array([[0.5, 0.0]])
# On the target, at the edge of the box, outside it by one half-side, and at 0.36 * 2 along y.
CLICKS = TARGET[:, None] + np.array([[[0.0, 0.0], [0.12, 0.0], [-0.24, 0.0], [0.0, 0.72]]])


def trial(tmp_path, **settings):
    return Trial(settings, 0, "smoke", tmp_path, lambda done, total: None)


def test_scores_and_hits_by_hand():
    random = np.random.default_rng(0)
    clean = study.scores_of(CLICKS, TARGET, "clean", random)
    expected = [1.0, math.exp(-1 / 18), math.exp(-4 / 18), math.exp(-2)]
    assert clean[0].tolist() == pytest.approx(expected)
    assert study.hits(CLICKS, TARGET[:, None])[0].tolist() == [True, True, False, False]
    # The peak stands two half-sides to the right.
    off = study.scores_of(CLICKS, TARGET, "off-centre", random)
    assert off[0, :3].tolist() == pytest.approx([math.exp(-4 / 18), math.exp(-1 / 18), math.exp(-16 / 18)])


def test_noise_is_as_large_as_it_is_said_to_be():
    random = np.random.default_rng(0)
    many = np.repeat(TARGET[:, None] + np.array([0.36, 0.0]), 20_000, axis=1)
    for kind, deviation in (("jitter", 0.2), ("heavy-jitter", 0.5)):
        noisy = study.scores_of(many, TARGET, kind, random)
        within = noisy[(noisy > 0) & (noisy < 1)]
        # The middle of a normal distribution that is cut off at 0 and 1.
        assert np.median(noisy) == pytest.approx(math.exp(-0.5), abs=0.01)
        assert ((noisy == 0) | (noisy == 1)).any()
        below = (noisy < math.exp(-0.5) - deviation / 2).mean()
        assert below == pytest.approx(0.3085, abs=0.01)
        assert len(within) > 0
    # One displacement for all clicks of a target: equal clicks have equal scores.
    displaced = study.scores_of(many, TARGET, "annotation", random)
    assert len(np.unique(displaced)) == 1
    assert displaced[0, 0] != pytest.approx(math.exp(-0.5))


def test_rewards_by_hand():
    correct, score = np.array([[True, True, False, False]]), np.array([[1.0, 0.946, 0.8007, 0.1353]])
    assert study.rewards_of(correct, score, "binary").tolist() == [[1, 1, 0, 0]]
    assert study.rewards_of(correct, score, "continuous")[0].tolist() == pytest.approx([1.5, 1.473, 0.40035, 0.06765])
    assert study.rewards_of(correct, score, 4)[0].tolist() == pytest.approx([1.5, 1.5, 0.5, 0.0])
    # Of eight zones 0.1353 is in the second: 1/7.
    assert study.rewards_of(correct, score, 8)[0, 3] == pytest.approx(0.5 / 7)


def test_advantages_by_hand():
    found = study.advantages_of(np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]))
    # Mean 1/4, population deviation sqrt(3) / 4.
    assert found[0].tolist() == pytest.approx([math.sqrt(3)] + [-1 / math.sqrt(3)] * 3, rel=1e-3)
    assert found[1].tolist() == [0.0] * 4


def test_a_policy_that_does_not_get_there_counts_all_updates(tmp_path):
    found = study.run(trial(tmp_path, reward="binary", score="clean"))
    assert found["updates"] == study.STEPS["smoke"] == 40
    assert found["doublings"] == pytest.approx(math.log2(40))


def test_the_audit_sees_the_same_clicks_and_rare_success(tmp_path):
    found = {r: study.audit(trial(tmp_path, reward=r, score="clean")) for r in ("binary", "continuous")}
    assert found["binary"]["success_low"] == found["continuous"]["success_low"]
    # Nearly there the clicks are 0.1 of the target off; two normals of deviation 0.25 within 0.12: at most 0.369^2.
    assert 0 < found["binary"]["success_low"] < found["binary"]["success_high"] < 0.137 + 0.02


def test_the_study_is_fair():
    check_study(study.STUDY)
