"""Stepwise rewards: values by hand, what padding earns, and where rewards stand."""

from __future__ import annotations

import inspect
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.context import Context
from scorecraft.credit.parts.stepwise_reward import StepwiseReward
from scorecraft.credit.stepwise_reward import (
    accuracy_gains,
    overthinking_report,
    padding_gain,
    place_step_rewards,
    stepwise_rewards,
    stepwise_token_returns,
    vsrm_outcome_reward,
    vsrm_token_rewards,
)
from scorecraft.errors import ScorecraftError
from scorecraft.parts import find
from scorecraft.problem import Outcome
from scorecraft.recipes.lint import lint
from scorecraft.recipes.ready import load_recipe
from scorecraft.scores import RewardTable, Scores


def row(*values):
    return torch.tensor(values, dtype=torch.float32)


def table(*rows):
    width = max(map(len, rows))
    acc = torch.tensor([[*each, *[0.0] * (width - len(each))] for each in rows])
    mask = torch.tensor([[True] * len(each) + [False] * (width - len(each)) for each in rows])
    return acc, mask


def close(found, expected, tolerance=1e-6):
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32), atol=tolerance, rtol=0)


def test_values_by_hand():
    # d = 0, 0, .4, -.2: .7^2 * .4, .7 * .4.
    close(stepwise_rewards(row(0.2, 0.2, 0.2, 0.6, 0.4)), [0.196, 0.28, 0.4, -0.2])
    # Five steps away is too far.
    close(stepwise_rewards(row(0, 0, 0, 0, 0, 0, 1)), [0, 0.2401, 0.343, 0.49, 0.7, 1])
    close(stepwise_rewards(row(1, 1, 1, 1, 1, 1, 1)), [0.0] * 6)
    # .7 * -.2
    close(stepwise_rewards(row(0.4, 1, 1, 0.8)), [0.6, -0.14, -0.2])
    close(stepwise_rewards(row(0.2, 0.2, 0.6), gamma=1.0), [0.4, 0.4])
    close(stepwise_rewards(row(0, 0, 0, 1), max_lookahead=1), [0, 0.7, 1])
    assert stepwise_rewards(row(0.5)).shape == (0,)


def test_padding_before_a_gain_is_paid_by_looking_ahead():
    # 1 + .7 + .49 + .343 + .2401
    assert stepwise_rewards(row(0, 1)).sum().item() == pytest.approx(1)
    assert stepwise_rewards(row(0, 0, 0, 0, 0, 1)).sum().item() == pytest.approx(2.7731)
    assert stepwise_rewards(row(0, 0, 0, 0, 0, 1), max_lookahead=0).sum().item() == pytest.approx(1)
    assert padding_gain() == pytest.approx(1.7731)
    assert padding_gain(0.7, 0) == 0
    assert padding_gain(1.0, 3) == 3


def test_a_batch_is_its_rows():
    rows = ([0.2, 0.2, 0.2, 0.6, 0.4], [0.4, 1.0, 1.0, 0.8], [0.5])
    found = stepwise_rewards(*table(*rows))
    close(found, [[0.196, 0.28, 0.4, -0.2], [0.6, -0.14, -0.2, 0.0], [0.0] * 4])
    _, there = accuracy_gains(*table(*rows))
    assert there.sum(1).tolist() == [4, 3, 0]


def test_a_missing_probe_merges_the_steps_beside_it():
    mask = torch.tensor([[True, True, False, True, True], [False, True, True, False, False], [False] * 5])
    acc = torch.tensor([[0.2, 0.2, 0.9, 0.6, 0.4], [0.9, 0.2, 0.6, 0.0, 0.0], [0.0] * 5])
    # Steps of the first row: 0 (.2 to .2), 1 and 2 (.2 to .6), 3 (.6 to .4): the change is one step ahead of step 0.
    close(stepwise_rewards(acc, mask), [[0.28, 0.0, 0.4, -0.2], [0.0, 0.4, 0.0, 0.0], [0.0] * 4])
    _, there = accuracy_gains(acc, mask)
    assert there.tolist() == [[True, False, True, True], [False, True, False, False], [False] * 4]
    # What stands in a missing probe's place is not read.
    acc[0, 2] = float("nan")
    assert stepwise_rewards(acc, mask)[0].tolist() == pytest.approx([0.28, 0.0, 0.4, -0.2])


accuracies = st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), min_size=1, max_size=9)


def one_by_one(acc, gamma, max_lookahead):
    """The rule as it is written, one step after another."""
    gains = [later - sooner for sooner, later in pairwise(acc)]
    rewards = []
    for place, gain in enumerate(gains):
        ahead = [steps for steps in range(1, max_lookahead + 1) if place + steps < len(gains)]
        later = [steps for steps in ahead if abs(gains[place + steps]) >= 1e-5]
        borrowed = gamma ** later[0] * gains[place + later[0]] if later else 0.0
        rewards.append(borrowed if abs(gain) < 1e-5 else gain)
    return rewards


@given(accuracies, st.integers(0, 5), st.sampled_from([0.3, 0.7, 1.0]), st.integers(0, 3))
def test_it_is_the_rule_as_it_is_written_and_padding_changes_nothing(acc, max_lookahead, gamma, padding):
    options = {"gamma": gamma, "max_lookahead": max_lookahead}
    found = stepwise_rewards(row(*acc), **options)
    close(found, one_by_one(acc, gamma, max_lookahead))
    one, mask = table(acc)
    padded = torch.nn.functional.pad(one, (0, padding), value=9.0)
    wider = stepwise_rewards(padded, torch.nn.functional.pad(mask, (0, padding)), **options)
    assert wider[0, : len(acc) - 1].equal(found)
    assert wider[0, len(acc) - 1 :].eq(0).all()


@given(accuracies, st.integers(1, 4))
def test_without_looking_ahead_rewards_telescope_and_repetition_earns_nothing(acc, copies):
    def total(values):
        return stepwise_rewards(row(*values), max_lookahead=0).sum().item()

    assert total(acc) == pytest.approx(acc[-1] - acc[0], abs=1e-6)
    assert total(acc[:1] * copies + acc) == pytest.approx(total(acc), abs=1e-6)


def test_small_changes_can_be_told_from_noise():
    # Five answers each. Of 5/5 to 4/5: .2 over sqrt(2 * .9 * .1 / 5) = .18974: 1.054 errors. Of 4/5 to 2/5: .4 over
    # sqrt(2 * .6 * .4 / 5) = .30984: 1.291. Of 2/5 to 5/5: .6 over sqrt(2 * .7 * .3 / 5) = .28983: 2.070.
    acc = row(1.0, 0.8, 0.4, 1.0)
    options = {"max_lookahead": 0, "probes": 5}
    close(stepwise_rewards(acc, **options, min_effect=1.05), [-0.2, -0.4, 0.6])
    close(stepwise_rewards(acc, **options, min_effect=1.06), [0.0, -0.4, 0.6])
    close(stepwise_rewards(acc, **options, min_effect=1.30), [0.0, 0.0, 0.6])
    close(stepwise_rewards(acc, **options, min_effect=2.08), [0.0, 0.0, 0.0])
    # What counts as no change borrows the next one.
    close(stepwise_rewards(acc, probes=5, min_effect=1.30), [0.294, 0.42, 0.6])
    # The same difference says more with more answers: sqrt(2 * .9 * .1 / 20) is .09487.
    close(stepwise_rewards(row(1.0, 0.8), probes=20, min_effect=2.1), [-0.2])


def test_with_the_test_a_slow_decline_is_free_and_its_repair_paid():
    acc = row(0.8, 0.6, 0.4, 0.2, 0.8)
    tested = stepwise_rewards(acc, max_lookahead=0, min_effect=1.5, probes=5)
    close(tested, [0.0, 0.0, 0.0, 0.6])
    assert stepwise_rewards(acc, max_lookahead=0).sum().item() == pytest.approx(0, abs=1e-6)


def test_rewards_stand_at_the_end_or_the_start_of_their_step():
    rewards, positions = row(0.5, -0.1), torch.tensor([3, 6, 9])
    assert place_step_rewards(rewards, positions, 10).tolist() == pytest.approx([0, 0, 0, 0, 0, 0.5, 0, 0, -0.1, 0])
    start = place_step_rewards(rewards, positions, 10, "start")
    assert start.tolist() == pytest.approx([0, 0, 0, 0.5, 0, 0, -0.1, 0, 0, 0])
    # The cut at 6 is missing: one step from 3 to 9, with its reward in the last column.
    probed = torch.tensor([[True, False, True]])
    merged = torch.tensor([[0.0, 0.4]]), positions[None], 10
    assert place_step_rewards(*merged, "end", probed)[0].nonzero().tolist() == [[8]]
    assert place_step_rewards(*merged, "start", probed)[0].nonzero().tolist() == [[3]]
    nothing = place_step_rewards(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.int64), 3)
    assert nothing.tolist() == [[0.0] * 3] * 2


def test_the_outcome_of_every_case():
    closed = torch.tensor([True, True, True, True, False, False])
    boxed = torch.tensor([True, True, False, False, True, False])
    correct = torch.tensor([True, False, False, True, True, False])
    assert vsrm_outcome_reward(closed, boxed, correct).tolist() == [1.0, 0.0, -9.5, -9.5, -10.0, -10.0]
    mild = vsrm_outcome_reward(closed, boxed, correct, not_closed=0.0, not_boxed=0.0)
    assert mild.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    nothing = torch.tensor([], dtype=torch.bool)
    assert vsrm_outcome_reward(nothing, nothing, nothing).shape == (0,)


def test_the_outcome_stands_on_the_last_token():
    steps = torch.tensor([[0.0, 0.5, 0.25, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    outcome, lengths = torch.tensor([1.0, -10.0, 7.0]), torch.tensor([3, 4, 0])
    close(vsrm_token_rewards(steps, outcome, lengths), [[0, 0.5, 1, 0], [0, 0.5, 0, -10], [0] * 4])
    close(vsrm_token_rewards(steps, outcome, lengths, "add"), [[0, 0.5, 1.25, 0], [0, 0.5, 0, -10], [0] * 4])


def test_returns_of_tokens():
    acc, probed = torch.tensor([[0.2, 0.6, 0.4]]), torch.tensor([[True, True, True]])
    steps = torch.tensor([[0, 0, 1, 1, -1, 2, 2, -1]])
    sampled = torch.ones(1, 8, dtype=torch.bool)
    # Rewards 0, .4, -.2: to come from step 0 on .2, from step 1 on .2, from step 2 on -.2.
    end = stepwise_token_returns(acc, probed, steps, sampled)
    close(end, [[0.2, 0.2, 0.2, 0.2, -0.2, -0.2, -0.2, 0.0]])
    # On the first token of its step a reward is behind the others.
    start = stepwise_token_returns(acc, probed, steps, sampled, where="start")
    close(start, [[0.2, 0.2, 0.2, -0.2, -0.2, -0.2, 0.0, 0.0]])
    # Not probed after step 1: one step, from its first token to the last of step 2, with -- .4 less .2 -- reward .2.
    gap = torch.tensor([[True, False, True]])
    close(stepwise_token_returns(acc, gap, steps, sampled), [[0.2] * 7 + [0.0]])
    close(stepwise_token_returns(acc, gap, steps, sampled, where="start"), [[0.2] * 3 + [0.0] * 5])
    sampled[0, 1] = False
    assert stepwise_token_returns(acc, probed, steps, sampled)[0, 1] == 0
    none = stepwise_token_returns(torch.zeros(1, 0), torch.zeros(1, 0, dtype=torch.bool), steps, sampled)
    assert none.eq(0).all()


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.6, 1.0]), st.booleans(), st.integers(1, 3)), min_size=1, max_size=6)
)
def test_returns_are_what_placed_rewards_add_up_to(drawn):
    acc, probed = torch.tensor([[each[0] for each in drawn]]), torch.tensor([[each[1] for each in drawn]])
    steps = torch.tensor([[step for step, each in enumerate(drawn) for _ in range(each[2])]])
    ends = torch.tensor([[each[2] for each in drawn]]).cumsum(1)
    for where in ("start", "end"):
        rewards = stepwise_rewards(acc, probed)
        placed = place_step_rewards(rewards, ends, steps.shape[1], where, probed)
        to_come = placed.flip(1).cumsum(1).flip(1)
        found = stepwise_token_returns(acc, probed, steps, torch.ones_like(steps, dtype=torch.bool), where=where)
        torch.testing.assert_close(found, to_come, atol=1e-6, rtol=0)


def test_a_report_by_hand():
    acc, mask = table([0.0, 0.0, 0.6, 0.6, 0.2, 0.8], [0.2, 0.2, 0.0], [0.5])
    report = overthinking_report(acc, mask)
    assert report.effective.tolist() == [2, 0, 0]
    assert report.ineffective.tolist() == [2, 1, 0]
    assert report.harmful.tolist() == [1, 1, 0]
    assert report.first_solved_at.tolist() == [2, -1, 0]
    # Three of five steps come after the first solution.
    assert report.wasted_fraction.tolist() == pytest.approx([0.6, 0.0, 0.0])
    one = overthinking_report(row(0.0, 0.0, 0.6, 0.6, 0.2, 0.8), solved=0.8, min_effect=1.5, probes=5)
    # .6 to .2 is 1.29 errors, 0 to .6 is 2.07, .2 to .8 is 1.90.
    assert [int(each) for each in one[:4]] == [2, 3, 0, 5]
    assert one.wasted_fraction.item() == 0
    empty = overthinking_report(torch.zeros(2, 0))
    assert empty.first_solved_at.tolist() == [-1, -1]
    assert empty.wasted_fraction.tolist() == [0.0, 0.0]


def test_empty_batches():
    assert stepwise_rewards(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.bool)).shape == (0, 2)
    assert stepwise_rewards(torch.zeros(2, 0)).shape == (2, 0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: stepwise_rewards(row(0.5, 1.2)), r"at \[1\] is 1.2.* from 0 to 1"),
        (lambda: stepwise_rewards(row(-0.1)), "from 0 to 1"),
        (lambda: stepwise_rewards(row(0.5, float("nan"))), "False in the mask"),
        (lambda: stepwise_rewards(row()), "at least one accuracy"),
        (lambda: overthinking_report(row()), "at least one accuracy"),
        (lambda: stepwise_rewards(row(0, 1), gamma=0.0), "gamma in"),
        (lambda: stepwise_rewards(row(0, 1), gamma=1.1), "gamma in"),
        (lambda: padding_gain(float("nan"), 4), "gamma in"),
        (lambda: stepwise_rewards(row(0, 1), max_lookahead=-1), "at least 0 steps"),
        (lambda: stepwise_rewards(row(0, 1), min_effect=1.0), "number of answers"),
        (lambda: stepwise_rewards(row(0, 1), min_effect=0.0, probes=5), "positive min_effect"),
        (lambda: overthinking_report(row(0, 1), solved=0.0), "'solved'"),
        (lambda: place_step_rewards(row(0.5), torch.tensor([3, 6, 9]), 10), "1 rewards need 2 positions.* got 3"),
        (lambda: place_step_rewards(row(0.5, 0.1), torch.tensor([3, 3, 9]), 10), r"at \[0\] goes from token 3 to 3"),
        (lambda: place_step_rewards(row(0.5, 0.1), torch.tensor([6, 3, 9]), 10), "positions that increase"),
        (lambda: place_step_rewards(row(0.5), torch.tensor([3, 11]), 10), "outside the 10"),
        (lambda: inspect.unwrap(place_step_rewards)(row(0.5), torch.tensor([3, 6]), 10, "middle"), "unknown place"),
        (lambda: vsrm_token_rewards(torch.zeros(1, 2), row(1.0), torch.tensor([3])), "lengths from 0 to 2"),
        (lambda: vsrm_token_rewards(torch.ones(1, 2), row(1.0), torch.tensor([1])), "row 0.* beyond"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def rewards_of(acc, mask, valid=None, **outcomes):
    probed = Scores(acc.sum(1), (Outcome.SCORED,) * len(acc), acc, mask)
    parts = {"probed": probed, **{name: Scores.of(values) for name, values in outcomes.items()}}
    return RewardTable(probed.values, torch.tensor(valid or [True] * len(acc)), parts)


def test_the_part_reads_accuracies_and_adds_the_outcome(make_rollouts):
    rollouts = make_rollouts([[1, 1, 1, 1, 1]] * 2, [0, 0], steps=[[0, 1, 1, 2, -1]] * 2)
    context = Context(task=None, generator=torch.Generator())
    held = rewards_of(*table([0.2, 0.2, 0.8], [0.2, 0.2, 0.8]), valid=[True, False], correct=[1.0, 1.0])
    assert StepwiseReward()(rollouts, held, context)[0].tolist() == pytest.approx([0.6, 0.6, 0.6, 0.6, 0.0])
    looking = StepwiseReward(max_lookahead=4, outcome="correct", outcome_weight=0.5)(rollouts, held, context)
    # .7 * .6 = .42 for step 1.
    assert looking[0].tolist() == pytest.approx([1.52, 1.52, 1.52, 1.1, 0.5])
    assert looking[1].tolist() == [0.0] * 5
    start = StepwiseReward(where="start", process="probed")(rollouts, held, context)
    assert start[0].tolist() == pytest.approx([0.6, 0.6, 0.6, 0.6, 0.0])
    with pytest.raises(ScorecraftError, match="did you mean 'probed'"):
        StepwiseReward(process="prob")(rollouts, held, context)
    with pytest.raises(ScorecraftError, match="from 0 to 1"):
        StepwiseReward()(rollouts, rewards_of(*table([0.2, -0.2, 0.8], [0.2, 0.2, 0.8])), context)


def test_the_part_is_safe_unless_asked_otherwise_and_lint_says_so():
    assert find("credit", "stepwise-reward") is StepwiseReward
    assert StepwiseReward().max_lookahead == 0
    with pytest.raises(ValueError, match="min_effect needs probes"):
        StepwiseReward(min_effect=1.5)
    safe = load_recipe("hacked", ["credit=stepwise-reward", "advantage=leave-one-out-tokens"])
    assert lint(safe) == []
    published = load_recipe(
        "hacked", ["credit={stepwise-reward: {max_lookahead: 4}}", "advantage=leave-one-out-tokens"]
    )
    assert any("1.773 times" in str(finding) for finding in lint(published))
    # Standardised in groups, returns are one number a rollout.
    (lost,) = lint(load_recipe("hacked", ["credit=stepwise-reward"]))
    assert lost.where == ("advantage 'group-standardized'",)
    (missing,) = lint(load_recipe("default", ["credit=stepwise-reward", "advantage=none"]))
    assert (missing.kind, missing.where) == ("missing", ("credit 'stepwise-reward'",))
