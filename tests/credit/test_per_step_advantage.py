"""Advantages of steps and first pits by hand, bisection against the full search, and the part."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.context import Context
from scorecraft.credit.parts.per_step_advantage import PerStepAdvantage
from scorecraft.credit.per_step_advantage import (
    first_pit,
    first_pit_by_bisection,
    spurious_steps,
    step_advantages,
    uninformative,
)
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome
from scorecraft.scores import RewardTable, Scores


def table(*rows, prompt=1.0):
    width = max(map(len, rows))
    values = torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (width - len(row)) for row in rows])
    return values, mask, torch.full((len(rows),), float(prompt))


# Best of 5 from counts 6, 6, 2, 0, 0 of 10.
LOST = table([1.0, 1.0, 7 / 9, 0.0, 0.0])


def test_by_hand():
    found = step_advantages(*LOST)
    torch.testing.assert_close(found, torch.tensor([[0, 0, -2 / 9, -7 / 9, 0]]))
    # The outcome 0 less the prompt's value 1.
    assert found.sum().item() == pytest.approx(-1)
    assert first_pit(*LOST).tolist() == [4]
    assert first_pit(*LOST, "drop").tolist() == [4]
    assert first_pit(*LOST, "threshold", 0.8).tolist() == [3]
    assert first_pit(*table([0.6, 0.5]), "threshold", 0.5).tolist() == [2]
    assert first_pit(*table([0.6, 0.5]), "threshold", 0.2).tolist() == [0]


def test_rules_differ_where_success_falls_in_two_strides():
    # Advantages 0, -.6, -.3, -.1: the largest drop is at 2, the lowest value at 4, and 0.3 is reached at 3.
    case = table([1.0, 0.4, 0.1, 0.0])
    assert [int(first_pit(*case, rule)) for rule in ("argmin", "drop")] == [4, 2]
    assert int(first_pit(*case, "threshold", 0.3)) == 3


def test_nothing_to_tell_apart():
    assert uninformative(*table([0.0, 0.0], [0.0, 0.1], prompt=0)).tolist() == [True, False]
    # The prompt's own value is above: the first step was the mistake.
    flat = table([0.0, 0.0], prompt=0.4)
    assert uninformative(*flat).tolist() == [False]
    assert first_pit(*flat).tolist() == [1]
    assert first_pit(*table([0.0, 0.0], prompt=0)).tolist() == [1]
    assert first_pit(*table([0.3])).tolist() == [1]


def test_steps_of_a_right_answer_that_did_nothing():
    # Advantages .3, 0, -.2, .6 with V = .3.
    case = table([0.6, 0.6, 0.4, 1.0], prompt=0.3)
    assert spurious_steps(*case).tolist() == [[False, True, True, False]]
    assert spurious_steps(*case, 0.4).tolist() == [[True, True, True, False]]


def test_a_gap_is_passed_over_and_empty_tables_give_nothing():
    values, mask = torch.tensor([[0.5, 9.0, 0.2]]), torch.tensor([[True, False, True]])
    torch.testing.assert_close(step_advantages(values, mask, torch.ones(1)), torch.tensor([[-0.5, 0.0, -0.3]]))
    assert first_pit(values, mask, torch.ones(1)).tolist() == [3]
    for shape in ((0, 0), (0, 3), (2, 0)):
        empty = torch.zeros(shape), torch.zeros(shape, dtype=torch.bool), torch.zeros(shape[0])
        assert step_advantages(*empty).shape == shape
        assert first_pit(*empty).tolist() == [0] * shape[0]
        assert uninformative(*empty).tolist() == [True] * shape[0]


rows = st.lists(st.floats(0, 1, width=16), min_size=1, max_size=7)


@given(rows, st.floats(0, 1, width=16), st.integers(1, 3), st.integers(0, 1))
def test_advantages_add_up_and_padding_changes_nothing(row, prompt, padding, other):
    values, mask, prompts = table(row, [0.5] * other, prompt=prompt)
    found = step_advantages(values, mask, prompts)
    assert found[0].sum().item() == pytest.approx(row[-1] - prompt, abs=1e-5)
    wide = torch.nn.functional.pad(values, (0, padding), value=math.nan), torch.nn.functional.pad(mask, (0, padding))
    assert step_advantages(*wide, prompts)[:, : values.shape[1]].equal(found)
    assert step_advantages(*wide, prompts)[:, values.shape[1] :].eq(0).all()
    for rule, threshold in (("argmin", None), ("drop", None), ("threshold", 0.5)):
        pit = first_pit(values, mask, prompts, rule, threshold)
        assert first_pit(*wide, prompts, rule, threshold).equal(pit)
    assert first_pit(values, mask, prompts)[0].item() == row.index(min(row)) + 1


@given(rows)
def test_repeating_a_step_earns_nothing(row):
    once, twice = table(row, prompt=0.5), table([value for value in row for _ in range(2)], prompt=0.5)
    assert step_advantages(*once).sum().item() == pytest.approx(step_advantages(*twice).sum().item(), abs=1e-5)
    assert step_advantages(*twice)[0, 1::2].eq(0).all()


@given(rows)
def test_bisection_agrees_where_values_never_rise_and_asks_for_few(row):
    falling = sorted(row, reverse=True)
    pit, seen = first_pit_by_bisection(lambda step: falling[step - 1], len(falling))
    assert pit == falling.index(min(falling)) + 1
    assert len(seen) <= math.ceil(math.log2(len(falling))) + 1
    assert all(seen[step] == falling[step - 1] for step in seen)
    # Whatever the values, the step before the one found is above it, or there is none.
    pit, seen = first_pit_by_bisection(lambda step: row[step - 1], len(row))
    assert pit == 1 or seen[pit - 1] > seen[pit]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: inspect.unwrap(first_pit)(*LOST, "lowest"), "unknown rule 'lowest'"),
        (lambda: first_pit(*LOST, "threshold"), "threshold None"),
        (lambda: first_pit(*LOST, "argmin", 0.5), "threshold 0.5"),
        (lambda: step_advantages(*table([math.nan])), "rollout 0 is not finite"),
        (lambda: step_advantages(*table([0.5], prompt=math.inf)), "rollout 0 is not finite"),
        (lambda: spurious_steps(*LOST, -0.1), "tolerance"),
        (lambda: first_pit_by_bisection(lambda _: 0.0, 0), "at least 1 step"),
        (lambda: first_pit_by_bisection(lambda _: math.nan, 2), "value of step 2"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


CONTEXT = Context(task=None, generator=torch.Generator())


def rewards_of(values, mask, total, valid=None, **others):
    process = Scores(values.sum(1), (Outcome.SCORED,) * len(values), values, mask)
    known = torch.ones(len(values), dtype=torch.bool) if valid is None else torch.tensor(valid)
    parts = {"process": process, **{name: Scores.of(found) for name, found in others.items()}}
    return RewardTable(torch.tensor(total), known, parts)


def test_the_part_gives_each_step_its_advantage(make_rollouts):
    rollouts = make_rollouts([[1, 0, 1, 1, 1], [1, 1, 1]], [0, 0], steps=[[0, 0, -1, 1, -1], [0, 1, 2]])
    values, mask, _ = table([0.75, 0.25], [0.5, 1.0, 1.0])
    # The group's mean outcome is 1/2. A forced token gets nothing; one between steps gets the next one's.
    found = PerStepAdvantage()(rollouts, rewards_of(values, mask, [0.0, 1.0]), CONTEXT)
    assert found.tolist() == [[0.25, 0, -0.5, -0.5, 0], [0, 0.5, 0, 0, 0]]
    found = PerStepAdvantage(baseline="first-step")(rollouts, rewards_of(values, mask, [0.0, 1.0]), CONTEXT)
    assert found.tolist() == [[0, 0, -0.5, -0.5, 0], [0, 0.5, 0, 0, 0]]


def test_whose_outcomes_count_for_the_prompt(make_rollouts):
    rollouts = make_rollouts([[1], [1], [1], [1]], [0, 0, 1, 1], steps=[[0]] * 4)
    values, mask, _ = table([0.5], [0.5], [0.5], [0.5])
    # Prompt 0: the invalid rollout is left out, so V = 1. Prompt 1: V = 1/2.
    held = rewards_of(values, mask, [1.0, 0.0, 1.0, 0.0], [True, False, True, True])
    assert PerStepAdvantage()(rollouts, held, CONTEXT).flatten().tolist() == [-0.5, 0, 0, 0]
    # A named outcome wins over the total; where a prompt has none its first step is its value.
    held = rewards_of(values, mask, [1.0, 1.0, 1.0, 1.0], correct=[0.0, None, None, None])
    assert PerStepAdvantage(outcome="correct")(rollouts, held, CONTEXT).flatten().tolist() == [0.5, 0.5, 0, 0]
    with pytest.raises(ScorecraftError, match="did you mean 'correct'"):
        PerStepAdvantage(outcome="corect")(rollouts, held, CONTEXT)
    with pytest.raises(ScorecraftError, match="credit 'per-step-advantage' needs one reward with step rewards"):
        PerStepAdvantage()(rollouts, RewardTable(held.total, held.valid, {"correct": held.parts["correct"]}), CONTEXT)


def test_the_part_takes_rollouts_without_steps(make_rollouts):
    rollouts = make_rollouts([[1, 1]], [0], steps=[[-1, -1]])
    held = rewards_of(torch.zeros(1, 0), torch.zeros(1, 0, dtype=torch.bool), [1.0])
    for baseline in ("group-mean", "first-step"):
        assert PerStepAdvantage(baseline=baseline)(rollouts, held, CONTEXT).tolist() == [[0, 0]]


@given(st.permutations(range(4)))
def test_the_order_of_rollouts_does_not_matter(make_rollouts, order):
    order = list(order)
    values, mask, _ = table([0.5, 0.1], [0.2], [0.9, 0.8], [0.3])
    total, group, steps = [1.0, 0.0, 0.0, 1.0], [0, 0, 0, 1], [[0, 1]] * 4
    found = PerStepAdvantage()(
        make_rollouts([[1, 1]] * 4, group, steps=steps), rewards_of(values, mask, total), CONTEXT
    )
    mixed = make_rollouts([[1, 1]] * 4, [group[i] for i in order], steps=steps)
    moved = rewards_of(values[order], mask[order], [total[i] for i in order])
    assert PerStepAdvantage()(mixed, moved, CONTEXT).equal(found[order])
