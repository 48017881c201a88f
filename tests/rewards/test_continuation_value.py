"""The value of a state is how often the policy reaches the right answer from there: with the built-in policy."""

from __future__ import annotations

import pytest
import torch

from scorecraft.context import Context
from scorecraft.credit.parts.stepwise_reward import StepwiseReward
from scorecraft.errors import ScorecraftError
from scorecraft.lm.policy import resolve_policy
from scorecraft.recipes.ready import load_recipe
from scorecraft.rewards.parts.continuation_value import ContinuationValue, step_ends
from scorecraft.scores import RewardTable


@pytest.fixture(scope="module")
def sampled():
    recipe = load_recipe("default")
    policy = resolve_policy("tunnel-tiny", {}, recipe.task)
    context = Context(recipe.task, torch.Generator().manual_seed(0), policy=policy)
    return recipe.sampling(policy, recipe.task.problems("test", 0, 6), context), context


def test_the_ends_of_steps_by_hand():
    steps = torch.tensor([[0, 0, 1, -1], [-1, -1, -1, -1], [-1, 0, 2, 2]])
    assert step_ends(steps) == [[2, 3], [], [2, 4]]


def test_a_state_after_wrong_work_is_worth_less(sampled):
    rollouts, context = sampled
    scores = ContinuationValue(samples=4)(rollouts, context)
    assert scores.steps is not None
    assert scores.step_mask is not None
    known = scores.steps[scores.step_mask]
    # Of four continuations each, so quarters.
    assert (known * 4).round().div(4).equal(known)
    correct = torch.tensor([context.task.check(p, t).correct for p, t in
                            zip(rollouts.problem_of, rollouts.texts, strict=True)])  # fmt: skip
    last = scores.values
    assert bool(correct.any())
    assert not bool(correct.all())
    assert float(last[correct].nanmean()) > float(last[~correct].nanmean()) + 0.3


def test_the_last_step_may_be_valued_by_the_answer_that_followed(sampled):
    rollouts, context = sampled
    scores = ContinuationValue(samples=1, last=False)(rollouts, context)
    for row, (problem, text) in enumerate(zip(rollouts.problem_of, rollouts.texts, strict=True)):
        if scores.step_mask[row].any():
            assert float(scores.values[row]) == float(context.task.check(problem, text).correct)


def test_without_a_step_there_is_no_value(sampled):
    rollouts, context = sampled
    scores = ContinuationValue(samples=1)(rollouts.select(torch.arange(2)), context)
    assert len(scores.values) == 2
    import dataclasses

    nowhere = dataclasses.replace(rollouts, steps=torch.full_like(rollouts.steps, -1))
    empty = ContinuationValue(samples=1)(nowhere, context)
    assert all(str(outcome) == "abstained" for outcome in empty.outcomes)


def test_values_become_credit(sampled):
    rollouts, context = sampled
    scores = ContinuationValue(samples=2)(rollouts, context)
    total = torch.ones(len(rollouts))
    table = RewardTable(total, torch.ones(len(rollouts), dtype=torch.bool), {"value": scores})
    returns = StepwiseReward()(rollouts, table, context)
    assert returns[~rollouts.mask].eq(0).all()
    assert bool((returns != 0).any())


def test_without_a_policy_it_says_so(sampled):
    rollouts, context = sampled
    with pytest.raises(ScorecraftError, match="works in training"):
        ContinuationValue()(rollouts, Context(context.task, context.generator))
