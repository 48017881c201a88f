"""Where the answer stands, and when there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.rewards.verify.extraction import find_answer, true_answer
from scorecraft.rewards.verify.hidden import visible
from scorecraft.rewards.verify.verification import Unreadable


@pytest.mark.parametrize(
    ("completion", "form", "text"),
    [
        (r"so $\boxed{42}$.", "boxed", "42"),
        (r"\boxed {\frac{1}{2}} is it", "boxed", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", "boxed", r"\{1, 2\}"),
        (r"\fbox{7}", "boxed", "7"),
        (r"\boxed 7", "boxed", "7"),
        ("first 3\n#### 42\n", "hash", "42"),
        ("  #### 42 apples\nNext question: what is 5?", "hash", "42 apples"),
        ("<answer>\n42\n</answer>", "tag", "42"),
        (r"<answer>the sum is \boxed{42}</answer>", "boxed", "42"),
        (r"#### \boxed{42}", "boxed", "42"),
        ("So the answer is 42. I hope it is correct.", "phrase", "42"),
        ("**Answer:** 42", "phrase", "42"),
        ("The final answer is: $\\frac{3}{4}$, as was to be shown.", "phrase", r"\frac{3}{4}"),
        ("Answer:\n\\(x^2\\)", "phrase", "x^2"),
        ("The answer is $1$ and $2$.", "phrase", "1, 2"),
        ("the answer is 12 because 3 times 4 is 12.", "phrase", "12"),
        ("The answer is 3.5 meters.", "phrase", "3.5 meters"),
        ("42", "whole", "42"),
        ("x = 42", "whole", "x = 42"),
        ("We see that $y$ grows, and so\nwe find $x^2 + 1$ in the end.", "math", "x^2 + 1"),
    ],
)
def test_each_form(completion, form, text):
    found = find_answer(completion)
    assert (found.form, found.text) == (form, text)


def test_the_last_mark_counts_whichever_it_is():
    assert find_answer("\\boxed{41}\n#### 42").text == "42"
    assert find_answer("#### 41\nno, \\boxed{42}").text == "42"
    assert find_answer("<answer>41</answer> and then \\boxed{42}").text == "42"
    assert find_answer("The answer is 43, but \\boxed{42} was the mark").text == "42"


def test_boxes_side_by_side_are_one_answer_and_boxes_apart_are_a_correction():
    assert find_answer(r"$\boxed{1}$ and $\boxed{2}$").text == "1, 2"
    assert find_answer(r"\boxed{41} or \boxed{42}").text == "41, 42"
    assert find_answer(r"\boxed{42}, \boxed{42}").text == "42"
    assert find_answer(r"\boxed{41}. No: that is wrong. \boxed{42}").text == "42"


@pytest.mark.parametrize("heading", ["#### Step 3\nWe add.", "#### 1. Introduction\nWe add.", "a #### 3"])
def test_a_heading_is_no_answer(heading):
    with pytest.raises(Unreadable):
        find_answer(f"{heading}\nmany words follow here, and none of them is a number", loose=False)


def test_the_last_number_counts_only_where_a_number_is_wanted_and_nothing_is_marked():
    text = "He has 3 apples and finds 4 more on the way, so now there are 7 of them."
    assert (find_answer(text, numeric=True).form, find_answer(text, numeric=True).text) == ("number", "7")
    for options in ({"numeric": False}, {"numeric": True, "loose": False}):
        with pytest.raises(Unreadable):
            find_answer(text, **options)


def test_what_touches_the_last_number_belongs_to_it():
    text = "there are several pieces of string here, each of which is {} long and thin and blue"
    assert find_answer(text.format("42cm"), numeric=True).text == "42cm"
    assert find_answer(text.format("x_42"), numeric=True).text == "x_42"
    assert find_answer(text.format("=42,"), numeric=True).text == "42"


def test_money_is_no_formula():
    text = "One of them costs $5 and then another costs $6 which is more than we have"
    assert find_answer(text, numeric=True).text == "6"
    assert find_answer("The answer is $5 and then some $6.").text.startswith("$5 and")


@pytest.mark.parametrize(
    ("completion", "why"),
    [
        ("", "no answer"),
        (r"so \boxed{4", "never closed"),
        (r"\boxed{41} and so \boxed{4", "never closed"),
        (r"\boxed{}", "empty"),
        ("####", "empty"),
        ("answer: 42</answer>", "without <answer>"),
        ("<think>it is \\boxed{42}", "inside <think>"),
        ("<think>a</think><think>\\boxed{42}", "inside <think>"),
        ("<think>it is \\boxed{42}</think>", "no answer"),
        ("<!-- \\boxed{42} -->", "no answer"),
        ("<!-- \\boxed{42}", "no answer"),
        ("% \\boxed{42}", "no answer"),
        ("wrong % \\boxed{42}", "no answer"),
        (r"\iffalse \boxed{42} \fi", "no answer"),
        (r"\begin{comment}\boxed{42}\end{comment}", "no answer"),
        (rf"\boxed{{{'1' * 3000}}}", "3000 characters"),
    ],
)
def test_no_answer_and_why(completion, why):
    with pytest.raises(Unreadable, match=why):
        find_answer(completion, loose=False)


def test_only_what_is_hidden_is_left_out():
    assert visible("50% of 80 % is, 5 % of it") == "50% of 80 % is, 5 % of it"
    assert visible("a <!-- b --> c <!-- d") == "a  c "
    assert visible("<think>x</think>y") == "y"
    assert visible(r"50\% it is % no more" "\nnext") == "50\\% it is\nnext"


def test_a_true_answer_may_be_a_worked_solution():
    assert true_answer("3 + 4 = 7\n#### 7") == "7"
    assert true_answer(r"Thus $\boxed{\frac{1}{2}}$.") == r"\frac{1}{2}"
    assert true_answer(" 42 ") == "42"
    assert true_answer(r"\boxed{never") == r"\boxed{never"


@given(st.text(alphabet="\\boxed{}#$ 42\n", max_size=60))
def test_every_text_gives_an_answer_or_a_reason(text):
    try:
        found = find_answer(text, numeric=True).text.strip()
    except Unreadable as error:
        found = str(error)
    assert found
