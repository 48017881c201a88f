"""Tiered rewards: zones and their values by hand, order of successes and failures, and progress as a part."""

from __future__ import annotations

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.problem import Outcome, Problem
from scorecraft.recipes.lint import lint
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.parts.sweet_spot import TieredProgress
from scorecraft.rewards.sweet_spot import order_safe, ssl_reward, tier, tier_edges, tier_values
from scorecraft.rewards.transforms.tiers import Tiers
from scorecraft.scores import Scores
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

NAN = float("nan")
SCORES = torch.tensor([0.0, 0.24, 0.25, 0.5, 0.75, 0.99, 1.0])
ZONES = st.integers(2, 12)


def test_four_zones_by_hand():
    linear = torch.tensor([0.0, 0.0, 1 / 3, 2 / 3, 1.0, 1.0, 1.0])
    torch.testing.assert_close(tier(SCORES), linear)
    torch.testing.assert_close(tier(SCORES, edges=(0.25, 0.5, 0.75)), linear)
    amplified = torch.tensor([0.0, 0.0, 1 / 7, 3 / 7, 1.0, 1.0, 1.0])
    torch.testing.assert_close(tier(SCORES, values="amplified"), amplified)


def test_other_zones_by_hand():
    assert tier(torch.tensor([0.0, 0.499, 0.5, 1.0]), zones=2).tolist() == [0, 0, 1, 1]
    assert tier(torch.tensor([0.0, 0.05, 0.1, 0.8, 0.9]), edges=(0.1, 0.9)).tolist() == [0.0, 0.0, 0.5, 0.5, 1.0]
    assert tier(torch.tensor([0.2, 0.9]), zones=2, values=(0.25, 0.5)).tolist() == [0.25, 0.5]
    assert tier(SCORES.view(1, 7, 1)).shape == (1, 7, 1)
    assert tier(torch.tensor([])).shape == (0,)
    # The rule without bounds: zone floor(K S), the last one closed.
    assert tier_values(3, "amplified") == pytest.approx((0.0, 1 / 3, 1.0))


def test_a_score_on_an_edge_is_in_the_upper_zone_in_either_precision():
    tenths = [k / 10 for k in range(11)]
    expected = [k / 9 for k in range(10)] + [1.0]
    for dtype in (torch.float32, torch.float64):
        assert tier(torch.tensor(tenths, dtype=dtype), zones=10).tolist() == pytest.approx(expected)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20), ZONES, st.sampled_from(["linear", "amplified"]))
def test_tiers_keep_the_order_of_scores_and_run_from_0_to_1(scores, zones, values):
    ordered = torch.tensor(sorted(scores), dtype=torch.float32)
    found = tier(ordered, zones=zones, values=values)
    assert (found.diff() >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()
    assert tier(torch.tensor([0.0, 1.0]), zones=zones, values=values).tolist() == [0.0, 1.0]
    assert len(found.unique()) <= zones


def test_many_zones_become_the_score_itself():
    scores = torch.rand(100, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(tier(scores, zones=10_000), scores, atol=2e-4, rtol=0)


# The reward.


def test_success_plus_the_tier_by_hand():
    correct = torch.tensor([True, True, False, False, False])
    # Tiers: 1, 0, 0, 2/3, 1. The last: three of four blocks right, and still half of what any solved grid earns.
    score = torch.tensor([0.778801, 0.135335, 0.135335, 0.606531, 0.75])
    torch.testing.assert_close(ssl_reward(correct, score), torch.tensor([1.5, 1.0, 0.0, 1 / 3, 0.5]))
    gated = ssl_reward(correct, score, gate="correct")
    torch.testing.assert_close(gated, torch.tensor([1.5, 1.0, 0.0, 0.0, 0.0]))


def test_what_could_not_be_read_is_no_success_and_has_no_proximity():
    correct = torch.tensor([True, True, False])
    score = torch.tensor([0.9, NAN, 0.9])
    valid = torch.tensor([True, False, False])
    for gate in (None, "valid"):
        assert ssl_reward(correct, score, gate=gate, valid=valid).tolist() == [1.5, 0.0, 0.0]


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=12),
    st.floats(0, 0.99),
    ZONES,
    st.sampled_from([None, "correct"]),
)
def test_every_success_beats_every_failure_below_alpha_1(rows, alpha, zones, gate):
    correct = torch.tensor([row[0] for row in rows])
    score = torch.tensor([row[1] for row in rows], dtype=torch.float32)
    reward = ssl_reward(correct, score, alpha=alpha, zones=zones, gate=gate, enforce_order=True)
    if correct.any() and not correct.all():
        assert reward[correct].min() > reward[~correct].max()


def test_a_group_of_failures_has_a_signal_unless_all_are_in_one_zone():
    failures = torch.zeros(4, dtype=torch.bool)
    assert ssl_reward(failures, torch.tensor([0.1, 0.3, 0.6, 0.9])).var() > 0
    assert ssl_reward(failures, torch.tensor([0.3, 0.4, 0.45, 0.49])).var() == 0


def test_when_a_failure_could_earn_as_much_as_a_success():
    assert order_safe(0.99)
    assert not order_safe(1.0)
    assert order_safe(5.0, highest_failure=0.0)
    # 1.2 * 0.9 = 1.08 < 1 + 1.2 * 0.1 = 1.12.
    assert order_safe(1.2, highest_failure=0.9, lowest_success=0.1)
    correct, score = torch.tensor([True, False]), torch.tensor([0.1, 0.9])
    with pytest.warns(ScorecraftWarning, match="alpha below 1, or gate 'correct'"):
        assert ssl_reward(correct, score, alpha=1.0).tolist() == [1.0, 1.0]
    with pytest.raises(ScorecraftError, match="a failure can earn as much as a success"):
        ssl_reward(correct, score, alpha=1.5, enforce_order=True)
    assert ssl_reward(correct, score, alpha=1.5, gate="correct", enforce_order=True).tolist() == [1.0, 0.0]


YES = torch.tensor([True])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: tier(torch.tensor([0.5, 1.01])), r"scores in \[0, 1\], got 1.01"),
        (lambda: tier(torch.tensor([-0.1])), r"scores in \[0, 1\], got -0.1"),
        (lambda: tier(torch.tensor([NAN])), r"scores in \[0, 1\], got nan"),
        (lambda: tier(SCORES, zones=1), "at least 2 zones, got 1"),
        (lambda: tier_values(1), "at least 2 zones, got 1"),
        (lambda: tier(SCORES, edges=(0.5, 0.25)), "edges that increase between 0 and 1"),
        (lambda: tier(SCORES, edges=(0.5, 0.5)), "edges that increase"),
        (lambda: tier(SCORES, edges=(0.0, 0.5)), "edges that increase"),
        (lambda: tier_edges(edges=()), "edges that increase"),
        (lambda: tier(SCORES, edges=(0.5,), values=(0.0, 0.5, 1.0)), "2 zones need 2 values, got 3"),
        (lambda: tier(SCORES, values=(0.0, 0.6, 0.5, 1.0)), "that never fall"),
        (lambda: tier(SCORES, values=(0.0, 0.5, 1.0, 2.0)), r"values in \[0, 1\]"),
        (lambda: inspect.unwrap(tier_values)(4, "steep"), "unknown values 'steep'"),
        (lambda: ssl_reward(YES, SCORES[:1], alpha=-0.1), "alpha of at least 0, got -0.1"),
        (lambda: ssl_reward(YES, SCORES[:1], alpha=NAN), "alpha of at least 0"),
        (lambda: ssl_reward(YES, SCORES[:1], gate="valid"), "gate 'valid' needs valid"),
        (lambda: inspect.unwrap(ssl_reward)(YES, SCORES[:1], gate="right"), "unknown gate 'right'"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


# The transform.


def test_the_transform_leaves_what_failed_and_the_steps(make_rollouts, context):
    steps, mask = torch.tensor([[0.5], [0.9], [0.0]]), torch.ones(3, 1, dtype=torch.bool)
    outcomes = (Outcome.SCORED, Outcome.SCORED, Outcome.TIMEOUT)
    scores = Scores(torch.tensor([0.5, 0.9, NAN]), outcomes, steps, mask)
    found = Tiers()(scores, make_rollouts([[1]] * 3), context)
    assert found.values.tolist() == pytest.approx([2 / 3, 1.0, NAN], nan_ok=True)
    assert found.outcomes == outcomes
    assert found.steps.equal(steps)
    assert parts.find("transform", "tiers") is Tiers


def test_the_transform_refuses_what_does_not_fit(make_rollouts, context):
    scores = Scores.of([1.5])
    with pytest.raises(ScorecraftError, match=r"scores in \[0, 1\]"):
        Tiers()(scores, make_rollouts([[1]]), context)
    with pytest.raises(ValidationError, match="4 zones need 4 values"):
        Tiers(values=(0.0, 1.0))
    with pytest.raises(ValidationError, match="edges that increase"):
        Tiers(edges=(0.9, 0.1))
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        Tiers(zones=1)


# The part.

CHAIN = ChainArithmetic(operations=(3, 3))


def with_texts(make_rollouts, problem, texts):
    return make_rollouts([[1]] * len(texts), [0] * len(texts), texts=texts, problems=[problem])


def test_progress_is_the_share_of_the_solution_that_was_written_right(make_rollouts):
    # Three operations and the answer are four steps.
    problem = CHAIN.problem("train", 0)
    lines = problem.gold.split("\n")
    texts = [
        problem.gold,  # 4 of 4, right
        lines[0],  # 1 of 4, no answer: stopping early is no way to 100 %
        "\n".join(lines[:3]),  # 3 of 4, no answer
        "\n".join([lines[0], lines[0], lines[0]]),  # a repeated step is no progress
        "\n".join([*lines[:3], "#999999"]),  # 3 of 4, wrong
    ]
    scores = TieredProgress()(with_texts(make_rollouts, problem, texts), Context(CHAIN, torch.Generator()))
    assert scores.metrics["progress"].tolist() == pytest.approx([1.0, 0.25, 0.75, 0.25, 0.75])
    assert scores.metrics["tier"].tolist() == pytest.approx([1.0, 1 / 3, 1.0, 1 / 3, 1.0])
    assert scores.values.tolist() == pytest.approx([1.5, 1 / 6, 0.5, 1 / 6, 0.5])
    readable = TieredProgress(gate="valid")(
        with_texts(make_rollouts, problem, texts), Context(CHAIN, torch.Generator())
    )
    assert readable.values.tolist() == pytest.approx([1.5, 0.0, 0.0, 0.0, 0.5])
    right = TieredProgress(gate="correct")(with_texts(make_rollouts, problem, texts), Context(CHAIN, torch.Generator()))
    assert right.values.tolist() == pytest.approx([1.5, 0.0, 0.0, 0.0, 0.0])


def test_flawed_and_spare_steps_of_a_solution_do_not_move_the_goal(make_rollouts):
    plain = ChainArithmetic(operations=(3, 3)).problem("train", 3)
    flawed = ChainArithmetic(operations=(3, 3), flawed_steps=1.0, spare_steps=1.0).problem("train", 3)
    assert plain.prompt == flawed.prompt
    assert plain.gold != flawed.gold
    found = [
        TieredProgress()(with_texts(make_rollouts, p, [plain.gold.split("\n")[0]]), Context(CHAIN, torch.Generator()))
        for p in (plain, flawed)
    ]
    assert found[0].metrics["progress"].equal(found[1].metrics["progress"])


def test_without_a_worked_solution_the_own_steps_count(make_rollouts, sum_task, context):
    problem = Problem("1+1", "2", metadata={"index": 1})
    texts = ["1+1=2\n2+2=5", "sleep", "= 2", ""]
    scores = TieredProgress()(with_texts(make_rollouts, problem, texts), context)
    # One of two; a timeout; an answer line that is no step of this task; nothing.
    assert scores.metrics["progress"].tolist() == [0.5, 0.0, 0.0, 0.0]
    assert scores.values.tolist() == pytest.approx([1 / 3, NAN, 1.0, 0.0], nan_ok=True)
    assert scores.outcomes[1] is Outcome.TIMEOUT


def test_a_weight_at_which_failing_pays_is_warned_of():
    (finding,) = [f for f in lint(Recipe(reward={"sweet-spot": {"alpha": 1.0}})) if f.kind == "danger"]
    assert finding.where == ("reward 'sweet-spot'",)
    assert "an alpha below 1, or gate 'correct'" in finding.text
    assert lint(Recipe(reward="sweet-spot")) == []
    assert lint(Recipe(reward={"sweet-spot": {"alpha": 1.0, "gate": "correct"}})) == []
    with pytest.raises(ValidationError, match="4 zones need 4 values"):
        TieredProgress(values=(0.0, 1.0))
