"""Calibration rewards: values by hand, which rules are safe at which weight, and what is read from a completion."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.recipes.lint import lint
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.parts.calibration import CalibrationReward
from scorecraft.rewards.rlcr import RULES, incentive_check, parse_confidence, proper_score, rlcr_reward
from scorecraft.tasks.confidence import Confidence

C = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
Q = torch.tensor([0.9, 0.9, 0.5, 0.5, 0.0, 0.0])


def test_correctness_minus_the_squared_gap():
    # c - (q - c)^2: 1 - .01, -.81, 1 - .25, -.25, 1 - 1, 0.
    torch.testing.assert_close(rlcr_reward(C, Q), torch.tensor([0.99, -0.81, 0.75, -0.25, 0.0, 0.0]))


def test_the_trained_total_is_an_affine_image():
    # .5 format + .5 c + .5 (1 - (c - q)^2) = 1 + .5 R.
    torch.testing.assert_close(1 + 0.5 * rlcr_reward(C, Q), torch.tensor([1.495, 0.595, 1.375, 0.875, 1.0, 1.0]))


def test_an_answer_without_a_confidence_earns_what_is_said():
    found = rlcr_reward(C[:2], Q[:2], valid=torch.tensor([True, False]), invalid_reward=-1.0)
    torch.testing.assert_close(found, torch.tensor([0.99, -1.0]))


def test_every_rule_by_hand():
    right, wrong, q = torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([0.6])
    by_hand = {
        "brier": (-0.16, -0.36),
        "crps": (-0.16, -0.36),
        "quadratic": (-0.32, -0.72),
        "spherical": (0.6 / math.sqrt(0.52), 0.4 / math.sqrt(0.52)),
        "log": (math.log(0.6), math.log(0.4)),
        "log_clipped": (math.log(0.6), math.log(0.4)),
    }
    assert set(by_hand) == set(RULES)
    for rule, (for_right, for_wrong) in by_hand.items():
        assert proper_score(right, q, rule).item() == pytest.approx(for_right), rule
        assert proper_score(wrong, q, rule).item() == pytest.approx(for_wrong), rule
    assert proper_score(wrong, torch.tensor([1.0]), "log").item() == -math.inf
    assert proper_score(wrong, torch.tensor([1.0]), "log_clipped").item() == pytest.approx(math.log(0.01))


@given(st.floats(0.05, 0.95), st.sampled_from(RULES))
def test_the_true_probability_is_the_best_to_state(p, rule):
    grid = torch.linspace(0.01, 0.99, 99)
    expected = p * proper_score(torch.ones(99), grid, rule) + (1 - p) * proper_score(torch.zeros(99), grid, rule)
    assert abs(float(grid[int(expected.argmax())]) - p) <= 0.0051 + 1e-6


def test_honesty_is_worth_the_square_of_the_probability():
    q = torch.linspace(0, 1, 1001)
    for p in (0.3, 0.7):
        expected = p * rlcr_reward(torch.ones(1001), q) + (1 - p) * rlcr_reward(torch.zeros(1001), q)
        assert float(q[int(expected.argmax())]) == pytest.approx(p, abs=1e-3)
        assert float(expected.max()) == pytest.approx(p * p, abs=1e-6)


def test_which_weights_keep_the_likeliest_answer_best():
    at_one = incentive_check("brier", 1.0)
    assert (at_one.proper, at_one.bounded, at_one.accuracy_safe) == (True, True, True)
    assert at_one.margin == pytest.approx(0.0, abs=1e-6)
    over = incentive_check("brier", 1.5)
    assert (over.accuracy_safe, over.margin) == (False, pytest.approx(-0.5))
    assert incentive_check("spherical", 1.0).accuracy_safe
    assert not incentive_check("quadratic", 1.0).accuracy_safe
    log = incentive_check("log", 1.0)
    assert (log.bounded, log.accuracy_safe) == (False, False)
    assert incentive_check("brier", 0.0).margin == 1.0


def test_effect_an_unsafe_weight_pays_more_for_a_surely_wrong_answer():
    # Weight 3: honest at p = .4 earns .4 - 3 * .24 = -.32; surely wrong with confidence 0 earns 0.
    honest = 0.4 * rlcr_reward(torch.ones(1), torch.tensor([0.4]), weight=3.0) + 0.6 * rlcr_reward(
        torch.zeros(1), torch.tensor([0.4]), weight=3.0
    )
    assert honest.item() == pytest.approx(-0.32)
    assert rlcr_reward(torch.zeros(1), torch.zeros(1), weight=3.0).item() == 0.0
    (finding,) = lint(Recipe(task="confidence", reward={"rlcr": {"scale": 3.0}}))
    assert (finding.kind, finding.where) == ("danger", ("reward 'rlcr'",))
    assert lint(Recipe(task="confidence", reward="rlcr")) == []


@pytest.mark.parametrize(
    ("text", "percent", "expected"),
    [
        ("<confidence>0.8</confidence>", "reject", (True, 0.8)),
        ("<confidence>0.1</confidence> then <confidence> .7 </confidence>", "reject", (True, 0.7)),
        ("<confidence>80%</confidence>", "reject", (False, 0.0)),
        ("<confidence>80%</confidence>", "auto", (True, 0.8)),
        ("<confidence>about 0.4 or so</confidence>", "auto", (True, 0.4)),
        ("<confidence>1.2</confidence>", "reject", (False, 0.0)),
        ("<confidence>-0.5</confidence>", "auto", (False, 0.0)),
        ("<confidence>nan</confidence>", "reject", (False, 0.0)),
        ("<confidence></confidence>", "auto", (False, 0.0)),
        ("no tag", "auto", (False, 0.0)),
    ],
)
def test_the_last_tag_is_read(text, percent, expected):
    assert parse_confidence(text, percent=percent) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rlcr_reward(C, Q + 0.2), "confidence of answer 0 is 1.1"),
        (lambda: proper_score(C, Q * float("nan")), "confidence of answer 0 is nan"),
        (lambda: proper_score(C * 0.5, Q), "correctness of 0 or 1"),
        (lambda: inspect.unwrap(proper_score)(C, Q, "brie"), "unknown scoring rule 'brie'"),
        (lambda: rlcr_reward(C, Q, weight=-1.0), "weight of at least 0"),
        (lambda: incentive_check("brier", -1.0), "weight of at least 0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_the_part_reads_answer_and_confidence(make_rollouts):
    task = Confidence()
    problem = task.problem("train", 0)
    texts = (f"#{problem.answer}\n@0.9", "#x\n@0.9", f"#{problem.answer}")
    rollouts = make_rollouts([[1], [1], [1]], [0, 0, 0], texts=texts, problems=(problem,))
    scores = CalibrationReward()(rollouts, Context(task, torch.Generator()))
    torch.testing.assert_close(scores.values, torch.tensor([0.99, -0.81, -1.0]))
    assert scores.metrics["invalid"].tolist() == [0.0, 0.0, 1.0]
