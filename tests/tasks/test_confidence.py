from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.problem import Problem, StepLabel
from scorecraft.tasks.confidence import Confidence, stated_confidence

C, W, R, O = StepLabel.CORRECT, StepLabel.WRONG, StepLabel.REDUNDANT, StepLabel.OFF_TOPIC  # noqa: E741


@pytest.mark.parametrize(
    ("completion", "confidence"),
    [
        ("#18\n@0.5", 0.5),
        ("#18\n@1", 1.0),
        ("@0", 0.0),
        ("@.25", 0.25),
        ("@ 0.5", 0.5),
        ("@0.2\n@0.9", 0.9),
        ("@80%", 0.8),
        ("Confidence: 0.8", 0.8),
        ("confidence = 80 %", 0.8),
        ("<confidence>0.75</confidence>", 0.75),
        ("I am sure, confidence: 0.9.", 0.9),
        ("@1.5", None),
        ("@101%", None),
        ("@-0.5", None),
        ("@0.5.5", None),
        ("@", None),
        ("0.5", None),
        ("confidence: high", None),
        ("", None),
    ],
)
def test_stated_confidence(completion, confidence):
    assert stated_confidence(completion) == (None if confidence is None else pytest.approx(confidence))


@given(st.text(alphabet="@0123456789.% confidence:<>\n", max_size=40))
def test_a_stated_confidence_is_a_probability(completion):
    confidence = stated_confidence(completion)
    assert confidence is None or 0.0 <= confidence <= 1.0


def test_gold_confidence_is_the_share_of_right_answers():
    task = Confidence(choices=(1, 4), operations=(1, 3))
    counts = {}
    for problem in task.problems("train", 0, 1200):
        # Someone who always takes the smallest value is right as often as the attainable confidence says.
        operands = [[min(values)] for values in problem.metadata["operands"]]
        value = operands[0][0]
        for operator, (right,) in zip(problem.metadata["operators"], operands[1:], strict=True):
            value += right if operator == "+" else -right
        stated = stated_confidence(problem.gold)
        assert stated == pytest.approx(problem.metadata["attainable"], abs=0.005)
        counts.setdefault(stated, []).append(task.check(problem, f"#{value}").correct)
    assert set(counts) == {1.0, 0.5, 0.33, 0.25}
    for stated, right in counts.items():
        assert abs(sum(right) / len(right) - stated) < 5 * (stated * (1 - stated) / len(right)) ** 0.5 + 0.005


def test_confidence_follows_the_flaw_rate_and_overconfidence():
    problem = Problem(
        "1+2-3=?\n",
        "0",
        metadata={"operands": [[1], [2], [3]], "operators": "+-", "drawn": [[1], [2], [3]], "attainable": 1.0},
    )
    ((text, _),) = Confidence().trace(problem, 0.5, Random(0))
    assert stated_confidence(text) == 0.25  # 1 * 0.5 ** 2
    ((text, _),) = Confidence(overconfidence=0.4).trace(problem, 0.5, Random(0))
    assert stated_confidence(text) == 0.55  # 0.25 + 0.4 * 0.75


def test_every_uncertain_value_leads_to_another_answer():
    for problem in Confidence(choices=(3, 3), operators="-*", largest=4).problems("train", 0, 200):
        assert problem.metadata["attainable"] == pytest.approx(1 / 3)


def test_unanswerable_is_certain():
    for problem in Confidence(unanswerable=1.0).problems("test", 0, 10):
        assert problem.gold.endswith("#none\n@1")


@pytest.mark.parametrize(
    ("completion", "labels"),
    [
        ("12+9=21\n21-3=18\n#18\n@0.5", [C, C, C, C]),
        ("12+7=19\n19-3=16\n#16\n@0.5\n@0.5", [C, C, C, C, R]),
        ("12+8=20\n20-3=17\n#17\n@2\n@50%", [W, C, C, O, C]),
    ],
)
def test_steps(completion, labels):
    metadata = {"operands": [[12], [7, 9], [3]], "operators": "+-", "drawn": [[12], [9], [3]], "attainable": 0.5}
    problem = Problem("12+[7|9]-3=?\n", "18", metadata=metadata)
    assert [verdict.label for verdict in Confidence().check_steps(problem, completion)] == labels
