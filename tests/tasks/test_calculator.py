import re
from random import Random

import pytest

from scorecraft.problem import StepLabel
from scorecraft.tasks.arithmetic import Chain
from scorecraft.tasks.calculator import Calculator

C, W, R, O = StepLabel.CORRECT, StepLabel.WRONG, StepLabel.REDUNDANT, StepLabel.OFF_TOPIC  # noqa: E741
TASK = Calculator()
PROBLEM = TASK.pose(Chain(((12,), (7,), (3,)), "+-"), None)


@pytest.mark.parametrize(
    ("completion", "reply"),
    [
        ("[add(12,7)]", "=19\n"),
        ("[sub(3,10)]", "=-7\n"),
        ("[mul(-3,4)]", "=-12\n"),
        ("[add(12,7)]=19\n[ sub ( 19 , 3 ) ]", "=16\n"),
        ("[div(12,7)]", "=error: name\n"),
        ("[add(12)]", "=error: arguments\n"),
        ("[add(12,7,1)]", "=error: arguments\n"),
        ("[add(12,x)]", "=error: arguments\n"),
        ("[add(1e3,2)]", "=error: arguments\n"),
        ("[add(" + "9" * 5000 + ",1)]", "=error: arguments\n"),
        ("[12+7]", "=error: call\n"),
        ("12+7]", "=error: call\n"),
        ("[add(1,2)\n]", "=error: call\n"),
        ("[]", "=error: call\n"),
        ("", "=error: call\n"),
        ("[add(1,2)] and more", "=error: call\n"),
    ],
)
def test_the_tool(completion, reply):
    assert TASK.call_tool(PROBLEM, completion) == reply


@pytest.mark.parametrize(
    ("completion", "labels"),
    [
        ("[add(12,7)]=19\n[sub(19,3)]=16\n#16", [C, C, C]),
        ("[add(12,7)]=19\n[add(12,7)]=19\n[sub(19,3)]=16\n#16", [C, R, C, C]),
        ("[add(12,8)]=20\n[sub(20,3)]=17\n#17", [W, C, C]),
        ("[div(12,7)]=error: name\n[add(12,7)]=19", [O, C]),
        ("12+7=19\n[sub(19,3)]=16", [C, C]),
        ("[add(12,7)]=18\n", [W]),  # an answer that the policy made up
        ("[add(12,7)]", [O]),
    ],
)
def test_steps(completion, labels):
    assert [verdict.label for verdict in TASK.check_steps(PROBLEM, completion)] == labels


def test_a_trace_is_what_the_tool_would_have_answered():
    task = Calculator(flawed_steps=0.4, operators="+-*")
    for problem in task.problems("train", 0, 50):
        written = ""
        for text, by_policy in task.trace(problem, 0.4, Random(1)):
            if by_policy:
                assert text.endswith(task.tool_call_end) or re.fullmatch(r"#(-?\d+|none)", text)
            else:
                assert text == task.call_tool(problem, written)
            written += text


def test_the_gold_completion_of_the_example():
    text = "".join(part for part, _ in TASK.trace(PROBLEM, 0.0, Random(0)))
    assert text == "[add(12,7)]=19\n[sub(19,3)]=16\n#16"
