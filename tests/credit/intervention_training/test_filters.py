"""Filters: a step that gives the answer away, continuations that never succeed, and the shares made of them."""

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.intervention_training import (
    Attempt,
    GuidedAttempt,
    Intervention,
    coverage_statistics,
    filter_interventions,
    reveals_answer,
)
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem


@pytest.mark.parametrize(
    ("content", "answer", "substring", "token"),
    [
        ("so n = 12", "12", True, True),
        ("try 10", "1", True, False),
        ("try 10, then 1.", "1", True, True),
        ("it is 1.5 or 0.1", "1", True, False),
        ("it is 1,000", "1", True, False),
        ("x1 = 2", "1", True, False),
        (r"x\frac{1}{2}y", r"\frac{1}{2}", True, True),
        ("then y=-3", " -3 ", True, True),
        ("then y=-31", "-3", True, False),
        ("try 11", "12", False, False),
        ("a+b", ".+", False, False),
    ],
)
def test_which_steps_give_the_answer_away(content, answer, substring, token):
    assert reveals_answer(content, answer) is substring
    assert reveals_answer(content, answer, "token") is token


@given(st.text(), st.text().filter(str.strip))
def test_the_rule_of_tokens_drops_no_more_than_that_of_substrings(content, answer):
    assert reveals_answer(content, answer, "token") <= reveals_answer(content, answer)
    assert reveals_answer(f"{content} {answer.strip()} ", answer, "token")


def test_leak_rules_refuse_what_they_cannot_judge():
    with pytest.raises(ScorecraftError, match="blank"):
        reveals_answer("x", " ")
    with pytest.raises(ScorecraftError, match="unknown rule 'word'"):
        inspect.unwrap(reveals_answer)("x", "1", "word")


def row(index):
    attempt = Attempt(Problem(f"Q{index}", "yes"), ("A", "x"), "A\n\nB", index, 0)
    return GuidedAttempt(attempt, Intervention(2, "B"), "A", "A\n\nB")


def rollout_with(counts):
    """Return a model whose continuations are right so often, the right ones last."""

    def rollout(problems, prefixes, n):
        assert prefixes == ["A\n\nB"] * len(problems)
        found = [counts[int(problem.prompt[1:])] for problem in problems]
        return [[f"\n\nno {i}" for i in range(n - c)] + [f"\n\nyes {i}" for i in range(c)] for c in found]

    return rollout


def verify(problem, completion):
    # The guided prefix is a part of the completion that is judged.
    return completion.startswith("A\n\nB\n\n") and problem.answer in completion


def test_a_row_is_kept_that_succeeds_once():
    found = filter_interventions([row(0), row(1), row(2)], rollout_with([0, 1, 32]), verify)
    assert [(kept.attempt.problem_index, kept.correct) for kept in found.kept] == [(1, 1), (2, 32)]
    assert [kept.suffix for kept in found.kept] == ["\n\nyes 0"] * 2
    assert found.statistics.coverage == pytest.approx(2 / 3)
    assert found.statistics.success_rate == pytest.approx(33 / 96) == pytest.approx(0.34375)
    # The rollouts of the first and of the last all earn the same.
    assert found.statistics.zero_advantage_ratio == pytest.approx(2 / 3)


def test_more_successes_can_be_asked_for_and_lost_problems_count():
    found = filter_interventions([row(0), row(1)], rollout_with([1, 2]), verify, 4, min_correct=2, problems=8)
    assert [kept.attempt.problem_index for kept in found.kept] == [1]
    assert found.statistics.coverage == 2 / 8
    assert found.statistics.success_rate == 3 / 8


def test_without_rows_there_are_no_shares():
    found = filter_interventions([], rollout_with([]), verify, problems=3)
    assert found.kept == []
    assert found.statistics.coverage == 0
    assert math.isnan(found.statistics.success_rate)
    assert math.isnan(found.statistics.zero_advantage_ratio)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [((0, 1), "n_rollouts: expected at least 1"), ((4, 0), r"min_correct.* 1 \.\. 4"), ((4, 5), "min_correct")],
)
def test_numbers_that_decide_nothing_are_refused(numbers, said):
    with pytest.raises(ScorecraftError, match=said):
        filter_interventions([row(0)], rollout_with([1]), verify, *numbers)


@pytest.mark.parametrize("texts", [[], [["a"]], [["a", "b"], ["a", "b"]]])
def test_a_rollout_function_must_return_what_is_asked(texts):
    with pytest.raises(ScorecraftError, match="2 continuations for each of 1 prefixes"):
        filter_interventions([row(0)], lambda problems, prefixes, n: texts, verify, 2)


def test_coverage_is_over_problems_and_success_over_rollouts():
    correct, problem = torch.tensor([0, 2, 1, 0]), torch.tensor([5, 5, 7, 9])
    found = coverage_statistics(correct, 4, problem)
    assert (found.covered, found.problems, found.correct, found.rollouts) == (2, 3, 3, 16)
    assert found.zero_advantage_ratio == 0.5
    assert coverage_statistics(correct, 4, problem, 10).coverage == 0.2


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=8), st.randoms())
def test_order_does_not_matter_and_coverage_is_at_least_success(rows, random):
    def of(pairs):
        return coverage_statistics(torch.tensor([c for c, _ in pairs]), 4, torch.tensor([p for _, p in pairs]))

    shuffled = list(rows)
    random.shuffle(shuffled)
    found = of(rows)
    assert found == of(shuffled)
    assert 0 <= found.success_rate <= 1
    assert (found.coverage > 0) == (found.success_rate > 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1], 0, [0]), "at least 1 rollout"),
        (([5], 4, [0]), "outside"),
        (([-1], 4, [0]), "outside"),
        (([1, 1], 4, [0, 1], 1), "2 problems have a prefix"),
    ],
)
def test_impossible_counts_are_refused(arguments, said):
    correct, n, problem, *rest = arguments
    with pytest.raises(ScorecraftError, match=said):
        coverage_statistics(torch.tensor(correct), n, torch.tensor(problem), *rest)
