"""What holds for every wind-tunnel family."""

import json
import re
import subprocess
import sys
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome, StepLabel
from scorecraft.tasks.alphabet import ALPHABET
from scorecraft.tasks.calculator import Calculator
from scorecraft.tasks.chain_arithmetic import ChainArithmetic
from scorecraft.tasks.confidence import Confidence
from scorecraft.tasks.multiple_choice import MultipleChoice
from scorecraft.tasks.rubric import Rubric
from scorecraft.tasks.second_turn import SecondTurn
from scorecraft.tasks.seeding import split_of

FAMILIES = [Calculator, ChainArithmetic, Confidence, MultipleChoice, Rubric, SecondTurn]
LEFT, OPERATIONS = re.compile(r"^(?:explain )?(\d+)"), re.compile(r"([+\-*])(\d+)")

# Text that comes close to the families' formats, so that the checkers' branches are reached.
NEARLY = st.lists(
    st.sampled_from(
        ["12+7=19", "19-3=16", "#", "16", "none", "\n", " ", "-", "=", "[", "]", "add(", "1,2", ")", "@", "0.5", "%",
         "find ", "so ", "add 7:", "subtract ?: unknown", "Check it.", "A", "?", "\u00b2", "\u0663", "9" * 40, "\r"]
    ),
    max_size=12,
).map("".join)  # fmt: skip
ANY_TEXT = st.one_of(st.text(max_size=60), NEARLY)


@cache
def three_problems(family):
    return family(unanswerable=0.5).problems("train", 0, 3)


def by_hand(prompt):
    """Evaluate the chain of a prompt from left to right, independently of the package."""
    first = LEFT.match(prompt)
    value = int(first[1])
    for operator, operand in OPERATIONS.findall(prompt.split("=?")[0].split("\n")[0][first.end() :]):
        value = eval(f"{value}{operator}{operand}")
    return value


@pytest.mark.parametrize("family", FAMILIES)
def test_gold_traces_are_right_and_stay_in_the_alphabet(family):
    task = family(operators="+-*", unanswerable=0.2, **({"choices": (1, 1)} if family is Confidence else {}))
    unanswerable = 0
    for problem in task.problems("train", 0, 150):
        assert not set(problem.prompt + problem.gold) - set(ALPHABET)
        verdict = task.check(problem, problem.gold)
        assert (verdict.score, verdict.outcome, verdict.parsed) == (1.0, Outcome.SCORED, problem.answer)
        if "?" in problem.prompt.removesuffix("=?\n").split("=?")[0]:
            unanswerable += 1
            assert problem.answer == "none"
        elif family is MultipleChoice:
            letters = dict(re.findall(r"([A-H])\)(-?\d+)", problem.prompt))
            assert int(letters[problem.answer]) == by_hand(problem.prompt)
        else:
            assert int(problem.answer) == by_hand(problem.prompt)
    # The mean is 30; five standard deviations are 24.
    assert 6 < unanswerable < 54


@pytest.mark.parametrize("family", FAMILIES)
def test_without_flaws_every_step_is_correct(family):
    task = family(unanswerable=0.2, operators="+-*", **({"flawed_first": 0.0} if family is SecondTurn else {}))
    for problem in task.problems("test", 0, 60):
        labels = {verdict.label for verdict in task.check_steps(problem, problem.gold) if verdict.text != "Check it."}
        assert labels == {StepLabel.CORRECT}, problem.gold
        assert all(task.gold_path(problem, problem.gold))


@pytest.mark.parametrize("family", [Calculator, ChainArithmetic, Confidence, MultipleChoice, Rubric])
def test_flaw_rate_one_makes_every_operation_wrong(family):
    task = family()
    for problem in task.problems("train", 0, 60):
        text = "".join(text for text, _ in task.trace(problem, 1.0, Random(0)))
        labels = [verdict.label for verdict in task.check_steps(problem, text)]
        assert labels.count(StepLabel.WRONG) >= len(problem.metadata["operators"])
        steps = [v.label for v in task.check_steps(problem, text) if "=" in v.text]
        assert steps == [StepLabel.WRONG] * len(problem.metadata["operators"])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_rate_of_flawed_steps(family):
    task = family(flawed_steps=0.3, **({"flawed_first": 0.0} if family is SecondTurn else {}))
    steps = [
        verdict.label
        for problem in task.problems("train", 0, 400)
        for verdict in task.check_steps(problem, problem.gold.partition("Check it.")[0])
        if "=" in verdict.text
    ]
    share = steps.count(StepLabel.WRONG) / len(steps)
    assert len(steps) > 900
    # Five standard deviations at 900 steps: 5 * sqrt(0.3 * 0.7 / 900) = 0.077.
    assert abs(share - 0.3) < 0.077


@pytest.mark.parametrize("family", FAMILIES)
def test_spare_steps_are_redundant_and_do_no_harm(family):
    task = family(spare_steps=1.0, **({"flawed_first": 0.0} if family is SecondTurn else {}))
    for problem in task.problems("train", 0, 40):
        labels = [verdict.label for verdict in task.check_steps(problem, problem.gold)]
        assert labels.count(StepLabel.REDUNDANT) == len(problem.metadata["operators"]), problem.gold
        assert StepLabel.WRONG not in labels
        assert task.check(problem, problem.gold).correct


@pytest.mark.parametrize("family", FAMILIES)
def test_problems_depend_on_their_address_alone(family):
    task = family(flawed_steps=0.3)
    forwards = [task.problem("train", index) for index in range(20)]
    backwards = [family(flawed_steps=0.3).problem("train", index) for index in reversed(range(20))]
    assert forwards == backwards[::-1]
    assert len({problem.prompt for problem in forwards}) > 15
    assert [p.prompt for p in family(seed=1).problems("train", 0, 20)] != [p.prompt for p in forwards]


def test_problems_are_the_same_in_another_process():
    code = (
        "from scorecraft.tasks.multiple_choice import MultipleChoice\n"
        "import json, sys\n"
        "p = MultipleChoice(flawed_steps=0.5, unanswerable=0.2, seed=3).problems('test', 5, 10)\n"
        "sys.stdout.write(json.dumps([[x.prompt, x.answer, x.gold, x.key] for x in p]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": "77"})
    here = MultipleChoice(flawed_steps=0.5, unanswerable=0.2, seed=3).problems("test", 5, 10)
    assert json.loads(out.stdout) == [[p.prompt, p.answer, p.gold, p.key] for p in here]


@pytest.mark.parametrize("family", FAMILIES)
def test_train_and_test_share_no_problem_whatever_the_seed(family):
    def asked(seed, split):
        return {p.prompt.split("\n")[0] for p in family(seed=seed, operations=(1, 2)).problems(split, 0, 250)}

    train, test = asked(0, "train") | asked(1, "train"), asked(0, "test") | asked(1, "test")
    assert not train & test
    assert len(test) > 50


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60)
@given(completion=ANY_TEXT)
def test_checkers_never_raise(family, completion):
    task = family(unanswerable=0.5)
    for problem in three_problems(family):
        verdict = task.check(problem, completion)
        assert 0.0 <= verdict.score <= 1.0
        assert (verdict.parsed is None) == (verdict.outcome is Outcome.UNPARSED)
        steps = task.check_steps(problem, completion)
        assert [step.index for step in steps] == list(range(len(steps)))
        assert all(completion[step.start : step.end] == step.text for step in steps)
        # A line of nothing but white space, of whatever kind, is no step.
        assert "".join("".join(step.text for step in steps).split()) in "".join(completion.split())
        assert len(task.gold_path(problem, completion)) == len(steps)


@pytest.mark.parametrize(
    ("completion", "score", "outcome", "parsed"),
    [
        ("#{}", 1.0, "scored", "{}"),
        ("steps\n# {} \nand more text", 1.0, "scored", "{}"),
        ("#1000\n#{}", 1.0, "scored", "{}"),
        ("#{}\n#1000", 0.0, "scored", "1000"),
        ("#{} apples", 0.0, "unparsed", None),
        ("#{}#", 0.0, "unparsed", None),
        ("{}", 0.0, "unparsed", None),
        ("#none", 0.0, "scored", "none"),
        ("#None", 0.0, "unparsed", None),
        ("", 0.0, "unparsed", None),
    ],
)
def test_where_the_answer_stands(completion, score, outcome, parsed):
    task = ChainArithmetic(operators="+")
    problem = task.problem("train", 0)
    verdict = task.check(problem, completion.format(problem.answer))
    assert (verdict.score, verdict.outcome.value) == (score, outcome)
    assert verdict.parsed == (parsed and parsed.format(problem.answer))


def test_the_knobs_of_difficulty():
    task = ChainArithmetic(operations=(6, 6), largest=3, operators="*")
    for problem in task.problems("train", 0, 20):
        operands = re.split(r"\*", problem.prompt.removesuffix("=?\n"))
        assert len(operands) == 7
        assert set(operands) <= {"1", "2", "3"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operations": (4, 2)}, "fewest and most operations"),
        ({"operations": (0, 2)}, "fewest and most operations"),
        ({"operators": "+/"}, "expected one or more of"),
        ({"operators": ""}, "expected one or more of"),
        ({"flawed_steps": 1.5}, "less than or equal to 1"),
        ({"unanswerable": -0.1}, "greater than or equal to 0"),
        ({"largest": 1}, "greater than or equal to 2"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValidationError, match=message):
        ChainArithmetic(**options)


def test_a_family_with_too_few_problems_says_so():
    # Four problems: 1+1, 1+2, 2+1 and 2+2, or the same with another operator.
    asked = {sign: [f"{a}{sign}{b}" for a in (1, 2) for b in (1, 2)] for sign in "+-*"}
    sign, split = next(
        (sign, split) for sign in asked for split in ("train", "test") if split not in map(split_of, asked[sign])
    )
    with pytest.raises(ScorecraftError, match="too few different problems"):
        ChainArithmetic(operations=(1, 1), largest=2, operators=sign).problem(split, 0)


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_flawed_unanswerable_traces_invent_the_operand(rate):
    task = ChainArithmetic(unanswerable=1.0, flawed_steps=rate)
    said_none = sum(task.check(p, p.gold).correct for p in task.problems("train", 0, 300))
    invented = [p for p in task.problems("train", 0, 300) if not task.check(p, p.gold).correct]
    # The unknown operand is invented with probability `rate`, whatever came before.
    assert abs(said_none / 300 - (1 - rate)) < 0.15
    for problem in invented:
        labels = [verdict.label for verdict in task.check_steps(problem, problem.gold)]
        assert StepLabel.WRONG in labels[:-1]
        assert labels[-1] is StepLabel.CORRECT
        assert StepLabel.OFF_TOPIC not in labels
