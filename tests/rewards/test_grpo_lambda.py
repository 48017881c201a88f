"""The switched length penalty: rewards by hand, which groups are pressed, and the same choice by several workers."""

from __future__ import annotations

import inspect
import math
import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.objectives.group_standardized import group_standardized_advantages
from scorecraft.problem import Outcome
from scorecraft.recipes.lint import lint
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.adaptive_length import adaptive_length
from scorecraft.rewards.grpo_lambda import (
    efficiency_groups,
    group_accuracies,
    grpo_lambda_reward,
    length_penalty_reward,
)
from scorecraft.rewards.parts.grpo_lambda import SwitchedLengthPenalty
from scorecraft.rewards.relative_length import relative_length

CORRECT = torch.tensor([True, True, False, True])
LENGTHS = torch.tensor([100, 200, 400, 300])
ACCURACIES = torch.tensor([0.25, 1.0, 0.5, 1.0, 0.75], dtype=torch.float64)


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


# One group.


def test_the_penalty_by_hand():
    # Correct lengths 100, 200, 300: mean 200, deviation sqrt(20000 / 3) = 81.6497, z = -1.224745, 0, 1.224745.
    expected = torch.tensor([0.954580, 0.9, 0.0, 0.845421])
    torch.testing.assert_close(length_penalty_reward(CORRECT, LENGTHS), expected, atol=1e-6, rtol=0)
    expected = torch.tensor([0.863738, 0.7, 0.0, 0.536262])
    torch.testing.assert_close(length_penalty_reward(CORRECT, LENGTHS, alpha=0.6), expected, atol=1e-6, rtol=0)


def test_a_wrong_completion_is_in_no_mean():
    longer = LENGTHS.clone()
    longer[2] = 10_000
    assert length_penalty_reward(CORRECT, longer).equal(length_penalty_reward(CORRECT, LENGTHS))


def test_lengths_that_do_not_differ_cost_half():
    three = torch.ones(3, dtype=torch.bool)
    assert length_penalty_reward(three, torch.tensor([7, 7, 7])).tolist() == pytest.approx([0.9] * 3)
    # 0.1 three times does not add up to three times 0.1.
    assert length_penalty_reward(three, torch.tensor([1.1, 1.1, 1.1])).tolist() == pytest.approx([0.9] * 3)
    alone = torch.tensor([False, True, False])
    assert length_penalty_reward(alone, torch.tensor([5, 9, 7])).tolist() == pytest.approx([0.0, 0.9, 0.0])
    assert length_penalty_reward(~three, torch.tensor([5, 9, 7])).tolist() == [0.0, 0.0, 0.0]


def test_the_floor_keeps_small_differences_small():
    two = torch.ones(2, dtype=torch.bool)
    # Mean 100.5, deviation 0.5, so z = -1 and 1; with a floor of 5 it is -0.1 and 0.1.
    plain = length_penalty_reward(two, torch.tensor([100, 101]))
    floored = length_penalty_reward(two, torch.tensor([100, 101]), std_floor=5.0)
    assert plain.tolist() == pytest.approx([1 - 0.2 * sigmoid(-1), 1 - 0.2 * sigmoid(1)])
    assert floored.tolist() == pytest.approx([1 - 0.2 * sigmoid(-0.1), 1 - 0.2 * sigmoid(0.1)])


def test_the_advantages_that_follow_by_hand():
    reward = length_penalty_reward(CORRECT, LENGTHS)
    group, valid = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.bool)
    found = group_standardized_advantages(reward, group, valid, epsilon=0.0, ddof=0)
    torch.testing.assert_close(found, torch.tensor([0.713909, 0.574540, -1.723620, 0.435171]), atol=1e-5, rtol=0)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 5000)), min_size=1, max_size=12),
    st.floats(0, 0.99),
    st.randoms(use_true_random=False),
)
def test_a_correct_completion_earns_between_one_less_alpha_and_one(rows, alpha, random):
    correct, lengths = (torch.tensor(column) for column in zip(*rows, strict=True))
    reward = length_penalty_reward(correct, lengths, alpha=alpha)
    assert reward[~correct].eq(0).all()
    assert (reward[correct] >= 1 - alpha - 1e-6).all()
    assert (reward[correct] <= 1).all()
    # The longer of two correct ones never earns more, and the order of a group does not matter.
    order = lengths[correct].argsort()
    assert (reward[correct][order].diff() <= 0).all()
    mixed = torch.tensor(random.sample(range(len(rows)), len(rows)))
    torch.testing.assert_close(length_penalty_reward(correct[mixed], lengths[mixed], alpha=alpha), reward[mixed])


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 500), st.integers(0, 3)), min_size=1, max_size=12))
def test_it_is_correctness_plus_the_adaptive_length_penalty(rows):
    correct, lengths, group = (torch.tensor(column) for column in zip(*rows, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScorecraftWarning)
        reward, efficient = grpo_lambda_reward(correct, lengths, group, lam=1.0, alpha=0.3)
    assert efficient.all()
    torch.testing.assert_close(reward, correct.float() + adaptive_length(lengths, correct, group, 0.3))


def test_relative_length_by_hand():
    group = torch.tensor([4, 4, 4, 4, 2])
    z = relative_length(LENGTHS[[0, 1, 2, 3, 0]], torch.tensor([True, True, False, True, True]), group)
    root = math.sqrt(1.5)
    assert z.tolist() == pytest.approx([-root, 0.0, 0.0, root, 0.0])


# Which groups.


@pytest.mark.parametrize(
    ("lam", "chosen"),
    [(0.2, [1]), (0.4, [1, 3]), (0.41, [1, 3, 4]), (0.0, []), (1.0, [0, 1, 2, 3, 4]), (0.01, [1]), (0.6, [1, 3, 4])],
)
def test_the_most_accurate_share_is_chosen_and_the_first_of_equals(lam, chosen):
    assert efficiency_groups(ACCURACIES, lam=lam).nonzero()[:, 0].tolist() == chosen


def test_random_numbers_may_order_equals():
    for numbers, chosen in (([0.9, 0.8, 0.1, 0.3, 0.2], 3), ([0.9, 0.1, 0.1, 0.3, 0.2], 1)):
        tie_break = torch.tensor(numbers, dtype=torch.float64)
        assert efficiency_groups(ACCURACIES, tie_break=tie_break).nonzero()[:, 0].tolist() == [chosen]


def test_a_threshold_needs_no_other_group():
    found = efficiency_groups(ACCURACIES, selection="threshold", threshold=0.75)
    assert found.tolist() == [False, True, False, True, True]
    alone = efficiency_groups(ACCURACIES[:1], selection="threshold", threshold=0.25)
    assert alone.tolist() == [True]


def test_a_group_without_a_verdict_is_not_ranked():
    nan = float("nan")
    accuracy = torch.tensor([nan, 0.5, nan, 0.75, 0.0], dtype=torch.float64)
    # ceil(0.4 * 3) = 2 of the three that are known; all of them at most.
    assert efficiency_groups(accuracy, lam=0.4).nonzero()[:, 0].tolist() == [1, 3]
    assert efficiency_groups(accuracy, lam=1.0).nonzero()[:, 0].tolist() == [1, 3, 4]
    assert not efficiency_groups(accuracy[[0, 2]], lam=1.0).any()
    assert efficiency_groups(accuracy, selection="threshold", threshold=0.5).nonzero()[:, 0].tolist() == [1, 3]


@given(st.lists(st.integers(0, 8), min_size=2, max_size=20), st.floats(0, 1))
def test_no_group_left_out_is_more_accurate_than_one_chosen(right, lam):
    accuracy = torch.tensor(right, dtype=torch.float64) / 8
    chosen = efficiency_groups(accuracy, lam=lam)
    assert lam * len(right) - 1e-6 <= chosen.sum() < max(1.0, lam * len(right)) + 1
    if chosen.any() and not chosen.all():
        assert accuracy[chosen].min() >= accuracy[~chosen].max()


def test_accuracies_stand_in_the_order_of_the_batch():
    group = torch.tensor([9, 9, 2, 9, 2, 5])
    correct = torch.tensor([True, False, True, True, True, True])
    found = group_accuracies(correct, group, torch.tensor([True, True, True, True, True, False]))
    assert found.accuracy[:2].tolist() == pytest.approx([2 / 3, 1.0])
    assert found.accuracy[2].isnan()
    assert found.place.tolist() == [0, 0, 1, 0, 1, 2]
    assert found.first.tolist() == [0, 2, 5]
    assert found.counted.tolist() == [3, 2, 0]


# The whole batch.


def batch():
    """Return two groups of different sizes whose rows are mixed; group 7 is right twice of three, group 3 always."""
    group = torch.tensor([7, 3, 7, 3, 7])
    correct = torch.tensor([True, True, False, True, True])
    return correct, torch.tensor([10, 20, 70, 40, 30]), group


def test_only_the_accurate_group_is_pressed():
    reward, efficient = grpo_lambda_reward(*batch())
    assert efficient.tolist() == [False, True, False, True, False]
    # Lengths 20 and 40: z = -1 and 1.
    assert reward.tolist() == pytest.approx([1.0, 1 - 0.2 * sigmoid(-1), 0.0, 1 - 0.2 * sigmoid(1), 1.0])


def test_no_share_is_correctness_and_a_score_needs_to_be_told_apart():
    correct, lengths, group = batch()
    reward, efficient = grpo_lambda_reward(correct.float() * 0.9, lengths, group, lam=0.0, correct_threshold=0.9)
    assert reward.equal(correct.float())
    assert not efficient.any()


def test_an_accurate_group_keeps_nothing_for_its_wrong_completions():
    # Taking alpha off every completion of the group would pay the wrong one 1 - alpha sigmoid(z).
    reward, efficient = grpo_lambda_reward(CORRECT, LENGTHS, torch.zeros(4, dtype=torch.int64), lam=1.0)
    assert efficient.all()
    assert reward[2] == 0
    # A group that has none right is all zeros where it is chosen.
    none_right = torch.zeros(4, dtype=torch.bool)
    assert grpo_lambda_reward(none_right, LENGTHS, torch.tensor([0, 0, 1, 1]), lam=0.5)[0].tolist() == [0.0] * 4


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 99), st.integers(0, 3)), min_size=1, max_size=12),
    st.floats(0, 1),
    st.randoms(use_true_random=False),
)
def test_no_order_within_the_batch_matters_where_no_two_groups_are_equal(rows, lam, random):
    correct, lengths, group = (torch.tensor(column) for column in zip(*rows, strict=True))
    mixed = torch.tensor(random.sample(range(len(rows)), len(rows)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScorecraftWarning)
        accuracy = group_accuracies(correct, group).accuracy.tolist()
        reward, _ = grpo_lambda_reward(correct, lengths, group, lam=lam)
        again, _ = grpo_lambda_reward(correct[mixed], lengths[mixed], group[mixed], lam=lam)
    if len(set(accuracy)) == len(accuracy):
        torch.testing.assert_close(again, reward[mixed])


def test_an_empty_batch_gives_an_empty_reward():
    nothing = torch.tensor([], dtype=torch.int64)
    reward, efficient = grpo_lambda_reward(torch.tensor([], dtype=torch.bool), nothing, nothing)
    assert reward.shape == efficient.shape == (0,)


NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: efficiency_groups(ACCURACIES, lam=1.1), r"lam in \[0, 1\], got 1.1"),
        (lambda: efficiency_groups(ACCURACIES, lam=-0.1), r"lam in \[0, 1\]"),
        (lambda: efficiency_groups(ACCURACIES, lam=NAN), r"lam in \[0, 1\]"),
        (lambda: efficiency_groups(ACCURACIES, threshold=0.5), "and only then"),
        (lambda: efficiency_groups(ACCURACIES, selection="threshold"), "give a threshold"),
        (lambda: efficiency_groups(ACCURACIES, selection="threshold", threshold=1.5), r"threshold in \[0, 1\]"),
        (lambda: inspect.unwrap(efficiency_groups)(ACCURACIES, selection="top"), "unknown selection 'top'"),
        (lambda: length_penalty_reward(CORRECT, LENGTHS, alpha=1.0), r"alpha in \[0, 1\), got 1.0"),
        (lambda: length_penalty_reward(CORRECT, LENGTHS, alpha=-0.1), r"alpha in \[0, 1\)"),
        (lambda: length_penalty_reward(CORRECT, LENGTHS, std_floor=-1.0), "std_floor of at least 0"),
        (lambda: length_penalty_reward(CORRECT, LENGTHS - 100), "rollout 0 has length 0"),
        (lambda: length_penalty_reward(CORRECT, LENGTHS.float() * NAN), "rollout 0 has length nan"),
        (lambda: grpo_lambda_reward(CORRECT.float(), LENGTHS, LENGTHS), "correct_threshold=1.0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_a_single_group_and_groups_of_one_are_warned_of():
    with pytest.warns(ScorecraftWarning, match="the batch has one group"):
        assert efficiency_groups(ACCURACIES[:1]).tolist() == [True]
    with pytest.warns(ScorecraftWarning, match="single completion"):
        grpo_lambda_reward(CORRECT, LENGTHS, torch.arange(4))


# The part.

TEXTS = ("= 1", "a long way to = 1\n= 1", "= 2", "= 2", "sleep", "= 2")


@pytest.fixture
def rollouts(make_rollouts, sum_task):
    """Return two right answers of unequal length, three of another prompt that are right twice, and a timeout."""
    problems = [sum_task.problem("train", 0), sum_task.problem("train", 1)]
    mask = [[1] * 2, [1] * 6, [1, 0, 1], [1] * 5, [1] * 9, [1] * 4]
    return make_rollouts(mask, [0, 0, 0, 1, 1, 1], texts=TEXTS, problems=problems)


def test_the_part_by_hand(rollouts, context):
    scores = SwitchedLengthPenalty()(rollouts, context)
    # Prompt 0 is right twice of three, prompt 1 whenever there is a verdict, so it is pressed: lengths 5 and 4.
    expected = [1.0, 1.0, 0.0, 1 - 0.2 * sigmoid(1), NAN, 1 - 0.2 * sigmoid(-1)]
    assert scores.values.tolist() == pytest.approx(expected, nan_ok=True)
    assert scores.outcomes[4] is Outcome.TIMEOUT
    assert scores.metrics["group_accuracy"].tolist() == pytest.approx([2 / 3] * 3 + [1.0] * 3)
    assert scores.metrics["efficiency_group"].tolist() == [0, 0, 0, 1, 1, 1]
    penalty = [0.0, 0.0, 0.0, 0.2 * sigmoid(1), NAN, 0.2 * sigmoid(-1)]
    assert scores.metrics["length_penalty"].tolist() == pytest.approx(penalty, nan_ok=True)
    at_threshold = SwitchedLengthPenalty(selection="threshold", threshold=0.6)(rollouts, context)
    assert at_threshold.metrics["efficiency_group"].tolist() == [1] * 6
    assert SwitchedLengthPenalty(lam=0.0)(rollouts, context).values[:4].tolist() == [1, 1, 0, 1]


def test_workers_choose_together_what_one_would_choose(rollouts, sum_task):
    part = SwitchedLengthPenalty(ties="random")

    def context(**more):
        return Context(sum_task, torch.Generator().manual_seed(0), **more)

    def half(rank):
        rows = rollouts.select(rollouts.group == rank)
        return replace(
            rows, group=rows.group - rank, problems=rollouts.problems[rank : rank + 1],
            prompt_tokens=rollouts.prompt_tokens[rank : rank + 1],
            prompt_lengths=rollouts.prompt_lengths[rank : rank + 1],
        )  # fmt: skip

    together = part(rollouts, context())
    accuracy = torch.tensor([2 / 3, 1.0], dtype=torch.float64)
    drawn = torch.rand(2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for rank in (0, 1):
        tables = iter((accuracy, drawn))
        own = slice(rank, rank + 1)

        def gather(values, tables=tables, own=own):
            table = next(tables)
            torch.testing.assert_close(values, table[own])
            return table, own

        # Both workers call their only prompt 0.
        alone = part(half(rank), context(rank=rank, world_size=2, gather=gather))
        rows = rollouts.group == rank
        torch.testing.assert_close(alone.values, together.values[rows], equal_nan=True)


def test_equal_groups_are_ordered_by_the_run_s_own_random_numbers(make_rollouts, sum_task):
    problems = [sum_task.problem("train", 0)] * 8
    rollouts = make_rollouts([[1] * 3] * 16, [k // 2 for k in range(16)], texts=["= 1"] * 16, problems=problems)

    def chosen(seed, ties):
        part = SwitchedLengthPenalty(ties=ties)
        scores = part(rollouts, Context(sum_task, torch.Generator().manual_seed(seed)))
        return tuple(scores.metrics["efficiency_group"].tolist())

    assert {chosen(seed, "first") for seed in range(20)} == {(1.0,) * 4 + (0.0,) * 12}
    assert len({chosen(seed, "random") for seed in range(20)}) > 5
    assert chosen(3, "random") == chosen(3, "random")


def test_no_rollouts_give_no_scores(make_rollouts, context):
    assert len(SwitchedLengthPenalty(ties="random")(make_rollouts([], []), context).values) == 0


def test_options_that_do_not_go_together_are_refused():
    with pytest.raises(ValidationError, match="belong together"):
        SwitchedLengthPenalty(threshold=0.5)
    with pytest.raises(ValidationError, match="belong together"):
        SwitchedLengthPenalty(selection="threshold")
    with pytest.raises(ValidationError, match="less than 1"):
        SwitchedLengthPenalty(alpha=1.0)


def test_what_the_recipe_is_warned_of():
    def found(**values):
        return [(finding.kind, finding.where[0]) for finding in lint(Recipe(reward="grpo-lambda", **values))]

    single = {"single-turn": {"group_size": 1}}
    assert found() == [("lost", "reward 'grpo-lambda'")]
    assert found(advantage="group-mean") == []
    assert ("missing", "reward 'grpo-lambda'") in found(sampling=single, advantage="group-mean")
    assert lint(Recipe(reward={"grpo-lambda": {"alpha": 0.0}})) == []


def test_effect_in_a_group_that_is_all_right_alpha_does_not_matter():
    three, lengths = torch.ones(3, dtype=torch.bool), torch.tensor([100, 200, 300])
    group = torch.zeros(3, dtype=torch.int64)
    advantages = [
        group_standardized_advantages(length_penalty_reward(three, lengths, alpha=a), group, three, epsilon=0.0)
        for a in (0.01, 0.9)
    ]
    torch.testing.assert_close(advantages[0], torch.tensor([1.0, 0.0, -1.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(advantages[0], advantages[1], atol=1e-4, rtol=0)
