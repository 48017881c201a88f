"""Reasoning Scores of steps: by hand, in both units, and blind to padding."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.reasoning_depth import (
    DepthScores,
    calibrate_threshold,
    reasoning_scores,
    step_means,
    step_perplexity,
    steps_of_spans,
    token_measurements,
)
from scorecraft.credit.reasoning_depth.reasoning_scores import nats_to, step_quantile
from scorecraft.errors import ScorecraftError


def identity(values):
    return values


def test_a_step_of_two_tokens_and_one_layer_by_hand():
    # The identity unembeds: states are logits. Divergences .693147 (up to e^-100) and .101749, mean .397448.
    final = torch.tensor([[0.0, -100.0], [math.log(0.5), math.log(0.5)]])
    late = torch.tensor([[[-100.0, 0.0], [math.log(0.9), math.log(0.1)]]])
    found = token_measurements(late, final, torch.tensor([0, 1]), identity, identity)
    assert found.depth.tolist() == pytest.approx([0.693147, 0.101749], abs=1e-6)
    assert found.logprob.tolist() == pytest.approx([0.0, math.log(0.5)], abs=1e-6)
    assert found.entropy.tolist() == pytest.approx([0.0, math.log(2)], abs=1e-6)
    scores = reasoning_scores(found.depth[None], torch.tensor([[0, 0]]), vocabulary=2, layers=[1])
    assert scores.values.item() == pytest.approx(0.397448, abs=1e-6)
    assert (scores.unit, scores.layers, scores.vocabulary) == ("nats", (1,), 2)


def test_layers_are_averaged_and_only_early_states_are_normed():
    final = torch.tensor([[0.0, 0.0]])
    late = torch.tensor([[[0.0, 0.0]], [[math.log(9.0) - 1, -1.0]]])
    found = token_measurements(late, final, torch.tensor([0]), lambda h: h + 3, identity)
    # Adding 3 to all logits changes no distribution: 0 and .101749.
    assert found.depth.item() == pytest.approx(0.101749 / 2, abs=1e-6)
    doubled = token_measurements(late, final + torch.tensor([0.0, 1.0]), torch.tensor([0]), lambda h: 0 * h, identity)
    p = 1 / (1 + math.e)
    m = (p + 0.5) / 2
    by_hand = 0.5 * sum(x * math.log(x / y) for x, y in ((p, m), (1 - p, 1 - m), (0.5, m), (0.5, 1 - m)))
    assert doubled.depth.item() == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_chunks_change_nothing(chunk):
    random = torch.Generator().manual_seed(0)
    late, final = torch.randn(3, 7, 5, generator=random), torch.randn(7, 5, generator=random)
    tokens = torch.randint(5, (7,), generator=random)
    for found, whole in zip(
        token_measurements(late, final, tokens, identity, identity, chunk),
        token_measurements(late, final, tokens, identity, identity, 7),
        strict=True,
    ):
        torch.testing.assert_close(found, whole)


def test_the_papers_unit_is_the_vocabulary_mean_in_millionths():
    # 0.4 nats over 152 000 tokens: 0.4 / 152000 * 1e6 = 2.63158.
    depth, steps = torch.tensor([[0.4]]), torch.tensor([[0]])
    scores = reasoning_scores(depth, steps, vocabulary=152_000, layers=[1], unit="paper")
    assert scores.values.item() == pytest.approx(2.631579)
    assert scores.in_unit("nats").values.item() == pytest.approx(0.4)
    assert scores.in_unit("nats").unit == "nats"
    assert scores.in_unit("paper").values.item() == pytest.approx(2.631579)
    with pytest.raises(ScorecraftError, match="unknown unit 'bits'"):
        inspect.unwrap(nats_to)("bits", 9)


def test_perplexity_is_the_exponential_of_the_mean():
    logprobs = torch.tensor([[-1.0, -3.0, -9.0, -0.5]])
    found = step_perplexity(logprobs, torch.tensor([[0, 0, -1, 2]]))
    assert found.tolist()[0] == pytest.approx([math.exp(2), 0.0, math.exp(0.5)])


def test_spans_become_steps():
    assert steps_of_spans([(0, 2), (3, 4)], 5).tolist() == [0, 0, -1, 1, -1]


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ([], "a chain without a step has no score"),
        ([(0, 1), (2, 2)], "step 1 is empty"),
        ([(0, 6)], "step 0 has tokens 0 to 6, but there are 5"),
        ([(-1, 2)], "step 0 has tokens -1"),
        ([(0, 3), (2, 4)], "step 1 .* overlaps"),
    ],
)
def test_spans_that_cannot_be_are_named(spans, said):
    with pytest.raises(ScorecraftError, match=said):
        steps_of_spans(spans, 5)


def test_logits_that_are_no_numbers_are_named():
    late, final = torch.zeros(1, 3, 2), torch.zeros(3, 2)
    tokens = torch.zeros(3, dtype=torch.int64)
    for broken in (late[0], final):
        broken[1, 0] = math.nan
        with pytest.raises(ScorecraftError, match="position 1 are not numbers"):
            token_measurements(late, final, tokens, identity, identity, 2)
        broken[1, 0] = 0.0
    with pytest.raises(ScorecraftError, match="no late layers"):
        token_measurements(late[:0], final, tokens, identity, identity)


def test_depths_that_cannot_be_are_named():
    for value in (-0.1, 0.7, math.nan):
        with pytest.raises(ScorecraftError, match="step 1 of rollout 0 has"):
            reasoning_scores(torch.tensor([[0.1, value]]), torch.tensor([[0, 1]]), vocabulary=9, layers=[1])


def test_a_threshold_is_a_quantile_and_holds_for_its_own_kind_only():
    # Of .1 .2 .3 .4 (one step is not there) the 90th percentile is .3 + .7 * .1.
    values, there = torch.tensor([[0.1, 0.2, 0.6], [0.3, 0.4, 0.0]]), torch.tensor([[1, 1, 0], [1, 1, 0]]).bool()
    scores = DepthScores(values, there, 100, (1,))
    threshold = calibrate_threshold(scores)
    assert threshold.value == pytest.approx(0.37)
    assert threshold.of(scores) == threshold.value
    assert calibrate_threshold(scores, 0.0).value == pytest.approx(0.1)
    for other, said in (
        (scores.in_unit("paper"), "unit nats"),
        (DepthScores(values, there, 99, (1,)), "vocabulary 100"),
        (DepthScores(values, there, 100, (2,)), "layers"),
    ):
        with pytest.raises(ScorecraftError, match=said):
            threshold.of(other)
    with pytest.raises(ScorecraftError, match="quantile between 0 and 1"):
        calibrate_threshold(scores, 1.5)
    with pytest.raises(ScorecraftError, match="no steps"):
        step_quantile(values, ~there & False, 0.5)


def test_an_empty_batch_is_no_mistake():
    empty = torch.zeros(0, 0)
    scores = reasoning_scores(empty, empty.long(), vocabulary=9, layers=[1])
    assert scores.values.shape == (0, 0)
    found = token_measurements(
        torch.zeros(1, 0, 2), torch.zeros(0, 2), torch.tensor([], dtype=torch.int64), identity, identity
    )
    assert found.depth.shape == (0,)


chains = st.lists(st.tuples(st.floats(0, 0.6875, width=32), st.integers(-1, 3)), min_size=1, max_size=8)


@given(chains, st.integers(0, 3))
def test_means_are_those_of_each_steps_tokens_and_padding_never_leaks(chain, padding):
    depth = torch.tensor([[value for value, _ in chain] + [math.nan] * padding])
    steps = torch.tensor([[step for _, step in chain] + [-1] * padding])
    means, there = step_means(depth, steps)
    for step in range(means.shape[1]):
        own = [value for value, at in chain if at == step]
        assert bool(there[0, step]) == bool(own)
        assert means[0, step].item() == pytest.approx(sum(own) / len(own) if own else 0.0, abs=1e-6)
    assert means.shape[1] == max(step for _, step in chain) + 1
