import re
from collections import Counter

import pytest

from scorecraft.problem import Outcome, Problem, StepLabel
from scorecraft.tasks.multiple_choice import MultipleChoice

C, W, R, O = StepLabel.CORRECT, StepLabel.WRONG, StepLabel.REDUNDANT, StepLabel.OFF_TOPIC  # noqa: E741
PROBLEM = Problem(
    "12+7-3=?\nA)18 B)16 C)6\n",
    "B",
    metadata={"operands": [[12], [7], [3]], "operators": "+-", "options": [18, 16, 6]},
)


@pytest.mark.parametrize(
    ("completion", "score", "parsed"),
    [
        ("#B", 1.0, "B"),
        ("#b", 1.0, "B"),
        ("#A", 0.0, "A"),
        ("#Z", 0.0, "Z"),
        ("#none", 0.0, "none"),
        ("#16", None, None),
        ("#AB", None, None),
        ("#\u00e9", None, None),
        ("B", None, None),
    ],
)
def test_answers(completion, score, parsed):
    verdict = MultipleChoice().check(PROBLEM, completion)
    assert verdict.parsed == parsed
    assert verdict.outcome is (Outcome.UNPARSED if score is None else Outcome.SCORED)
    assert verdict.score == (score or 0.0)


@pytest.mark.parametrize(
    ("completion", "labels"),
    [
        ("12+7=19\n19-3=16\n#B", [C, C, C]),
        ("12+7=19\n19-3=16\n#A", [C, C, W]),
        ("12+7=21\n21-3=18\n#A", [W, C, C]),  # the letter of the carried value
        ("12+7=19\n19-3=16\n#Z\n#16\n#b\n#B", [C, C, W, O, C, R]),
    ],
)
def test_steps(completion, labels):
    assert [verdict.label for verdict in MultipleChoice().check_steps(PROBLEM, completion)] == labels


def test_options_differ_and_their_order_is_even():
    places = Counter()
    for problem in MultipleChoice(options=4).problems("train", 0, 400):
        options = problem.metadata["options"]
        assert len(set(options)) == 4
        assert max(options) - min(options) <= 20
        places[problem.answer] += 1
    # 100 each; five standard deviations are 43.
    assert set(places) == set("ABCD")
    assert all(abs(count - 100) < 43 for count in places.values())


def test_unanswerable_options_are_decoys():
    for problem in MultipleChoice(unanswerable=1.0, options=8).problems("train", 0, 20):
        assert problem.answer == "none"
        assert len(re.findall(r"[A-H]\)-?\d+", problem.prompt)) == 8
        assert problem.gold.endswith("#none")
