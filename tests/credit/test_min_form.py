"""Min-form credit: values by hand, its limits, and what it does in a recipe."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.context import Context
from scorecraft.credit.min_form import (
    min_form_rewards,
    min_form_weights,
    prm_logits_to_reward,
    scatter_step_rewards,
    step_returns,
    token_returns_of_steps,
)
from scorecraft.credit.parts.min_form import MinForm
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.problem import Outcome
from scorecraft.recipes.lint import lint
from scorecraft.recipes.ready import load_recipe
from scorecraft.scores import RewardTable, Scores


def table(*rows):
    width = max(map(len, rows))
    rewards = torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (width - len(row)) for row in rows])
    return rewards, mask


def close(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, torch.tensor(expected), atol=tolerance, rtol=0)


ONE = table([0.8, -0.4, 0.9])


def test_one_bad_step_among_good_ones():
    # exp(-r/0.1) relative to the worst step: e^-12, 1, e^-13; so r* = 0.8 e^-12, -0.4 (1 - 8e-6), 0.9 e^-13.
    close(min_form_rewards(*ONE), [[0.000005, -0.399997, 0.000002]])
    close(step_returns(*ONE), [[-0.399990, -0.399995, 0.000002]])
    close(step_returns(*ONE, "sum"), [[1.3, 0.5, 0.9]])
    close(step_returns(*ONE, "strict-min"), [[-0.4, -0.4, 0.9]])


def test_at_temperature_1():
    # Weights e^-.8, e^.4, e^-.9 over their sum 2.347723: .191389, .635435, .173177.
    weights = [math.exp(-0.8), math.exp(0.4), math.exp(-0.9)]
    close(min_form_weights(*ONE, 1.0), [[weight / sum(weights) for weight in weights]])
    close(min_form_rewards(*ONE, 1.0), [[0.153111, -0.254174, 0.155859]])
    close(step_returns(*ONE, temperature=1.0), [[0.054796, -0.098315, 0.155859]])


def test_ties_share_and_a_single_step_keeps_its_reward():
    rewards, mask = table([-0.2, 0.7, -0.2], [0.5, 0.5], [0.6])
    found = min_form_rewards(rewards, mask)
    close(found[0], [-0.099994, 0.000043, -0.099994])
    close(found[1], [0.25, 0.25, 0.0])
    close(found[2], [0.6, 0.0, 0.0])
    assert step_returns(rewards, mask)[0, 0].item() == pytest.approx(-0.199944, abs=1e-5)


def test_a_discount_counts_steps():
    close(step_returns(*table([1.0, 0.0, 1.0]), "sum", gamma=0.5), [[1.25, 0.5, 1.0]])


def test_logits_become_rewards_between_minus_one_and_one():
    # softmax(0, ln 3) = (1/4, 3/4): 1/2.
    logits = torch.tensor([[[0.0, math.log(3.0)], [0.0, 0.0]], [[5.0, 5.0], [float("nan"), 1.0]]])
    close(prm_logits_to_reward(logits, torch.tensor([[True, True], [True, False]])), [[0.5, 0.0], [0.0, 0.0]])
    with pytest.raises(ScorecraftError, match="not finite"):
        prm_logits_to_reward(logits, torch.ones(2, 2, dtype=torch.bool))


rows = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=6)


@given(rows)
def test_towards_temperature_0_it_is_the_minimum_and_towards_infinity_the_mean(row):
    rewards, mask = table(row)
    assert min_form_rewards(rewards, mask, 1e-4).sum().item() == pytest.approx(min(row), abs=1e-3)
    assert min_form_rewards(rewards, mask, 1e5).sum().item() == pytest.approx(sum(row) / len(row), abs=1e-3)


@given(rows, st.integers(1, 4))
def test_padding_changes_nothing_and_returns_stay_in_range(row, padding):
    rewards, mask = table(row)
    longer = torch.nn.functional.pad(rewards, (0, padding), value=9.0)
    wider = torch.nn.functional.pad(mask, (0, padding))
    for form in ("softmin", "sum", "strict-min"):
        returns = step_returns(rewards, mask, form)
        torch.testing.assert_close(step_returns(longer, wider, form)[:, : len(row)], returns)
        assert step_returns(longer, wider, form)[:, len(row) :].eq(0).all()
        if form != "sum":
            assert returns.abs().max() <= max(map(abs, row)) + 1e-5


def test_a_sum_grows_with_steps_and_a_minimum_does_not():
    few, many = table([0.5, 0.5]), table([0.5] * 20)
    assert step_returns(*many, "sum")[0, 0] / step_returns(*few, "sum")[0, 0] == pytest.approx(10)
    assert step_returns(*many)[0, 0].item() == pytest.approx(step_returns(*few)[0, 0].item())


def test_a_row_without_a_step_earns_nothing():
    rewards, mask = torch.tensor([[0.5, 0.2], [0.5, 0.2]]), torch.tensor([[True, True], [False, False]])
    for form in ("softmin", "sum", "strict-min"):
        found = step_returns(rewards, mask, form)
        assert found[1].tolist() == [0.0, 0.0]
        assert torch.isfinite(found).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: min_form_weights(*ONE, 0.0), "strict-min"),
        (lambda: min_form_weights(*ONE, float("nan")), "positive temperature"),
        (lambda: inspect.unwrap(step_returns)(*ONE, "mean"), "unknown form 'mean'"),
        (lambda: step_returns(*ONE, gamma=0.0), "gamma in"),
        (lambda: step_returns(*table([float("nan")])), "not finite"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_rewards_outside_the_range_are_warned_of():
    with pytest.warns(ScorecraftWarning, match="outside"):
        min_form_weights(*table([1.5, 0.0]))


def test_step_rewards_stand_on_the_last_token_of_each_step():
    rewards, mask = table([0.5, -0.2], [0.7])
    ends = torch.tensor([[1, 3], [2, 0]])
    close(scatter_step_rewards(rewards, ends, mask, 4), [[0, 0.5, 0, -0.2], [0, 0, 0.7, 0]])
    with pytest.raises(ScorecraftError, match=r"row 0: step ends .* outside the 3"):
        scatter_step_rewards(rewards, ends, mask, 3)
    with pytest.raises(ScorecraftError, match=r"row 0: step ends .* do not increase"):
        scatter_step_rewards(rewards, torch.tensor([[3, 1], [2, 0]]), mask, 4)


def test_tokens_get_the_return_of_their_step_or_of_the_next_one():
    returns, mask = torch.tensor([[1.0, 2.0]]), torch.tensor([[True, True]])
    steps = torch.tensor([[0, 0, -1, 1, -1]])
    sampled = torch.tensor([[True, True, True, True, True]])
    assert token_returns_of_steps(returns, mask, steps, sampled).tolist() == [[1.0, 1.0, 2.0, 2.0, 0.0]]
    # A step that has no reward hands on to the next; a token the policy did not sample gets none.
    gap = torch.tensor([[False, True]])
    sampled[0, 1] = False
    assert token_returns_of_steps(returns, gap, steps, sampled).tolist() == [[2.0, 0.0, 2.0, 2.0, 0.0]]


def rewards_of(steps, mask, **outcomes):
    process = Scores(steps.sum(1), (Outcome.SCORED,) * len(steps), steps, mask)
    parts = {"process": process, **{name: Scores.of(values) for name, values in outcomes.items()}}
    return RewardTable(process.values, torch.ones(len(steps), dtype=torch.bool), parts)


def test_the_part_reads_steps_and_adds_the_outcome(make_rollouts):
    rollouts = make_rollouts([[1, 1, 1, 1]], [0], steps=[[0, 0, 1, 1]])
    context = Context(task=None, generator=torch.Generator())
    held = rewards_of(*table([0.5, -0.5]), correct=[1.0])
    found = MinForm(form="strict-min")(rollouts, held, context)
    assert found.tolist() == [[-0.5, -0.5, -0.5, -0.5]]
    found = MinForm(form="sum", outcome="correct", outcome_weight=2.0)(rollouts, held, context)
    assert found.tolist() == [[2.0, 2.0, 1.5, 1.5]]
    with pytest.raises(ScorecraftError, match="did you mean 'correct'"):
        MinForm(outcome="corect")(rollouts, held, context)
    with pytest.raises(ScorecraftError, match="one reward with step rewards, got none"):
        MinForm()(rollouts, RewardTable(held.total, held.valid, {"correct": Scores.of([1.0])}), context)


def test_it_cures_the_recipe_that_is_hacked():
    cured = load_recipe("hacked", ["credit=min-form", "advantage=leave-one-out-tokens"])
    assert lint(cured) == []
    summed = load_recipe("hacked", ["credit={min-form: {form: sum}}", "advantage=leave-one-out-tokens"])
    assert [finding.kind for finding in lint(summed)] == ["danger"]
    (finding,) = lint(load_recipe("default", ["credit=min-form", "advantage=none"]))
    assert (finding.kind, finding.where) == ("missing", ("credit 'min-form'",))


def test_the_published_minimum_counts_the_zeros_between_steps():
    rewards, mask = torch.tensor([[0.8, -0.4, 0.9]]), torch.ones(1, 3, dtype=torch.bool)
    torch.testing.assert_close(step_returns(rewards, mask, "strict-min"), torch.tensor([[-0.4, -0.4, 0.9]]))
    published = step_returns(rewards, mask, "strict-min", compat="pure")
    torch.testing.assert_close(published, torch.tensor([[-0.4, -0.4, 0.0]]))
    with pytest.raises(ScorecraftError, match="unknown compat"):
        inspect.unwrap(step_returns)(rewards, mask, compat="openrlhf")
