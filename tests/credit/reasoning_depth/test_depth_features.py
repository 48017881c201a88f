"""The patterns of chains that convince and are wrong: values by hand, edges, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.reasoning_depth import (
    DepthScores,
    DepthThreshold,
    chain_features,
    depth_features,
    step_attention,
)
from scorecraft.errors import ScorecraftError

DEPTH, PERPLEXITY = np.array([1.0, 2.0, 3.0, 2.0]), np.array([1.1, 1.3, 1.9, 1.2])


def test_fluctuation_and_correlation_by_hand():
    # Of 1 2 3: deviation sqrt(2/3) over 2. Covariance .8, variances 2 and .3875 (sums): .8 / sqrt(.775).
    found = chain_features(DEPTH, PERPLEXITY, early=3)
    assert found.tolist() == pytest.approx([2.0, 0.408248, 0.0, 0.908739], abs=1e-6)
    # All four: mean 2, deviation sqrt(.5).
    assert chain_features(DEPTH, PERPLEXITY)[1] == pytest.approx(math.sqrt(0.5) / 2)
    assert chain_features(DEPTH, PERPLEXITY, early=1)[1] == 0.0


def five_steps(rows):
    attention = np.zeros((5, 5))
    attention[3:, :3] = rows
    return attention


def test_attention_back_to_bad_steps_by_hand():
    attention = five_steps([[0.2, 0.5, 0.3], [0.1, 0.6, 0.3]])
    # Early steps .4 .1 .5, the late two .3 .3: lower quartile .3, so step 1 alone is bad; shares .5 and .6.
    depth, flat = np.array([0.4, 0.1, 0.5, 0.3, 0.3]), np.ones(5)
    assert chain_features(depth, flat, attention, late_ratio=0.4)[2] == pytest.approx(0.55)
    # A step of .5 is overthought at tau = .5: shares .8 and .9.
    assert chain_features(depth, flat, attention, late_ratio=0.4, tau=0.5)[2] == pytest.approx(0.85)
    # A share is of the attention to early steps; without any it is 0.
    attention = five_steps([[0.1, 0.25, 0.15], [0.0, 0.0, 0.0]])
    assert chain_features(depth, flat, attention, late_ratio=0.4)[2] == pytest.approx(0.25)


def test_the_sum_with_weights_of_one_by_hand():
    parts = chain_features(DEPTH, PERPLEXITY, early=3)
    assert parts.sum() + 0.55 == pytest.approx(3.866987, abs=1e-6)


def test_one_or_two_steps_and_constants():
    assert chain_features(np.array([0.3]), np.array([2.0]), np.ones((1, 1))).tolist() == [0.3, 0.0, 0.0, 0.0]
    assert chain_features(np.array([0.1, 0.3]), np.array([2.0, 3.0]))[3] == 0.0
    assert chain_features(np.zeros(4), PERPLEXITY).tolist() == [0.0, 0.0, 0.0, 0.0]
    assert chain_features(DEPTH, np.full(4, 1.5))[3] == 0.0
    # All steps late: no early one to go back to.
    assert chain_features(DEPTH, PERPLEXITY, np.ones((4, 4)), late_ratio=1.0)[2] == 0.0


def test_attention_between_steps_is_summed_over_keys_and_averaged_over_queries():
    attention = torch.tensor([[[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.2, 0.3, 0.5, 0], [0.4, 0.1, 0.2, 0.3]]])
    found = step_attention(attention, torch.tensor([[0, 0, 1, 1]]))
    torch.testing.assert_close(found, torch.tensor([[[1.0, 0.0], [0.5, 0.5]]]))
    # A token outside any step neither attends nor is attended to.
    found = step_attention(attention, torch.tensor([[0, -1, 1, 1]]))
    torch.testing.assert_close(found, torch.tensor([[[1.0, 0.0], [0.3, 0.5]]]))


def batch(rows, mask=None):
    width = max(map(len, rows))
    values = torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows])
    there = torch.tensor([[True] * len(row) + [False] * (width - len(row)) for row in rows]) if mask is None else mask
    return DepthScores(values, there, 100, (1,))


def test_a_batch_has_a_row_for_each_chain_and_a_gap_is_no_step():
    scores = batch([[0.1, 0.2, 0.3, 0.2], [0.3]])
    perplexity = torch.tensor([[1.1, 1.3, 1.9, 1.2], [2.0, 0.0, 0.0, 0.0]])
    found = depth_features(scores, perplexity, early=3)
    assert found.table[0].tolist() == pytest.approx([0.2, 0.408248, 0.0, 0.908739], abs=1e-5)
    assert found.table[1].tolist() == pytest.approx([0.3, 0.0, 0.0, 0.0], abs=1e-6)
    there = torch.tensor([[True, False, True, True, True]])
    gap = DepthScores(torch.tensor([[0.1, 0.6, 0.2, 0.3, 0.2]]), there, 100, (1,))
    wide = depth_features(gap, torch.tensor([[1.1, 9.0, 1.3, 1.9, 1.2]]), early=3)
    torch.testing.assert_close(wide.table[0], found.table[0])


def test_without_a_threshold_the_90th_percentile_of_the_batch_counts_as_overthought():
    attention = torch.tensor(five_steps([[0.2, 0.5, 0.3], [0.1, 0.6, 0.3]]), dtype=torch.float32)[None]
    scores = batch([[0.4, 0.1, 0.5, 0.3, 0.3]])
    ones = torch.ones(1, 5)
    # The percentile is .46, which step 2 reaches; with .5 and more beside it, it does not.
    assert depth_features(scores, ones, attention, late_ratio=0.4).table[0, 2].item() == pytest.approx(0.85)
    high = DepthThreshold(0.6, 100, (1,), "nats")
    assert depth_features(scores, ones, attention, late_ratio=0.4, tau=high).table[0, 2].item() == pytest.approx(0.55)
    with pytest.raises(ScorecraftError, match="unit paper, but the scores unit nats"):
        depth_features(scores, ones, attention, tau=DepthThreshold(0.6, 100, (1,), "paper"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: chain_features(DEPTH[:0], PERPLEXITY[:0]), "without a step has no features"),
        (lambda: chain_features(DEPTH, PERPLEXITY[:3]), "4 steps need as many"),
        (lambda: chain_features(DEPTH, PERPLEXITY, np.ones((3, 3))), "4 steps need as many"),
        (lambda: chain_features(DEPTH, PERPLEXITY, early=0), "early >= 1"),
        (lambda: chain_features(DEPTH, PERPLEXITY, late_ratio=0.0), "late_ratio in"),
        (
            lambda: depth_features(batch([[0.1]], torch.tensor([[False]])), torch.ones(1, 1)),
            "rollout 0 has no step",
        ),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_an_empty_batch_is_no_mistake():
    empty = DepthScores(torch.zeros(0, 0), torch.zeros(0, 0, dtype=torch.bool), 100, (1,))
    assert depth_features(empty, torch.zeros(0, 0)).table.shape == (0, 4)
    assert step_attention(torch.zeros(0, 0, 0), torch.zeros(0, 0, dtype=torch.int64)).shape == (0, 0, 0)


chains = st.lists(st.floats(0.0625, 0.6875, width=32), min_size=1, max_size=7)


@given(chains, st.floats(0.5, 2.0), st.integers(0, 10**6))
def test_shares_are_bounded_and_only_the_mean_has_a_unit(row, factor, seed):
    random = np.random.default_rng(seed)
    depth, perplexity = np.array(row), 1 + random.random(len(row))
    attention = random.random((len(row), len(row)))
    found = chain_features(depth, perplexity, attention)
    assert 0 <= found[2] <= 1 + 1e-12
    assert -1 - 1e-9 <= found[3] <= 1 + 1e-9
    scaled = chain_features(depth * factor, perplexity, attention)
    assert scaled[0] == pytest.approx(found[0] * factor)
    np.testing.assert_allclose(scaled[[1, 3]], found[[1, 3]], atol=1e-7)
