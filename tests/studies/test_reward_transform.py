"""The pieces of the study of log-sigmoid rewards by hand."""

from __future__ import annotations

import math

import pytest
import torch

from scorecraft.studies.reward_transform import (
    RELATION,
    SAMPLES,
    Answers,
    answers,
    divergence,
    policy_at,
    utility,
)


def test_divergence_by_hand():
    assert divergence(torch.full((3, 4), 0.25)) == pytest.approx(0.0, abs=1e-7)
    # One certain choice of four, and two of four: log 4 and log 2.
    both = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]])
    assert divergence(both) == pytest.approx(1.5 * math.log(2))


def test_a_policy_has_the_wanted_divergence_and_the_order_of_its_utility():
    u = torch.randn(50, SAMPLES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for wanted in (0.5, 2.0):
        policy = policy_at(u, wanted)
        assert divergence(policy) == pytest.approx(wanted, abs=1e-9)
        assert policy.argsort(1).equal(u.argsort(1))


def test_scaled_rewards_give_the_same_raw_policy_at_equal_divergence():
    table = answers(20, torch.Generator().manual_seed(0))[0].reward
    one, ten = (policy_at(utility("raw", [factor * table]), 1.0) for factor in (1.0, 10.0))
    torch.testing.assert_close(one, ten, atol=1e-6, rtol=0)


def test_the_world_is_as_stated():
    first, second = answers(2000, torch.Generator().manual_seed(1))
    within = [each.truth - each.truth.mean(1, keepdim=True) for each in (first, second)]
    unit = [table / table.std(1, keepdim=True) for table in within]
    assert (unit[0] * unit[1]).mean().item() == pytest.approx(RELATION, abs=0.02)
    # Level N(0, 1), log spread .6 N(0, 1).
    assert first.truth.mean(1).std().item() == pytest.approx(math.sqrt(1 + math.exp(2 * 0.36) / SAMPLES), abs=0.06)
    assert first.truth.std(1).log().std().item() == pytest.approx(0.6, abs=0.03)
    # Half the error of .3 t(2.2) is within .3 times the quartile .79 of t(2.2).
    error = (first.reward - first.truth).abs()
    assert error.median().item() == pytest.approx(0.3 * 0.7917, abs=0.01)
    assert error.max() > 10
    assert first.good.double().mean().item() == pytest.approx(0.5)


def test_the_median_splits_the_answers_in_half():
    table = torch.tensor([[3.0, 1.0, 2.0, 4.0]])
    assert Answers(table, table).good.tolist() == [[True, False, False, True]]


def test_utilities_by_hand():
    # Mean 2, population deviation sqrt 2, sample deviation sqrt 2.5; 85th percentile 3.465738.
    table = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    other = table.flip(1)
    assert utility("raw", [table, other]).tolist() == [[4.0] * 5]
    standardized = utility("standardized", [table])
    torch.testing.assert_close(standardized, (table - 2) / math.sqrt(2.5))
    capped = utility("capped", [table])[0].tolist()
    assert capped == pytest.approx([0, 1, 2, 3, 3.465738])

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    assert utility("lsc-mean", [table])[0].tolist() == pytest.approx([math.log(sigmoid(r - 2)) for r in range(5)])
    p, q = sigmoid(-3.465738), sigmoid(4 - 3.465738)
    assert utility("lsc", [table])[0, 0].item() == pytest.approx(math.log(p))
    assert utility("lsc", [table, other])[0, 0].item() == pytest.approx(math.log(p * q))
    assert utility("or", [table, other])[0, 0].item() == pytest.approx(math.log(1 - (1 - p) * (1 - q)))
