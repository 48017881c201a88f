"""The golden-trace bandit by hand: what succeeds, what turns earn, and that the arms differ as they say."""

import numpy as np
import pytest
import torch

from scorecraft.studies import turn_matching as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial

GOLDEN = np.array([1, 3])
GOLDS = [study.CALL[0][1], study.CALL[1][3]]


def trial(tmp_path, **settings):
    return Trial({"lr": 1.0, **settings}, 0, "smoke", tmp_path, lambda done, total: None)


def test_success_is_every_golden_call_in_any_order():
    tools = np.array([[1, 0, 0, 6], [0, 1, 6, 6], [0, 6, 1, 6]])
    values = np.array([[3, 1, 1, 0], [1, 2, 0, 0], [1, 0, 3, 0]])
    called = (tools == study.STOP).cumsum(1) == 0
    success, calls, useless = study.measures(tools, values, called, GOLDEN)
    # The first repeats a call; the second has a wrong value; the third stops before its second call.
    assert success.tolist() == [True, False, False]
    assert calls.tolist() == [3, 2, 1]
    assert useless.tolist() == [1, 1, 0]


def test_draws_follow_the_probabilities():
    p = study.softmax(np.log(np.array([[0.5, 0.3, 0.2], [1e-9, 1e-9, 1.0]])))
    drawn = np.concatenate([study.draw(p, np.random.default_rng(seed)) for seed in range(500)])
    assert np.bincount(drawn[:, 0]) / len(drawn) == pytest.approx([0.5, 0.3, 0.2], abs=0.02)
    assert (drawn[:, 1] == 2).all()


def test_turns_earn_by_each_credit():
    # A golden call, the same again, the second one with a wrong value (2/3), another tool.
    made = [study.CALL[0][1], study.CALL[0][1], study.CALL[1][0], study.CALL[4][0]]

    def rewards(**settings):
        return study.turn_table([made, []], GOLDS, settings, 5)[0].tolist()

    assert rewards(credit="hungarian") == pytest.approx([1, 0, 2 / 3, 0, 0])
    assert rewards(credit="greedy", unmatched=-0.5) == pytest.approx([1, -0.5, 2 / 3, -0.5, 0])
    assert rewards(credit="best") == pytest.approx([1, 1, 2 / 3, 0, 0])
    soft = rewards(credit="soft")
    assert soft[0] == pytest.approx(soft[1])
    assert 0 < soft[2] < 2 / 3 * 0.25 + 1e-6
    assert soft[3] == 0
    assert rewards(credit="soft", rescale="P") == pytest.approx([4 * value for value in soft])


def test_one_reward_a_trace_gives_all_turns_the_same():
    preds = [GOLDS] + [[study.CALL[5][0]]] * 15
    there = np.zeros((16, 4), dtype=bool)
    there[:, :2] = True
    success = np.array([True] + [False] * 15)
    for credit in ("outcome", "toolrl"):
        found = study.advantages_of(preds, GOLDS, success, there, {"credit": credit})
        # One of 16: mean 1/16, deviation 1/4: 15/4 and -1/4.
        assert found[0].tolist() == pytest.approx([3.75, 3.75, 0, 0], rel=1e-4)
        assert found[1].tolist() == pytest.approx([-0.25, -0.25, 0, 0], rel=1e-4)


def test_matching_learns_where_success_alone_has_nothing_to_go_by(tmp_path):
    torch.manual_seed(0)
    matched, alone = (study.run(trial(tmp_path, credit=credit)) for credit in ("hungarian", "outcome"))
    assert alone["success"] == 0.0
    assert len(matched["success_course"]) == study.STEPS["smoke"]
    assert matched["calls_course"][0] == alone["calls_course"][0]
    assert matched["calls_course"][-1] > alone["calls_course"][-1]


def test_the_best_total_is_never_less_than_the_greedy_one(tmp_path):
    best, greedy = (study.run_totals(trial(tmp_path, solver=solver)) for solver in ("hungarian", "greedy"))
    assert best["short"] == 0.0
    assert greedy["total"] < best["total"]
    assert 0 < greedy["short"] < 1


def test_the_study_is_fair():
    check_study(study.STUDY)
