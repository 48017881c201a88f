import pytest

from scorecraft.problem import Outcome, StepLabel
from scorecraft.tasks.arithmetic import Chain
from scorecraft.tasks.rubric import Rubric

C, W, R, O = StepLabel.CORRECT, StepLabel.WRONG, StepLabel.REDUNDANT, StepLabel.OFF_TOPIC  # noqa: E741
TASK = Rubric()
PROBLEM = TASK.pose(Chain(((12,), (7,), (3,)), "+-"), None)
FULL = "find 12+7-3\nadd 7: 12+7=19\nsubtract 3: 19-3=16\nso #16"


def test_the_items_of_the_example():
    assert PROBLEM.prompt == "explain 12+7-3\n"
    assert PROBLEM.metadata["rubric"] == ["restated", "named 1", "named 2", "concluded", "right"]


@pytest.mark.parametrize(
    ("completion", "met"),
    [
        (FULL, [1, 1, 1, 1, 1]),
        ("12+7=19\n19-3=16\n#16", [0, 0, 0, 0, 1]),
        ("find 12+7-4\nadd 7: 12+7=19\nso #17", [0, 1, 0, 1, 0]),
        ("subtract 3: 1\nadd 7: no idea\nfind 12+7-3\nso #1", [1, 1, 1, 1, 0]),  # form without substance
        ("find 12+7-3\nadd 7: 12+7=19\nso 16", [1, 1, 0, 0, 0]),
        ("so #nothing\n#16", [0, 0, 0, 0, 1]),
    ],
)
def test_grades(completion, met):
    assert TASK.grade(PROBLEM, completion) == dict(zip(PROBLEM.metadata["rubric"], map(bool, met), strict=True))
    verdict = TASK.check(PROBLEM, completion)
    if "#" in completion:
        assert verdict.outcome is Outcome.SCORED
        assert verdict.score == pytest.approx(sum(met) / 5)
    else:
        assert (verdict.outcome, verdict.score) == (Outcome.UNPARSED, 0.0)


def test_equal_operations_need_a_line_each():
    problem = TASK.pose(Chain(((1,), (7,), (7,)), "++"), None)
    assert TASK.grade(problem, "add 7: 1+7=8\nso #15")["named 1"]
    assert not TASK.grade(problem, "add 7: 1+7=8\nso #15")["named 2"]
    assert TASK.grade(problem, "add 7: 1+7=8\nadd 7: 8+7=15\nso #15")["named 2"]


@pytest.mark.parametrize(
    ("completion", "labels"),
    [
        (FULL, [C, C, C, C]),
        ("find 12+7-3\nfind 12+7-3\nfind 1+1", [C, R, W]),
        ("add 7: 12+7=18\nsubtract 3: 18-3=15\nso #15", [W, C, C]),
        ("subtract 7: 12+7=19\nsubtract 3: 19-3=16\n#16", [W, C, C]),
        ("add 7: seven more\nadd 7 12+7=19\nadd 7: unknown", [O, O, W]),
    ],
)
def test_steps(completion, labels):
    assert [verdict.label for verdict in TASK.check_steps(PROBLEM, completion)] == labels


def test_unknown_operand():
    problem = TASK.pose(Chain(((12,), (7,), (), (3,)), "+*-"), None)
    assert problem.metadata["rubric"] == ["restated", "named 1", "named 2", "concluded", "right"]
    text = "find 12+7*?-3\nadd 7: 12+7=19\nmultiply by ?: unknown\nso #none"
    assert TASK.check(problem, text).correct
    assert [verdict.label for verdict in TASK.check_steps(problem, text)] == [C, C, C, C]
    again = text + "\nmultiply by ?: unknown"
    assert TASK.check_steps(problem, again)[-1].label is R


def test_omitted_items_keep_the_answer():
    task = Rubric(omitted_items=1.0)
    for problem in task.problems("train", 0, 20):
        grades = task.grade(problem, problem.gold)
        assert [name for name, met in grades.items() if met] == ["right"]
