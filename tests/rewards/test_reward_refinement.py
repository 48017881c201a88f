"""Refined process rewards: every refinement by hand, what cannot leak, what is bounded, and the transforms."""

from __future__ import annotations

import inspect
import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scorecraft import parts
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.problem import Outcome
from scorecraft.recipes.lint import lint
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.reward_refinement import (
    eta_from_quantile,
    pr_clip,
    pr_clip_delta,
    pr_delta,
    pr_length_normalized,
    process_return_bound,
)
from scorecraft.scores import Scores

NAN, INF = float("nan"), float("inf")
RHO = torch.tensor([[0.9, 0.4, 0.8, 0.95]])
SOLUTION = st.lists(st.floats(0, 1, width=32), min_size=0, max_size=12)


def close(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)


def padded(rows):
    """Return step rewards with NaN after each row's end, and the mask."""
    width = max((len(row) for row in rows), default=0)
    steps = torch.full((len(rows), width), NAN)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for place, row in enumerate(rows):
        steps[place, : len(row)] = torch.tensor(row, dtype=torch.float32)
        mask[place, : len(row)] = True
    return steps, mask


def to_go(rewards):
    return rewards.flip(1).cumsum(1).flip(1)


def test_every_refinement_by_hand():
    close(pr_clip(RHO, eta=0.7), [[0.0, -0.3, 0.0, 0.0]])
    close(pr_delta(RHO), [[0.5, -0.4, 0.8, 0.0]])
    close(to_go(pr_delta(RHO)), [[0.9, 0.4, 0.8, 0.0]])
    close(pr_clip_delta(RHO, eta=0.7), [[0.3, -0.3, 0.0, 0.0]])
    # A bad last step but one: clipped [0, 0, -0.5, 0], so 0 - 0, 0 + 0.5, -0.5, 0.
    close(pr_clip_delta(torch.tensor([[0.9, 0.8, 0.2, 0.9]]), eta=0.7), [[0.0, 0.5, -0.5, 0.0]])
    close(pr_length_normalized(RHO), [[0.225, 0.1, 0.2, 0.2375]])


def test_twenty_well_scored_steps_earn_no_more_than_one():
    rho = torch.full((1, 20), 0.9)
    assert rho.sum().item() == pytest.approx(18.0)
    assert pr_clip(rho, eta=0.7).sum().item() == 0.0
    assert pr_delta(rho).sum().item() == pytest.approx(0.9)
    assert pr_clip_delta(rho, eta=0.7).sum().item() == 0.0
    assert pr_length_normalized(rho).sum().item() == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("rho", "expected"),
    [([0.5], [0.0]), ([0.5, 0.6], [0.5, 0.0]), ([0.5, 0.6, 0.7], [-0.1, 0.6, 0.0])],
)
def test_short_solutions_by_hand(rho, expected):
    close(pr_delta(torch.tensor([rho])), [expected])


def test_what_stands_behind_the_last_step_never_leaks():
    steps, mask = padded([[0.9, 0.4, 0.8, 0.95], [0.9, 0.4, 0.8, 0.95, 0.1, 0.1], [], [0.5]])
    steps[0, 5] = INF
    clip = pr_clip(steps, mask, eta=0.7)
    close(clip[[0, 2, 3]], [[0.0, -0.3, 0.0, 0.0, 0.0, 0.0], [0.0] * 6, [-0.2] + [0.0] * 5])
    close(pr_delta(steps, mask)[[0, 2, 3]], [[0.5, -0.4, 0.8, 0.0, 0.0, 0.0], [0.0] * 6, [0.0] * 6])
    close(pr_clip_delta(steps, mask, eta=0.7)[[0, 2]], [[0.3, -0.3, 0.0, 0.0, 0.0, 0.0], [0.0] * 6])
    close(pr_length_normalized(steps, mask)[[0, 2]], [[0.225, 0.1, 0.2, 0.2375, 0.0, 0.0], [0.0] * 6])
    nothing = torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool)
    assert pr_clip_delta(*nothing, eta=0.7).shape == (2, 0)


@given(st.lists(SOLUTION, min_size=1, max_size=5), st.floats(0, 1, width=32))
def test_returns_are_one_step_s_own_and_never_above_their_bound(rows, eta):
    steps, mask = padded(rows)
    clip, delta, both = pr_clip(steps, mask, eta=eta), pr_delta(steps, mask), pr_clip_delta(steps, mask, eta=eta)
    for place, row in enumerate(rows):
        returns, refined = to_go(delta)[place], to_go(both)[place]
        for step, rho in enumerate(row):
            own = rho if step < len(row) - 1 else 0.0
            low = min(rho - eta, 0.0) if step < len(row) - 1 else 0.0
            assert returns[step].item() == pytest.approx(own, abs=1e-5)
            assert refined[step].item() == pytest.approx(low, abs=1e-5)
    assert (to_go(clip) <= process_return_bound("clip", 1.0, eta)).all()
    assert (to_go(both) <= process_return_bound("clip-delta", 1.0, eta) + 1e-5).all()
    assert (to_go(delta) <= process_return_bound("delta", 1.0) + 1e-5).all()
    assert (to_go(pr_length_normalized(steps, mask)) <= process_return_bound("length-normalized", 1.0) + 1e-5).all()


@given(SOLUTION, st.floats(0, 1, width=32), st.integers(0, 12), st.floats(0.625, 1, width=32))
def test_a_step_more_never_raises_a_clipped_return(row, added, place, eta):
    longer = [*row[:place], added, *row[place:]]
    before, after = (pr_clip(*padded([solution]), eta=eta).sum().item() for solution in (row, longer))
    assert after <= before + 1e-6


def test_trivial_steps_pay_only_in_the_naive_sum():
    solved = [0.9, 0.92, 0.91]
    totals = {kind: [] for kind in ("naive", "clip", "delta", "clip-delta")}
    for copies in range(21):
        steps, mask = padded([[*solved[:2], *[0.9] * copies, solved[2]]])
        totals["naive"].append(steps.sum().item())
        totals["clip"].append(pr_clip(steps, mask, eta=0.95).sum().item())
        totals["delta"].append(pr_delta(steps, mask).sum().item())
        totals["clip-delta"].append(pr_clip_delta(steps, mask, eta=0.95).sum().item())
    assert torch.tensor(totals["naive"]).diff().tolist() == pytest.approx([0.9] * 20, abs=1e-5)
    assert torch.tensor(totals["clip"]).diff().tolist() == pytest.approx([-0.05] * 20, abs=1e-5)
    assert totals["delta"] == pytest.approx([0.9] * 21, abs=1e-5)
    assert totals["clip-delta"] == pytest.approx([-0.05] * 21, abs=1e-5)


def test_bounds_of_a_model_that_hands_out_logits():
    assert process_return_bound("naive", 1.0) == INF
    assert process_return_bound("naive", -0.1) == 0.0
    assert process_return_bound("delta", 3.5) == process_return_bound("length-normalized", 3.5) == 3.5
    assert process_return_bound("delta", -1.0) == 0.0
    assert process_return_bound("clip", 3.5, 0.7) == process_return_bound("clip-delta", 3.5, 0.7) == 0.0
    logits = torch.tensor([[3.0, -4.0, 2.0]])
    assert to_go(pr_delta(logits)).max().item() == 3.0
    assert pr_clip(logits, eta=1.5, reward_range=(-5.0, 5.0)).tolist() == [[0.0, -5.5, 0.0]]


def test_a_threshold_from_the_reference_policy():
    # 0.4 0.8 0.9 0.95: the middle is 0.85; three quarters of the way from 0.4 (place 0) to 0.95 (3) is place 2.25.
    assert eta_from_quantile(RHO, q=0.5) == pytest.approx(0.85)
    assert eta_from_quantile(RHO, q=0.75) == pytest.approx(0.9125)
    assert eta_from_quantile(*padded([[0.9, 0.4], [0.8, 0.95], []])) == pytest.approx(0.85)
    assert eta_from_quantile(RHO, q=0.0) == pytest.approx(0.4)
    assert eta_from_quantile(RHO, q=1.0) == pytest.approx(0.95)


GAP = torch.tensor([[True, False, True, True]])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: pr_clip(RHO, GAP, eta=0.7), "rollout 0 has a step after a gap"),
        (lambda: pr_delta(RHO, GAP), "rollout 0 has a step after a gap"),
        (lambda: pr_length_normalized(RHO, GAP), "rollout 0 has a step after a gap"),
        (lambda: pr_clip(RHO * NAN, eta=0.7), "reward of step 0 of rollout 0 is nan"),
        (lambda: pr_delta(torch.tensor([[0.1], [INF]])), "reward of step 0 of rollout 1 is inf"),
        (lambda: pr_clip(RHO, eta=NAN), "finite eta"),
        (lambda: pr_delta(RHO, discount=0.0), r"discount in \(0, 1\]"),
        (lambda: process_return_bound("clip", 1.0), "give eta with"),
        (lambda: process_return_bound("delta", 1.0, 0.5), "and only then"),
        (lambda: process_return_bound("delta", INF), "finite r_max"),
        (lambda: inspect.unwrap(process_return_bound)("clamp", 1.0), "unknown refinement 'clamp'"),
        (lambda: eta_from_quantile(RHO, q=1.5), r"q in \[0, 1\]"),
        (lambda: eta_from_quantile(*padded([[], []])), "no step"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_what_does_nothing_or_breaks_the_sum_is_warned_of():
    with pytest.warns(ScorecraftWarning, match="no step ever loses"):
        close(pr_clip(RHO, eta=-0.1), [[0.0] * 4])
    with pytest.warns(ScorecraftWarning, match="every step loses"):
        close(pr_clip(RHO, eta=1.1), [[-0.2, -0.7, -0.3, -0.15]])
    with pytest.warns(ScorecraftWarning, match="discount of 0.9"):
        pr_delta(RHO, discount=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pr_clip_delta(RHO * 4 - 2, eta=-0.1, reward_range=(-2.0, 2.0))


def test_effect_with_a_discount_the_differences_do_not_telescope():
    discounts = 0.9 ** torch.arange(4.0)
    # 0.5 - 0.36 + 0.648, not 0.9.
    assert (pr_delta(RHO) * discounts).sum().item() == pytest.approx(0.788)


# The transforms.


def scored(rows, values=None):
    steps, mask = padded(rows)
    steps = steps.nan_to_num()
    return Scores(steps.sum(1) if values is None else values, (Outcome.SCORED,) * len(rows), steps, mask)


@pytest.mark.parametrize(
    ("name", "options", "steps", "values"),
    [
        ("refine-clip", {"eta": 0.7}, [[0.0, -0.3, 0.0, 0.0], [-0.2, 0.0, 0.0, 0.0]], [-0.3, -0.2]),
        ("refine-delta", {}, [[0.5, -0.4, 0.8, 0.0], [0.0] * 4], [0.9, 0.0]),
        ("refine-clip-delta", {"eta": 0.7}, [[0.3, -0.3, 0.0, 0.0], [0.0] * 4], [0.0, 0.0]),
    ],
)
def test_the_value_becomes_the_sum_of_refined_steps(make_rollouts, context, name, options, steps, values):
    part = parts.find("transform", name)(**options)
    found = part(scored([[0.9, 0.4, 0.8, 0.95], [0.5]]), make_rollouts([[1]] * 2), context)
    close(found.steps, steps)
    close(found.values, values)
    assert part.cites() == ("reward-refinement",)


def test_what_failed_stays_so_and_outcome_rewards_are_refused(make_rollouts, context):
    part = parts.find("transform", "refine-delta")()
    steps, mask = padded([[0.9, 0.4], [0.3, 0.3]])
    scores = Scores(torch.tensor([1.3, NAN]), (Outcome.SCORED, Outcome.ERROR), steps, mask)
    found = part(scores, make_rollouts([[1]] * 2), context)
    assert found.values.tolist() == pytest.approx([0.9, NAN], nan_ok=True)
    with pytest.raises(ScorecraftError, match="'refine-delta' needs a reward with step rewards"):
        part(Scores.of([1.0]), make_rollouts([[1]]), context)


def test_options_are_checked():
    clip = parts.find("transform", "refine-clip")
    with pytest.raises(ValidationError, match="eta"):
        clip()
    with pytest.raises(ValidationError, match="lowest and the highest"):
        clip(eta=0.5, reward_range=(1.0, 0.0))
    assert math.isclose(clip(eta=-0.2, reward_range=(-1.0, 1.0)).eta, -0.2)


def found(transform, **values):
    reward = {"overrating-process-model": {"transforms": [transform]}}
    return [(finding.kind, finding.where) for finding in lint(Recipe(reward=reward, advantage="none", **values))]


@pytest.mark.parametrize("transform", [{"refine-clip": {"eta": 0.5}}, "refine-delta"])
def test_refined_steps_are_no_danger_where_credit_hands_them_out(transform):
    assert found({"scale": {}}, credit={"min-form": {"form": "sum"}}) == [
        ("danger", ("reward 'overrating-process-model'",))
    ]
    assert found(transform, credit={"min-form": {"form": "sum"}}) == []


def test_a_refinement_without_steps_is_warned_of():
    reward = {"correct": {"transforms": [{"refine-clip": {"eta": 0.5}}]}}
    kinds = [(finding.kind, finding.where) for finding in lint(Recipe(reward=reward))]
    assert kinds == [("missing", ("transform 'refine-clip' of 'correct'",))]


def test_differences_under_one_ratio_per_sequence_are_warned_of():
    level = {"clipped-surrogate": {"level": "sequence"}}
    where = ("transform 'refine-delta' of 'overrating-process-model'", "objective 'clipped-surrogate'")
    assert ("lost", where) in found("refine-delta", credit={"min-form": {"form": "sum"}}, objective=level)


def test_effect_as_a_sum_nothing_is_left_of_differences_but_the_first_step():
    good, bad = torch.tensor([[0.9, 0.9, 0.9, 0.9]]), torch.tensor([[0.9, 0.1, 0.1, 0.1]])
    assert pr_delta(good).sum().item() == pytest.approx(pr_delta(bad).sum().item()) == pytest.approx(0.9)
