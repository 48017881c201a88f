"""The game of overthinking by hand: what a policy achieves, what a game earns, and how well noise is seen through."""

import itertools
import math

import numpy as np
import pytest
import torch

from scorecraft.studies import stepwise_reward as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, seed=0, **settings):
    return Trial(settings, seed, "smoke", tmp_path, lambda done, total: None)


def binomial(n, p):
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def exact_auroc(low):
    """How often the seen change of a harmful step is below that of a neutral one at 0.8, ties counting half."""
    high, fallen, total = binomial(5, 0.8), binomial(5, low), 0.0
    for a, b, c, d in itertools.product(range(6), repeat=4):
        p = high[a] * fallen[b] * high[c] * high[d]
        total += p * ((b - a < d - c) + 0.5 * (b - a == d - c))
    return total


def test_auroc_counts_ties_half():
    assert study.auroc(np.array([1.0, 2.0]), np.array([0.0, 1.0])) == (1 + 0.5 + 1 + 1) / 4


def test_traces_turn_now_and_then():
    truth = study.traces(4000, 0.4, np.random.default_rng(0))
    assert set(np.unique(truth)) == {0.4, 0.8}
    assert (np.diff(truth, axis=1) != 0).mean() == pytest.approx(0.3, abs=0.01)
    assert (truth[:, 0] == 0.8).mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("low", [0.2, 0.4])
def test_without_looking_ahead_diagnosis_is_that_of_two_binomials(tmp_path, low, monkeypatch):
    monkeypatch.setitem(study.TRACES, "smoke", 4000)
    settings = {"low": low, "lookahead": 0, "min_effect": None, "probes": 5}
    found = study.diagnose(trial(tmp_path, **settings))
    assert found["harmful"] == pytest.approx(exact_auroc(low), abs=0.01)
    # Two draws of Binomial(5, .8) differ with probability 1 - sum p^2 = .680.
    assert found["false_nonzero"] == pytest.approx(0.680, abs=0.015)


def test_padding_is_paid_by_looking_ahead_alone(tmp_path):
    found = study.pad(trial(tmp_path, lookahead=4))
    assert found["gain"] == pytest.approx(1.7731, abs=1e-4)
    assert found["more"] == pytest.approx(0, abs=1e-4)
    assert study.pad(trial(tmp_path, lookahead=0))["gain"] == pytest.approx(0, abs=1e-4)


def policy(check):
    """Work until the answer is there, then check with a probability."""
    logits = np.array([[0.0, -np.inf, -np.inf]] * 3 + [[-np.inf, math.log(check), math.log(1 - check)]])
    return study.probabilities(logits)


def test_outlook_by_hand():
    success, steps = study.outlook(policy(1e-12))
    assert success[0, 0] == pytest.approx(1)
    assert steps[0, 0] == pytest.approx(4)
    # Never stopping is to fail after the horizon.
    success, steps = study.outlook(policy(1 - 1e-12))
    assert success[0, 0] == pytest.approx(0, abs=1e-9)
    assert steps[0, 0] == pytest.approx(24)
    # Before the last step but one: stop now (1/2), or check, be right with .95, and stop (1/2).
    success, steps = study.outlook(policy(0.5))
    assert success[22, study.RIGHT] == pytest.approx(0.5 + 0.5 * 0.95 * 0.5)
    assert success[22, study.WRONG] == pytest.approx(0.5 * 0.02 * 0.5)
    assert steps[22, study.RIGHT] == pytest.approx(1.5)


def test_games_are_what_outlook_says():
    for logits in (study.HEAVY, study.PADDED):
        p = study.probabilities(logits)
        success, steps = study.outlook(p)
        games = study.play(p, 20_000, np.random.default_rng(0))
        assert games.success.mean() == pytest.approx(success[0, 0], abs=0.015)
        assert games.there.sum(1).mean() == pytest.approx(steps[0, 0], abs=0.15)
        assert not games.success[~games.stopped].any()


def test_the_start_checks_heavily():
    success, steps = study.outlook(study.probabilities(study.HEAVY))
    assert steps[0, 0] == pytest.approx(11.4, abs=0.1)
    assert success[0, 0] == pytest.approx(0.645, abs=0.005)


def game(states, actions, success, stopped):
    """One game, its rows filled up to the horizon."""
    length = len(actions)
    fill = study.HORIZON - length
    there = np.array([[True] * length + [False] * fill])
    padded = np.array([[*states, *[states[-1]] * fill]]), np.array([[*actions, *[0] * fill]])
    return study.Games(*padded, there, np.array([success]), np.array([stopped]))


W, C, S = study.WORK, study.CHECK, study.STOP
# Work to a right answer, a check that spoils it, and a stop.
SPOILT = game([0, 1, 2, 3, 4, 4], [W, W, W, C, S], False, True)
SOLVED = game([0, 1, 2, 3, 3], [W, W, W, S], True, True)


def returns(of, monkeypatch, **settings):
    # Probes without noise: right answers are seen as such.
    monkeypatch.setattr(study, "FORCED", np.array([0.0, 0.0, 0.0, 1.0, 0.0]))
    settings = {"unfinished": 0.0, **settings}
    found = study.returns_of(of, policy(1e-12), settings, np.random.default_rng(0))
    return found[0, : int(of.there.sum())]


def test_returns_by_hand(monkeypatch):
    assert returns(SOLVED, monkeypatch, kind="outcome").tolist() == [1, 1, 1, 1]
    assert returns(SPOILT, monkeypatch, kind="outcome").tolist() == [0] * 5
    assert returns(SOLVED, monkeypatch, kind="length") == pytest.approx([0.92, 0.94, 0.96, 0.98])
    # Gains 0, 0, 1, and the outcome 1 at the stop.
    assert returns(SOLVED, monkeypatch, kind="stepwise", lookahead=0) == pytest.approx([2, 2, 2, 1])
    # Gains 0, 0, 1, -1, and the outcome 0.
    assert returns(SPOILT, monkeypatch, kind="stepwise", lookahead=0) == pytest.approx([0, 0, 0, -1, 0])
    # .49 + .7 + 1 - 1
    assert returns(SPOILT, monkeypatch, kind="stepwise", lookahead=4) == pytest.approx([1.19, 0.7, 0, -1, 0])
    # This policy always succeeds from work, always from a right answer, never from a wrong one.
    assert returns(SPOILT, monkeypatch, kind="values") == pytest.approx([0, 0, 0, -1, 0], abs=1e-6)
    assert returns(SOLVED, monkeypatch, kind="values") == pytest.approx([0, 0, 0, 0], abs=1e-6)


def test_a_thought_without_an_end_earns_the_penalty(monkeypatch):
    endless = game([0, 1, 2, *[3] * 22], [W, W, W, *[C] * 21], False, False)
    found = returns(endless, monkeypatch, kind="stepwise", lookahead=0, unfinished=-10.0)
    assert found == pytest.approx([-9, -9, -9, *[-10] * 21])


def test_a_policy_learns_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "BATCH", 64)
    common = {"lr": 10.0, "padded": False}
    for kind in ({"kind": "outcome"}, {"kind": "stepwise", "lookahead": 0}):
        found = study.run(trial(tmp_path, **common, **kind))
        assert found["cut"] > 0.1
        assert found["gained"] > 0


def test_the_study_is_fair():
    check_study(study.STUDY)
    for experiment in (study.GAME, study.PADDED_GAME, study.PENALTY):
        assert len({str(sorted(arm.settings.items())) for arm in experiment.arms}) == len(experiment.arms)
    assert torch.tensor(study.FORCED).max() <= 1
