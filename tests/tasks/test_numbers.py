from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.tasks.numbers import final_answer, last_boxed, read_number, same_answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("1,234,567", 1234567),
        ("$1,234.50", Fraction("1234.5")),
        ("42 apples.", 42),
        ("x = -7", -7),
        ("\u22127", -7),
        ("+3", 3),
        (".5", Fraction(1, 2)),
        ("3/4", Fraction(3, 4)),
        ("50%", 50),
        ("1/0", None),
        ("6*7", None),
        ("12-5", None),
        ("1,23", None),
        ("1,2345", None),
        ("", None),
        ("many", None),
        ("9" * 5000, None),
    ],
)
def test_read_number(text, value):
    assert read_number(text) == value


@pytest.mark.parametrize(
    ("text", "numeric", "answer"),
    [
        ("6*7=42\n#### 42", True, "42"),
        ("#### 41\n#### 42 apples\nthanks", True, "42 apples"),
        ("#### ", True, None),
        (r"so \boxed{42}", True, "42"),
        (r"\boxed{1} then \boxed{\frac{1}{2}}", False, r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2", True, "1"),
        (r"\boxed{41} #### 42", True, "42"),
        ("first 3, then 1,200.", True, "1,200"),
        ("first 3, then 1,200.", False, None),
        ("no idea", True, None),
    ],
)
def test_final_answer(text, numeric, answer):
    assert final_answer(text, numeric=numeric) == answer


@pytest.mark.parametrize(
    ("given_", "true", "same"),
    [
        ("1,000.0", "1000", True),
        ("0.5", "1/2", True),
        ("0.3333333333", "1/3", False),
        ("42", "42.000001", False),
        ("-3", "3", False),
        ("6*7", "42", None),
        ("Paris.", "paris", True),
        ("Rome", "Paris", False),
        ("6*7", "6*7", True),
    ],
)
def test_same_answer(given_, true, same):
    assert same_answer(given_, true) is same


@given(st.integers(-(10**15), 10**15), st.integers(0, 6))
def test_grouping_and_trailing_zeros_do_not_change_a_number(number, zeros):
    assert same_answer(f"{number:,}" + ("." + "0" * zeros if zeros else ""), str(number)) is True
    assert same_answer(f"{number:,}", str(number + 1)) is False


@given(st.one_of(st.text(max_size=50), st.text(alphabet="0123456789,./-+#\\boxed{} ", max_size=50)))
def test_odd_text_never_raises(text):
    answer = final_answer(text, numeric=True)
    assert answer is None or same_answer(answer, "42") in (True, False, None)
    assert last_boxed(text) is None or last_boxed(text) in text
