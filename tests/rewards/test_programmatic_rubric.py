"""Written equations and the rubric of exact checks: by hand, on odd texts, and on the traces of the wind tunnel."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem
from scorecraft.rewards.programmatic_rubric import (
    Requirements,
    audit_steps,
    final_answer,
    problem_requirements,
    programmatic_rubric,
)
from scorecraft.rewards.rubric_reward import rubric_reward
from scorecraft.rewards.written_equations import written_equations, written_numbers
from scorecraft.tasks.chain_arithmetic import ChainArithmetic
from scorecraft.tasks.rubric import Rubric as RubricTask


def read(text):
    return [(tuple(map(str, (s.value for s in e.sides))), e.true) for e in written_equations(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 apples + 4 apples: 3 + 4 = 7. 7 * 2 = 14. Answer 14", [(("7", "7"), True), (("14", "14"), True)]),
        ("3 + 4 = 8, 8 * 2 = 14", [(("7", "8"), False), (("16", "14"), False)]),
        ("12+7=19\n19-3=16\n#16", [(("19", "19"), True), (("16", "16"), True)]),
        ("5-7=-2\n-2+3=1", [(("-2", "-2"), True), (("1", "1"), True)]),
        ("3 + 4 = 7 = 14 / 2", [(("7", "7", "7"), True)]),
        ("2 + 3 * 4 = 14", [(("14", "14"), True)]),
        ("(2 + 3) * 4 = 20", [(("20", "20"), True)]),
        ("(so 3 + 4 = 7)", [(("7", "7"), True)]),
        ("- 3 + 4 = 7", [(("7", "7"), True)]),
        ("1. 3 + 4 = 7", [(("7", "7"), True)]),
        ("x = 3 + 4 = 7", [(("7", "7"), True)]),
        ("1/3 + 1/3 = 2/3", [(("2/3", "2/3"), True)]),
        ("1,000 + 1 = 1,001", [(("1001", "1001"), True)]),
        ("0.1 + 0.2 = 0.3", [(("3/10", "3/10"), True)]),
        ("20% * 50 = 10", [(("10", "10"), True)]),
        ("2^3 + 1 = 9", [(("9", "9"), True)]),
        ("-2^2 = -4", [(("-4", "-4"), True)]),
        ("6 / 0 = 6", [(("None", "6"), False)]),
        ("7 \\times 2 = \\boxed{14}", [(("14", "14"), True)]),
        ("\\frac{6}{3} = 2", [(("2", "2"), True)]),
        ("7 \N{MULTIPLICATION SIGN} 2 = 14", [(("14", "14"), True)]),
        ("$3 + $4 = $7", [(("7", "7"), True)]),
        ("3 + 4 = 7 apples", [(("7", "7"), True)]),
        ("3 + 4 = 7 - so done", [(("7", "7"), True)]),
        # Nothing that can be read, or algebra.
        ("7 = 7", []),
        ("3 apples + 4 apples = 7", []),
        ("3 apples + 4 + 5 = 12", []),
        ("3x + 4 + 5 = 12", []),
        ("x - 3 + 4 = 7", []),
        ("x -3 + 4 = 7", []),
        ("3 + 4 = 7x", []),
        ("3 + 4 = 7 + x", []),
        ("2 (3 + 4) = 14", []),
        ("2 * (3 + 4 = 14", []),
        ("9^99 = 1", []),
        ("3 +\n4 = 7", []),
        ("", []),
    ],
)
def test_equations_are_read_from_text(text, expected):
    assert read(text) == expected


@given(st.text(alphabet="0123456789+-*/^%()=.,# \nax\\", max_size=60))
def test_no_text_is_too_odd_to_read(text):
    for equation in written_equations(text):
        assert len(equation.sides) > 1
    final_answer(text)
    written_numbers(text)


@given(st.integers(-99, 99), st.sampled_from("+-*"), st.integers(0, 99), st.integers(-3, 3))
def test_an_equation_is_true_exactly_where_it_is(left, operator, right, off):
    result = {"+": left + right, "-": left - right, "*": left * right}[operator] + off
    (equation,) = written_equations(f"so {left} {operator} {right} = {result}, done")
    assert equation.true == (off == 0)


def test_long_texts_stay_readable():
    for text in ("1+" * 5000 + "1 1 =", "(" * 10_000 + "=1", "9^64*" * 2000 + "1=2", "1" * 10_000 + "=1"):
        assert written_equations(text) == ()
    assert len(written_equations("3+4=7\n" * 2000)) == 2000


def test_numbers_of_a_problem():
    found = written_numbers("12+7-3=?\nfrom -5 to [8|9], 20% of 1,000 and 2.5")
    assert found == (12, 7, 3, -5, 8, 9, 20, Fraction(1, 5), 1000, Fraction(5, 2))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#16", 16),
        ("#12\n#16", 16),
        ("so #16", 16),
        ("#none", "none"),
        ("\\boxed{-3/4}", Fraction(-3, 4)),
        ("The answer is 14.", 14),
        ("Answer: **1,250**", 1250),
        ("the answer is 3, no: \\boxed{4}", 4),
        ("# Step 1", None),
        ("#1/0", None),
        ("nothing", None),
    ],
)
def test_the_last_answer_counts(text, expected):
    assert final_answer(text) == expected


GIVEN = "3 apples and 4 apples, and twice as many (2)"


def test_a_derivation_gets_full_points():
    found = rubric_reward("3 apples + 4 apples: 3 + 4 = 7. 7 * 2 = 14. Answer 14", programmatic_rubric(GIVEN))
    assert (found.score, found.tags) == (1.0, ())


def test_a_miracle_gets_none_though_its_answer_is_right():
    found = rubric_reward("3 and 4 apples. The answer is 14.", programmatic_rubric(GIVEN))
    assert (found.score, found.tags) == (0.0, ("miracle step",))
    audit = audit_steps("3 and 4 apples. The answer is 14.", Requirements(frozenset({3, 4, 2})))
    assert (audit.answer, audit.sound, audit.modes(answer_ok=True)) == (14, False, ("miracle step",))


def test_two_false_equations():
    audit = audit_steps("3 + 4 = 8, 8 * 2 = 14", Requirements(frozenset({3, 4, 2})))
    # The first works on given numbers, the second on 8, which is not derived; there is no answer.
    assert (audit.exact, audit.grounded, audit.answer, audit.answer_follows) == (0.0, pytest.approx(1 / 3), None, False)


def test_points_of_the_four_items_by_hand():
    rubric = programmatic_rubric("12+7-3", [19, 16])
    # One step, then a jump: 3 for exactness, 2 of 3 numbers grounded only in the equation (1 of 2), 1 of 2 results.
    jump = rubric_reward("12+7=19\n#16", rubric)
    assert [item.points for item in jump.items] == pytest.approx([3.0, 1.5, 1.0, 0.0])
    assert jump.score == pytest.approx(0.55)
    own_points = rubric_reward("12+7=19\n#16", programmatic_rubric("12+7-3", [19, 16], points=(1.0, 0.0, 1.0, 2.0)))
    assert own_points.score == pytest.approx((1 + 0.5) / 4)
    assert rubric_reward("12+7=19\n19-3=16", rubric).score == pytest.approx((3 + 3 * 2 / 3 + 2) / 10)


def test_repeating_an_equation_earns_nothing():
    requirements = Requirements(frozenset({12, 7, 3}), (frozenset({19}), frozenset({16})))
    assert audit_steps("12+7=19\n" * 9 + "19-3=15\n#16", requirements) == audit_steps(
        "12+7=19\n19-3=15\n#16", requirements
    )


@pytest.mark.parametrize(
    ("text", "answer_ok", "modes"),
    [
        ("12+7=19\n19-3=16\n#16", True, ()),
        ("#16", True, ("miracle step",)),
        ("12+7=18\n18-3=16\n#16", True, ("miracle step", "numerical coincidence")),
        ("12-7=6\n12+7=19\n19-3=16\n#16", True, ("outcome-irrelevant error",)),
        ("12/0=1\n12+7=19\n19-3=16\n#16", True, ("ignored operation premise", "outcome-irrelevant error")),
        ("12+7=18\n18-3=15\n#15", False, ("miracle step",)),
    ],
)
def test_failure_modes(text, answer_ok, modes):
    assert audit_steps(text, Requirements(frozenset({12, 7, 3, 0}))).modes(answer_ok) == modes


def test_the_answer_must_be_the_last_result():
    requirements = Requirements(frozenset({12, 7, 3}))
    assert audit_steps("12+7=19\n19-3=16\n#16", requirements).sound
    assert not audit_steps("12+7=19\n19-3=16\n#19", requirements).sound
    # A number that is given is no derived answer.
    assert not audit_steps("#12", requirements).sound


def test_a_chain_gives_its_requirements():
    known = Problem("12+7-3=?\n", "16", metadata={"operands": [[12], [7], [3]], "operators": "+-"})
    assert problem_requirements(known) == Requirements(frozenset({12, 7, 3}), (frozenset({19}), frozenset({16})))
    either = Problem("12+[7|9]=?\n", "", metadata={"operands": [[12], [7, 9]], "operators": "+"})
    assert problem_requirements(either).required == (frozenset({19, 21}),)
    unknown = Problem("12+7-?=?\n", "none", metadata={"operands": [[12], [7], []], "operators": "+-"})
    requirements = problem_requirements(unknown)
    assert (requirements.required, requirements.unanswerable) == ((frozenset({19}),), True)
    assert audit_steps("12+7=19\n#none", requirements).sound
    assert not audit_steps("#none", requirements).sound
    first = Problem("?+7=?\n", "none", metadata={"operands": [[], [7]], "operators": "+"})
    assert audit_steps("#none", problem_requirements(first)).sound
    assert not audit_steps("#7", problem_requirements(first)).sound


@given(st.integers(0, 400))
def test_gold_solutions_are_sound_and_flawed_ones_are_not(index):
    for task in (ChainArithmetic(unanswerable=0.2, operators="+-*"), RubricTask(unanswerable=0.2)):
        problem = task.problem("train", index)
        requirements = problem_requirements(problem)
        assert audit_steps(problem.gold, requirements).sound
        ((flawed, _),) = task.trace(problem, 1.0, Random(index))
        if not task.check(problem, flawed).correct and flawed != problem.gold:
            assert not audit_steps(flawed, requirements).sound


@given(st.permutations(["12+7=19", "7-3=4", "12-3=9"]))
def test_independent_steps_may_come_in_any_order(lines):
    found = audit_steps("\n".join(lines), Requirements(frozenset({12, 7, 3})))
    # Three equations are grounded, and there is no answer.
    assert (found.exact, found.grounded) == (1.0, 0.75)


def test_bad_points_are_refused():
    for points in ((-1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 5.0, 0.0)):
        with pytest.raises(ScorecraftError, match="programmatic_rubric: points"):
            programmatic_rubric("1 2", points=points)
