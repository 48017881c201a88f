"""Signed answers: boxes by hand, what may be read, and the part."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.objectives.group_standardized import group_standardized_advantages
from scorecraft.problem import Outcome, Problem
from scorecraft.rewards.parts.signed_answer import SignedAnswer
from scorecraft.rewards.signed_answer import binary_final_answer_reward, boxed_answer_rulings, own_texts


@pytest.mark.parametrize(
    ("completion", "answer", "expected"),
    [
        ("so it is \\boxed{1,000}", "1000", 1),
        ("\\boxed{\\dfrac{1}{2}}", "\\frac{1}{2}", 1),
        ("\\boxed{0.5}", "\\frac{1}{2}", 1),
        ("\\boxed{3}, no, \\boxed{4}", "4", 1),
        ("\\boxed{4}, no, \\boxed{3}", "4", -1),
        ("\\boxed{8}", "7", -1),
        ("it is 7", "7", -1),
        ("the answer is 7", "7", -1),
        ("#### 7", "7", -1),
        ("<answer>7</answer>", "7", -1),
        ("\\boxed{7", "7", -1),
        ("", "7", -1),
        ("\\boxed{}", "7", -1),
        ("\\boxed{__import__('os').getpid()}", "7", -1),
        ("\\boxed{6+1}", "8", -1),
    ],
)
def test_the_last_box_decides(completion, answer, expected):
    assert binary_final_answer_reward([completion], [answer]).tolist() == [expected]


def test_a_box_in_the_prefix_counts_only_where_that_is_asked_for():
    given_prefix = {"prefills": ["\\boxed{7}"]}
    assert binary_final_answer_reward([""], ["7"], **given_prefix).tolist() == [-1]
    assert binary_final_answer_reward([""], ["7"], extract_from="prefill+completion", **given_prefix).tolist() == [1]
    # What the policy writes afterwards outvotes it.
    found = binary_final_answer_reward(
        ["so \\boxed{8}"], ["7"], extract_from="prefill+completion", prefills=["\\boxed{7} "]
    )
    assert found.tolist() == [-1]
    # A box that is torn apart by the prefix is whole only with it.
    torn = {"completions": ["ed{7}"], "answers": ["7"], "prefills": ["\\box"]}
    assert binary_final_answer_reward(**torn).tolist() == [-1]
    assert binary_final_answer_reward(**torn, extract_from="prefill+completion").tolist() == [1]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8), st.text("ab 1{}\\", max_size=10))
def test_it_is_plus_or_minus_one_by_row_and_prefixes_are_not_read(pairs, prefix):
    completions = [f"so \\boxed{{{given}}}" for given, _ in pairs]
    answers = [str(true) for _, true in pairs]
    found = binary_final_answer_reward(completions, answers, prefills=[prefix] * len(pairs))
    assert found.tolist() == [1.0 if given == true else -1.0 for given, true in pairs]
    assert found.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"completions": ["a", "b"], "answers": ["1"]}, "2 completions, but 1 answers"),
        ({"completions": ["a"], "answers": ["1"], "prefills": []}, "1 completions, but 0 prefills"),
        ({"completions": ["a", "b"], "answers": ["1", " "]}, "true answer of completion 1 is empty"),
        ({"completions": ["a"], "answers": ["1"], "extract_from": "prefill+completion"}, "needs prefills"),
    ],
)
def test_bad_input_is_named(arguments, said):
    with pytest.raises(ScorecraftError, match=said):
        binary_final_answer_reward(**arguments)


def test_why_there_is_no_answer():
    (ruling,) = boxed_answer_rulings(["the answer is 7"], ["7"])
    assert (str(ruling.verdict), ruling.reason) == ("unparsed", "no boxed answer")


def test_groups_of_two_have_one_size_of_advantage_or_none():
    reward = binary_final_answer_reward(["\\boxed{1}", "\\boxed{2}", "\\boxed{1}", "\\boxed{1}"], ["1"] * 4)
    found = group_standardized_advantages(
        reward, torch.tensor([0, 0, 1, 1]), torch.ones(4, dtype=torch.bool), epsilon=1e-4, ddof=1
    )
    # 1 / (sqrt(2) + 0.0001)
    assert found.tolist() == pytest.approx([0.707057, -0.707057, 0, 0], abs=1e-6)


# The part.


def started(rollouts, prefixes):
    notes = tuple({"prefix": prefix} if prefix is not None else {} for prefix in prefixes)
    return replace(rollouts, notes=notes)


def test_the_part_asks_the_task_about_the_completion_alone(make_rollouts, context):
    problems = [Problem("2+3", "5"), Problem("1+1", "2")]
    texts = ["2+3=5\n= 5", "= 5\nnothing", "= 3", "= 2", "= 2\n= 3"]
    rollouts = make_rollouts([[1]] * 5, [0, 0, 0, 1, 1], texts=texts, problems=problems)
    rollouts = started(rollouts, ["2+3=5\n", "= 5\n", None, "", "= 2\n"])
    assert own_texts(rollouts) == ["= 5", "nothing", "= 3", "= 2", "= 3"]
    scores = SignedAnswer()(rollouts, context)
    assert scores.values.tolist() == [1, -1, -1, 1, -1]
    assert scores.metrics["unparsed"].tolist() == [0, 1, 0, 0, 0]
    assert scores.metrics["flawed"].tolist() == [1, 1, 0, 0, 1]
    repaired, clean = scores.metrics["repaired"].tolist(), scores.metrics["clean"].tolist()
    assert repaired[:2] + repaired[4:] == [1, 0, 0]
    assert clean[2:4] == [0, 1]
    assert all(map(math.isnan, [*repaired[2:4], *clean[:2], clean[4]]))
    # The first answer of a text is what this task reads: with the prefix, it is the prefix's.
    whole = SignedAnswer(extract_from="prefill+completion")(rollouts, context)
    assert whole.values.tolist() == [1, 1, -1, 1, 1]


def test_the_part_reads_boxes(make_rollouts, context):
    texts = ["\\boxed{5}", "= 5", "\\boxed{5} yes"]
    rollouts = make_rollouts([[1]] * 3, [0, 0, 0], texts=texts, problems=[Problem("2+3", "5")])
    rollouts = started(rollouts, [None, None, "\\boxed{5} "])
    assert SignedAnswer(answer="boxed")(rollouts, context).values.tolist() == [1, -1, -1]
    both = SignedAnswer(answer="boxed", extract_from="prefill+completion")(rollouts, context)
    assert both.values.tolist() == [1, -1, 1]


def test_what_cannot_be_judged_has_no_value(make_rollouts, context):
    rollouts = make_rollouts([[1], [1]], [0, 0], texts=["sleep", "= 5"], problems=[Problem("2+3", "5")])
    scores = SignedAnswer()(rollouts, context)
    assert scores.outcomes == (Outcome.TIMEOUT, Outcome.SCORED)
    assert math.isnan(scores.values[0])
    assert math.isnan(scores.metrics["clean"][0])
    assert scores.values[1] == 1


def test_a_prefix_cut_by_the_length_limit_leaves_nothing_and_another_text_is_refused(make_rollouts, context):
    cut = started(make_rollouts([[0]], [0], texts=["= 5"], problems=[Problem("2+3", "5")]), ["= 5\n2+3"])
    assert own_texts(cut) == [""]
    assert SignedAnswer()(cut, context).values.tolist() == [-1]
    other = started(make_rollouts([[1]], [0], texts=["= 5"]), ["2+3=5\n"])
    with pytest.raises(ScorecraftError, match="rollout 0 does not begin with the forced prefix"):
        own_texts(other)


def test_an_empty_batch(make_rollouts, context):
    assert binary_final_answer_reward([], []).shape == (0,)
    assert SignedAnswer()(make_rollouts([], []), context).values.shape == (0,)
