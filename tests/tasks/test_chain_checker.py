"""The labels of hand-written solutions, by the definitions in the module's first lines."""

import pytest

from scorecraft.problem import StepLabel
from scorecraft.tasks.arithmetic import Chain
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

C, W, R, O = StepLabel.CORRECT, StepLabel.WRONG, StepLabel.REDUNDANT, StepLabel.OFF_TOPIC  # noqa: E741


def labels(chain, completion):
    task = ChainArithmetic()
    problem = task.pose(chain, None)
    return [verdict.label for verdict in task.check_steps(problem, completion)]


def gold_path(chain, completion):
    task = ChainArithmetic()
    return task.gold_path(task.pose(chain, None), completion)


CHAIN = Chain(((12,), (7,), (3,)), "+-")  # 12+7-3 = 16


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("12+7=19\n19-3=16\n#16", [C, C, C]),
        ("12 + 7 = 19\n19 - 3 = 16\n # 16", [C, C, C]),
        # A wrong result is carried on with; later steps are judged from there.
        ("12+7=18\n18-3=15\n#15", [W, C, C]),
        ("12+7=18\n19-3=16\n#16", [W, W, C]),
        ("12+7=18\n18-3=15\n#16", [W, C, W]),
        # A misread operand or running value is wrong though the arithmetic is true.
        ("12+8=20\n20-3=17\n#17", [W, C, C]),
        ("12+7=19\n18-3=15\n#15", [C, W, C]),
        ("12+7=19\n19+3=22\n#22", [C, W, C]),
        # Repetitions and neutral steps do not advance.
        ("12+7=19\n12+7=19\n19-3=16\n#16", [C, R, C, C]),
        ("12+7=19\n19-3=16\n12+7=19\n#16", [C, C, R, C]),
        ("12+7=19\n19+0=19\n19-0=19\n19*1=19\n19-3=16\n#16", [C, R, R, R, C, C]),
        ("12+7=19\n19+0=19\n19+0=19\n19-3=16", [C, R, R, C]),
        # Repeating a wrong step is wrong, and so is a neutral step on another value.
        ("12+7=18\n12+7=18\n18-3=15", [W, W, C]),
        ("12+7=19\n5+0=5", [C, W]),
        # A skipped operation is wrong; what follows from it is not.
        ("12-3=9\n#9", [W, C]),
        ("12-3=9\n9+7=16", [W, W]),
        # An operation done twice is wrong; the next one is still to come.
        ("12+7=19\n19+7=26\n26-3=23\n#23", [C, W, C, C]),
        # Beyond the end of the chain.
        ("12+7=19\n19-3=16\n16-3=13\n#13", [C, C, W, C]),
        # Answers: early but right, early and wrong, repeated, changed.
        ("#16", [C]),
        ("12+7=19\n#16", [C, C]),
        ("12+7=19\n#19", [C, W]),
        ("#16\n#16\n#17", [C, R, W]),
        ("#17\n#16", [W, C]),
        ("#none", [W]),
        # What is no step.
        ("let me see\n12+7=19\n#sixteen\n#", [O, C, O, O]),
        ("12+7=19-3=16", [O]),
        ("12+7=19#16", [O]),
        # Blank lines are no steps.
        ("\n12+7=19\n  \n\n19-3=16\n", [C, C]),
        ("", []),
    ],
)
def test_labels(completion, expected):
    assert labels(CHAIN, completion) == expected


def test_a_step_that_is_next_again_is_correct_not_redundant():
    chain = Chain(((5,), (3,), (3,), (3,)), "+-+")
    assert labels(chain, "5+3=8\n8-3=5\n5+3=8\n#8") == [C, C, C, C]


def test_unknown_operand():
    chain = Chain(((12,), (7,), ()), "+-")
    assert labels(chain, "12+7=19\n#none") == [C, C]
    assert labels(chain, "#none") == [C]
    assert labels(chain, "12+7=19\n19-5=14\n#14") == [C, W, C]
    assert labels(chain, "12+7=19\n#19") == [C, W]
    assert labels(Chain(((), (7,)), "+"), "3+7=10\n#10") == [W, C]
    assert labels(Chain(((), (7,)), "+"), "#none\n#7") == [C, W]


def test_uncertain_operand():
    chain = Chain(((12,), (7, 9), (3,)), "+-")
    assert labels(chain, "12+9=21\n21-3=18\n#18") == [C, C, C]
    assert labels(chain, "12+7=19\n19-3=16\n#18") == [C, C, W]
    assert labels(chain, "12+8=20\n#17") == [W, C]
    first = Chain(((7, 9), (3,)), "+")
    assert labels(first, "7+3=10\n#10") == [C, C]
    assert labels(first, "9+3=12\n#10") == [C, W]
    assert labels(first, "#12") == [C]


def test_gold_path_is_a_question_of_the_running_value():
    assert gold_path(CHAIN, "12+7=19\n19-3=16\n#16") == [True, True, True]
    assert gold_path(CHAIN, "12+7=18\n18-3=15\n#15") == [False, False, False]
    # Two errors that cancel lead back.
    assert gold_path(CHAIN, "12+7=18\n18-3=16\n#16") == [False, True, True]
    assert gold_path(Chain(((), (7,)), "+"), "#none") == [True]
    assert gold_path(Chain(((), (7,)), "+"), "3+7=10") == [False]


def test_spans_are_the_lines_without_their_ends():
    task = ChainArithmetic()
    verdicts = task.check_steps(task.pose(CHAIN, None), "12+7=19\n\n#16\n")
    assert [(v.index, v.start, v.end, v.text) for v in verdicts] == [(0, 0, 7, "12+7=19"), (1, 9, 12, "#16")]
