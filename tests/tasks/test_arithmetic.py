from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.tasks.alphabet import ALPHABET
from scorecraft.tasks.arithmetic import Chain, Equation, apply, draw_chain, read_equation, read_integer

NUMBERS = st.integers(-999, 999)


@given(NUMBERS, NUMBERS)
def test_apply_is_integer_arithmetic(left, right):
    assert apply("+", left, right) == left + right
    assert apply("-", left, right) == left - right
    assert apply("*", left, right) == left * right


def test_apply_refuses_other_operators():
    with pytest.raises(ValueError, match="unknown operator '/'"):
        apply("/", 1, 2)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("12+7=19", Equation(12, "+", 7, 19)),
        ("-2 - 3 = -5", Equation(-2, "-", 3, -5)),
        ("3*-4=-12", Equation(3, "*", -4, -12)),
        ("012+7=18", Equation(12, "+", 7, 18)),
        ("12+7", None),
        ("12+7=", None),
        ("12+7=19.", None),
        ("12/4=3", None),
        ("12+7=19=19", None),
        ("1+1+1=3", None),
        ("\u0661+1=2", None),  # a digit, but not an ASCII one
        ("1+1=" + "9" * 37, None),
        ("", None),
    ],
)
def test_read_equation(line, expected):
    assert read_equation(line) == expected


@given(NUMBERS, st.sampled_from("+-*"), NUMBERS, NUMBERS)
def test_an_equation_is_read_back_and_true_exactly_where_python_says_so(left, operator, right, result):
    equation = Equation(left, operator, right, result)
    assert read_equation(str(equation)) == equation
    truth = {"+": left + right, "-": left - right, "*": left * right}[operator]
    assert equation.true == (truth == result)


@pytest.mark.parametrize(("text", "value"), [("-7", -7), ("007", 7), ("-0", 0), ("+7", None), ("7 ", None), ("", None)])
def test_read_integer(text, value):
    assert read_integer(text) == value


def test_read_integer_refuses_what_python_would_choke_on():
    assert read_integer("9" * 18) == 10**18 - 1
    assert read_integer("9" * 6000) is None


def test_chains_go_from_left_to_right():
    chain = Chain(((2,), (3,), (4,)), "+*")
    assert chain.text == "2+3*4"
    assert chain.reachable == (frozenset({2}), frozenset({5}), frozenset({20}))


def test_uncertain_and_unknown_operands():
    uncertain = Chain(((12,), (7, 9), (3,)), "+-")
    assert uncertain.text == "12+[7|9]-3"
    assert uncertain.reachable[-1] == {16, 18}
    unknown = Chain(((12,), (), (3,)), "+-")
    assert unknown.text == "12+?-3"
    assert unknown.reachable == (frozenset({12}), frozenset(), frozenset())
    assert uncertain.answerable
    assert not unknown.answerable


@given(st.integers(0, 10**6))
def test_a_chain_survives_its_metadata(seed):
    chain = draw_chain(Random(seed), (1, 6), 30, "+-*", 0.3)
    assert Chain.from_metadata(chain.metadata) == chain
    assert 1 <= len(chain.operators) <= 6
    assert all(1 <= value <= 30 for values in chain.operands for value in values)


def test_the_rate_of_unknown_operands():
    unknown = sum(not draw_chain(Random(seed), (2, 4), 20, "+-", 0.25).answerable for seed in range(4000))
    # Five standard deviations of a binomial share: 5 * sqrt(0.25 * 0.75 / 4000) = 0.034.
    assert abs(Fraction(unknown, 4000) - Fraction(1, 4)) < 0.035


def test_the_alphabet_leaves_room_for_four_special_tokens():
    assert len(set(ALPHABET)) == len(ALPHABET) <= 96
    assert ALPHABET.isascii()
    assert all(len(character) == 1 for character in ALPHABET)
