from random import Random

import pytest

from scorecraft.problem import Outcome, StepLabel
from scorecraft.tasks.arithmetic import Chain
from scorecraft.tasks.second_turn import FOLLOW_UP, SecondTurn

C, W, R, O = StepLabel.CORRECT, StepLabel.WRONG, StepLabel.REDUNDANT, StepLabel.OFF_TOPIC  # noqa: E741
PROBLEM = SecondTurn().pose(Chain(((12,), (7,), (3,)), "+-"), None)
RIGHT, FLAWED = "12+7=19\n19-3=16\n#16", "12+7=18\n18-3=15\n#15"


def test_the_user_asks_once_whatever_was_said():
    assert SecondTurn().follow_up(PROBLEM, [RIGHT]) == SecondTurn().follow_up(PROBLEM, [FLAWED]) == FOLLOW_UP
    assert SecondTurn().follow_up(PROBLEM, [FLAWED, RIGHT]) is None


@pytest.mark.parametrize(
    ("completion", "score", "outcome"),
    [
        (RIGHT, 1.0, Outcome.SCORED),
        (FLAWED, 0.0, Outcome.SCORED),
        (FLAWED + FOLLOW_UP + RIGHT, 1.0, Outcome.SCORED),
        (RIGHT + FOLLOW_UP + FLAWED, 0.0, Outcome.SCORED),
        (RIGHT + FOLLOW_UP, 0.0, Outcome.UNPARSED),  # the second turn has to answer
        (RIGHT + FOLLOW_UP + "yes", 0.0, Outcome.UNPARSED),
    ],
)
def test_the_last_turn_counts(completion, score, outcome):
    verdict = SecondTurn().check(PROBLEM, completion)
    assert (verdict.score, verdict.outcome) == (score, outcome)


@pytest.mark.parametrize(
    ("first", "second", "labels"),
    [
        (RIGHT, "#16", [C, C, C, O, C]),
        (RIGHT, "#15", [C, C, C, O, W]),
        # Checking a right step again is what was asked for, once.
        (RIGHT, "12+7=19\n12+7=19\n#16", [C, C, C, O, C, R, C]),
        (FLAWED, RIGHT, [W, C, C, O, C, C, C]),
        (FLAWED, "#16", [W, C, C, O, C]),
        (FLAWED, "#15", [W, C, C, O, W]),
        ("12+7=19\n19-3=15\n#15", "19-3=16\n#16", [C, W, C, O, C, C]),
        ("12+7=19\n19-3=15\n#15", "12+7=19\n19-3=16\n#16", [C, W, C, O, C, C, C]),
        (FLAWED, "12+7=18\n18-3=15\n#15", [W, C, C, O, W, C, C]),
        ("12+7=19\n19-3=15\n#15", "18-3=15\n#15", [C, W, C, O, W, C]),
        (RIGHT, "12+8=20\n20-3=17\n#17", [C, C, C, O, W, C, C]),
        # Asking oneself to check opens no third attempt.
        (RIGHT, "12+7=19\nCheck it.\n12+7=19", [C, C, C, O, C, O, R]),
    ],
)
def test_steps(first, second, labels):
    verdicts = SecondTurn().check_steps(PROBLEM, first + FOLLOW_UP + second)
    assert [verdict.label for verdict in verdicts] == labels


def test_a_fresh_attempt_goes_on_from_where_the_first_was_right():
    problem = SecondTurn().pose(Chain(((6,), (3,), (3,)), "--"), None)
    text = "6-3=3\n5-3=2\n#2" + FOLLOW_UP + "13-3=10\n#10"
    assert [verdict.label for verdict in SecondTurn().check_steps(problem, text)] == [C, W, C, O, W, C]


def test_gold_corrects_a_flawed_turn_and_keeps_a_right_one():
    task = SecondTurn(flawed_first=0.5, unanswerable=0.2)
    flawed = 0
    for problem in task.problems("train", 0, 300):
        first, second = problem.gold.split(FOLLOW_UP)
        assert task.check(problem, second).correct
        if StepLabel.WRONG in [verdict.label for verdict in task.check_steps(problem, first)]:
            flawed += 1
            # A wrong step before an unknown operand leaves "none" right.
            assert problem.answer == "none" or not task.check(problem, first).correct
            labels = [verdict.label for verdict in task.check_steps(problem, problem.gold)]
            assert set(labels[first.count("\n") + 2 :]) == {StepLabel.CORRECT}
        else:
            assert task.check(problem, first).correct
            assert second == f"#{problem.answer}"
    # 150 expected; five standard deviations are 43.
    assert abs(flawed - 150) < 43


def test_trace_marks_what_the_user_says():
    task = SecondTurn()
    problem = task.problem("train", 0)
    marks = [by_policy for _, by_policy in task.trace(problem, 0.0, Random(0))]
    assert marks == [True, False, True]
