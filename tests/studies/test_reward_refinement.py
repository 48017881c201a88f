"""The step game by hand: who succeeds, what the model pays, and what a step's return is."""

import numpy as np
import pytest

from scorecraft.studies import reward_refinement as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def always(choose):
    """Return a policy's probabilities: the action that ``choose`` gives for (good steps, spoilt)."""
    p = np.zeros((10, 3))
    for state in range(10):
        p[state, choose(state // 2, bool(state % 2))] = 1.0
    return p


def test_working_four_times_succeeds_as_often_as_four_steps_are_good():
    p = always(lambda good, spoilt: study.STOP if good == 4 or spoilt else study.WORK)
    games = study.play(p, 20_000, np.random.default_rng(0))
    assert games.success.mean() == pytest.approx(0.85**4, abs=0.01)
    # 1 + 0.85 + 0.85^2 + 0.85^3 steps of work, and one stop.
    assert games.there.sum(1).mean() == pytest.approx(1 + 0.85 + 0.7225 + 0.614125 + 1, abs=0.03)
    won = games.success
    assert (games.there[won].sum(1) == 5).all()
    assert games.states[won][:, :5].tolist()[0] == [0, 2, 4, 6, 8]
    assert games.rewards[won][:, :4].mean() == pytest.approx(0.92, abs=0.002)
    assert games.rewards[won][:, 4].mean() == pytest.approx(0.9, abs=0.002)
    # The others: good steps, then one that spoils (0.35), then a stop (0.2).
    length = games.there[~won].sum(1)
    rows = np.flatnonzero(~won)
    assert games.rewards[rows, length - 2].mean() == pytest.approx(0.35, abs=0.002)
    assert games.rewards[rows, length - 1].mean() == pytest.approx(0.2, abs=0.002)
    assert (games.states[rows, length - 1] % 2 == 1).all()


def test_filler_runs_to_the_horizon_and_is_paid_for_it():
    games = study.play(always(lambda good, spoilt: study.FILLER), 500, np.random.default_rng(0))
    assert games.there.all()
    assert not games.success.any()
    # Noise of 0.04 is cut off at 1, where 0.9 is 2.5 deviations away.
    assert games.rewards.mean() == pytest.approx(0.9, abs=0.002)


def test_returns_by_hand():
    games = study.Games(
        states=np.array([[0, 2, 8, 0], [0, 1, 0, 0]]),
        actions=np.array([[1, 0, 2, 0], [1, 2, 0, 0]]),
        rewards=np.array([[0.9, 0.4, 0.8, 0.0], [0.35, 0.2, 0.0, 0.0]]),
        there=np.array([[True, True, True, False], [True, True, False, False]]),
        success=np.array([True, False]),
    )
    random = np.random.default_rng(0)
    expected = {
        "success": [[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
        "naive": [[1.21, 1.12, 1.08, 0.0], [0.055, 0.02, 0.0, 0.0]],
        "clip": [[0.96, 0.96, 1.0, 0.0], [-0.105, -0.06, 0.0, 0.0]],
        "delta": [[1.09, 1.04, 1.0, 0.0], [0.035, 0.0, 0.0, 0.0]],
        "clip-delta": [[1.0, 0.96, 1.0, 0.0], [-0.045, 0.0, 0.0, 0.0]],
        "length-normalized": [[1.07, 1.04, 1 + 0.08 / 3, 0.0], [0.0275, 0.01, 0.0, 0.0]],
    }
    for kind, values in expected.items():
        np.testing.assert_allclose(study.returns_of(games, kind, random), values, atol=1e-6, err_msg=kind)
    outcome = study.returns_of(games, "outcome", random)
    assert outcome[0, :3] == pytest.approx(1.09, abs=0.02)
    assert outcome[1, :2] == pytest.approx(0.02, abs=0.02)


def test_values_are_standardised_in_their_state():
    states = np.array([3, 1, 3, 1, 0])
    found = study.standardized(np.array([1.0, 5.0, 3.0, 5.0, 7.0]), states, 4)
    assert found.tolist() == pytest.approx([-1.0, 0.0, 1.0, 0.0, 0.0])


def test_a_trivial_step_adds_its_reward_to_the_sum_only(tmp_path):
    def gain(kind):
        return study.append(Trial({"kind": kind}, 0, "smoke", tmp_path, lambda done, total: None))["gain"]

    assert gain("naive") == pytest.approx(0.9, abs=0.01)
    assert gain("delta") == pytest.approx(0.0, abs=0.002)
    assert gain("clip") <= 0.0


def test_the_study_is_fair():
    check_study(study.STUDY)
