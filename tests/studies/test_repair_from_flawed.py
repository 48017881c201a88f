"""The game of auditing or working by hand: exact accuracy against play, the gradient, and fair arms."""

import math

import numpy as np
import pytest

from scorecraft.studies import repair_from_flawed as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    return Trial(settings, 0, "smoke", tmp_path, lambda done, total: None)


def certain(without_cue, with_cue):
    """Return logits of a policy that surely works (0) or checks (1)."""
    return np.array([[0.0, 200.0 * (2 * action - 1)] for action in (without_cue, with_cue)])


def test_exact_accuracy_by_hand():
    # Who never checks solves a clean start where no step slips, and a flawed one never.
    assert study.accuracy(certain(0, 0), flawed=False) == pytest.approx(0.995**6)
    assert study.accuracy(certain(0, 0), flawed=True) == pytest.approx(0.0)
    # Who always checks has not worked.
    assert study.accuracy(certain(1, 1), flawed=True) == pytest.approx(0.0)
    # Checking on a cue alone, from an error: k steps of work without a cue, then a check that mends it (0.9), then
    # 5 - k steps without a cue and without a slip.
    expected = sum(0.3**k * 0.7 * 0.9 * (0.9 * 0.995) ** (5 - k) for k in range(6))
    assert study.accuracy(certain(0, 1), flawed=True) == pytest.approx(expected)


def test_the_untuned_policy_is_where_it_should_be():
    check = study.probabilities(study.START)[:, 1]
    assert check.tolist() == pytest.approx([1 / (1 + math.exp(4)), 1 / (1 + math.exp(1.5))])
    assert study.accuracy(study.START, flawed=False) == pytest.approx(0.961, abs=0.01)
    assert study.accuracy(study.START, flawed=True) == pytest.approx(0.470, abs=0.02)


@pytest.mark.parametrize("flawed", [False, True])
@pytest.mark.parametrize("logits", [study.START, np.array([[1.0, 0.0], [0.0, 0.5]])])
def test_play_agrees_with_exact_accuracy(flawed, logits):
    rows = 40_000
    cues, actions, solved = study.play(logits, np.full(rows, flawed), np.random.default_rng(1))
    # Four standard errors.
    assert solved.mean() == pytest.approx(study.accuracy(logits, flawed=flawed), abs=4 * 0.5 / math.sqrt(rows))
    assert cues[:, 0].mean() == pytest.approx(study.CUE[int(flawed)], abs=0.01)
    assert not solved[actions.sum(1) > 1].any()


def test_the_gradient_by_hand():
    logits = np.zeros((2, 2))
    cues, actions = np.array([[0, 0, 1]]), np.array([[0, 0, 1]])
    # Each action adds advantage * (taken - 1/2) under its cue.
    found = study.gradient(logits, cues, actions, np.array([2.0]))
    assert found.tolist() == [[2.0, -2.0], [-1.0, 1.0]]
    assert study.gradient(logits, cues[[0, 0]], actions[[0, 0]], np.array([2.0, 0.0])).tolist() == [
        [1.0, -1.0], [-0.5, 0.5],
    ]  # fmt: skip


def test_the_untuned_arm_is_not_trained_and_the_others_are(tmp_path):
    untuned = study.run(trial(tmp_path, alpha=None, group=8))
    assert untuned["clean"] == study.accuracy(study.START, flawed=False)
    assert set(untuned["flawed_course"]) == {untuned["flawed"]}
    flawed = study.run(trial(tmp_path, alpha=1.0, group=8))
    assert flawed["flawed"] > untuned["flawed"]
    assert flawed["checks_cued"] > untuned["checks_cued"]
    assert flawed["gap"] == pytest.approx(flawed["clean"] - flawed["flawed"])
    assert len(flawed["flawed_course"]) == len(untuned["flawed_course"])
    # Groups of two are all alike far more often.
    assert study.run(trial(tmp_path, alpha=1.0, group=2))["silent"] > flawed["silent"]


def test_the_study_is_fair():
    check_study(study.STUDY)
    assert [arm.settings["alpha"] for arm in study.GAME.arms] == [None, 0.0, 0.5, 1.0]
