"""Rewards for being short, and the score of accuracy and length, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome
from scorecraft.recipes.lint import lint
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.length_baselines import aes, efficient_reasoner_penalty, o1_pruner_penalty
from scorecraft.rewards.parts.length_baselines import EfficientReasoner, O1Pruner


def test_o1_pruner_by_hand():
    # Group 0 has mean 40: -(20 - 40) / 20 = 1, -(100 - 40) / 100 = -0.6, 0 (40 of 40), and 10 is cut at 1.
    # Group 1 is alone with its mean.
    lengths, group = torch.tensor([20, 100, 30, 10, 7]), torch.tensor([0, 0, 0, 0, 1])
    # -(30 - 40) / 30 = 1/3.
    assert o1_pruner_penalty(lengths, group).tolist() == pytest.approx([1.0, -0.6, 1 / 3, 1.0, 0.0])


def test_completions_of_no_length():
    found = o1_pruner_penalty(torch.tensor([0, 4, 0, 0]), torch.tensor([0, 0, 1, 1]))
    assert found.tolist() == pytest.approx([1.0, -0.5, 0.0, 0.0])
    assert o1_pruner_penalty(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)).shape == (0,)
    with pytest.raises(ScorecraftError, match="lengths of at least 0, got -1"):
        o1_pruner_penalty(torch.tensor([-1]), torch.tensor([0]))


def test_efficient_reasoner_by_hand():
    # Correct lengths 2 and 6 of group 0: mean 4, population deviation 2, z = -1 and 1.
    found = efficient_reasoner_penalty(
        torch.tensor([2, 6, 50, 9, 3]),
        torch.tensor([True, True, False, True, False]),
        torch.tensor([0, 0, 0, 1, 1]),
    )
    expected = 2 / (1 + math.exp(-1)) - 1
    assert found.tolist() == pytest.approx([expected, -expected, 0.0, 0.0, 0.0], abs=1e-6)


rows = st.lists(st.tuples(st.integers(0, 99), st.booleans(), st.integers(0, 2)), min_size=1, max_size=9)


@given(rows, st.randoms())
def test_both_are_bounded_fall_with_length_and_do_not_depend_on_the_order(table, random):
    length, correct, group = (torch.tensor(column) for column in zip(*table, strict=True))
    order = list(range(len(table)))
    random.shuffle(order)
    pruned, reasoned = o1_pruner_penalty(length, group), efficient_reasoner_penalty(length, correct, group)
    assert o1_pruner_penalty(length[order], group[order]).equal(pruned[order])
    torch.testing.assert_close(efficient_reasoner_penalty(length[order], correct[order], group[order]), reasoned[order])
    for values, who in ((pruned, torch.ones_like(correct)), (reasoned, correct)):
        assert bool((values.abs() <= 1).all())
        for first in range(len(table)):
            for second in range(len(table)):
                if group[first] == group[second] and who[first] and who[second] and length[first] < length[second]:
                    assert values[first] >= values[second] - 1e-6
    assert reasoned[~correct].eq(0).all()


def test_accuracy_counts_five_times_as_much_as_length():
    # A quarter shorter and a tenth more accurate: 0.25 + 5 * 0.1.
    assert aes(1000.0, 750.0, 0.5, 0.55) == pytest.approx(0.75)
    assert aes(1000.0, 750.0, 0.5, 0.55, gamma=1.0) == pytest.approx(0.35)
    assert aes(100.0, 200.0, 0.5, 0.5) == pytest.approx(-1.0)
    assert aes(100.0, 100.0, 0.5, 0.5) == 0.0


@pytest.mark.parametrize(
    "numbers", [(0.0, 1.0, 0.5, 0.5), (1.0, 1.0, 0.0, 0.5), (math.nan, 1.0, 0.5, 0.5), (1.0, math.inf, 1.0, 1.0)]
)
def test_a_reference_without_length_or_accuracy_is_refused(numbers):
    with pytest.raises(ScorecraftError, match="aes: expected"):
        aes(*numbers)


def test_the_parts_count_sampled_tokens_and_know_no_verdict_where_there_is_none(make_rollouts, sum_task, context):
    problems = [sum_task.problem("train", 1)]
    texts = ["1+1=2\n= 2", "= 2", "= 3", "sleep"]
    rollouts = make_rollouts([[1, 1, 1, 0, 1], [1, 0, 1], [1] * 6, [1] * 3], texts=texts, problems=problems)
    # Lengths 4, 2, 6, 3 with mean 3.75.
    pruned = O1Pruner()
    expected = [0.25 / -4, 0.875, -2.25 / 6, 0.25]
    assert pruned(rollouts, context).values.tolist() == pytest.approx(expected)
    reasoned = EfficientReasoner()
    scores = reasoned(rollouts, context)
    gain = 2 / (1 + math.exp(-1)) - 1
    assert scores.values[:3].tolist() == pytest.approx([-gain, gain, 0.0], abs=1e-6)
    assert scores.outcomes[3] is Outcome.TIMEOUT
    assert pruned.scope == reasoned.scope == "group"


@pytest.mark.parametrize("name", ["o1-pruner", "efficient-reasoner"])
def test_a_group_of_one_has_no_mean_to_be_shorter_than(name):
    reward = {"correct": {}, name: {"weight": 0.2}}
    alone = Recipe(reward=reward, sampling={"single-turn": {"group_size": 1}})
    assert any(f"reward '{name}'" in str(found) and "group_size" in str(found) for found in lint(alone))
    assert not any(f"reward '{name}'" in str(found) for found in lint(Recipe(reward=reward, advantage="group-mean")))
