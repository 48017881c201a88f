"""Matching calls with golden ones: values by hand, the best total by trying all, transport plans, and bad tables."""

from __future__ import annotations

import inspect
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scorecraft.credit.turn_matching import match_hard, match_hard_batch, match_soft, match_soft_batch
from scorecraft.errors import ScorecraftError, ScorecraftWarning


def table(rows):
    return torch.tensor(rows, dtype=torch.float64)


def close(found, expected, tolerance=1e-6):
    torch.testing.assert_close(found, table(expected), atol=tolerance, rtol=0)


REPEATED = table([[0.625, 0.0], [0.625, 0.0], [0.0, 2 / 3]])
CROSSED = table([[0.9, 0.8], [0.8, 0.1]])
NONE = torch.zeros(0, 0, dtype=torch.float64)


def test_a_golden_call_is_claimed_once_and_by_the_first():
    for solver in ("hungarian", "greedy"):
        found = match_hard(REPEATED, solver)
        close(found.rewards, [0.625, 0.0, 2 / 3])
        assert found.assignment.tolist() == [0, -1, 1]
    close(match_hard(REPEATED, unmatched=-0.5).rewards, [0.625, -0.5, 2 / 3])
    close(match_hard(torch.eye(2, dtype=torch.float64)).rewards, [1.0, 1.0])


def test_greedy_can_fall_short_of_the_best_total():
    close(match_hard(CROSSED).rewards, [0.8, 0.8])
    close(match_hard(CROSSED, "greedy").rewards, [0.9, 0.1])


def test_a_pair_without_similarity_is_no_match():
    found = match_hard(table([[0.0, 0.0], [0.0, 0.3]]), unmatched=-1.0)
    close(found.rewards, [-1.0, 0.3])
    assert found.assignment.tolist() == [-1, 1]
    # A pair below 0 is left alone, though both are free.
    assert match_hard(table([[-0.2]])).assignment.tolist() == [-1]
    # Optimal only because the first call does without: 0.9 + 0.6 above 0.9 + 0.1 and 0.8 + 0.6.
    assert match_hard(table([[0.8, 0.1], [0.9, 0.0], [0.0, 0.6]])).assignment.tolist() == [-1, 0, 1]


def test_equal_calls_are_matched_from_the_first_on_where_the_solver_is_needed():
    # Neither best columns nor best rows are all different, so these are solved; three equal calls for two places.
    found = match_hard(table([[0.5, 0.4], [0.5, 0.4], [0.5, 0.4]]))
    assert sorted(found.assignment[:2].tolist()) == [0, 1]
    assert found.assignment[2] == -1
    found = match_hard(table([[0.6, 0.5, 0.0], [0.7, 0.55, 0.0], [0.6, 0.5, 0.0], [0.0, 0.55, 0.5]]))
    # Best: 0.55 (row 1, column 1), 0.6 (an equal one), 0.5 (row 3): 1.65; or 0.7 + 0.5 + 0.5 = 1.7.
    assert found.assignment.tolist() == [1, 0, -1, 2]


def best_total(gain):
    """Try every way to give each call another golden one, or none."""
    calls, golds = gain.shape
    wide = np.concatenate((np.maximum(gain, 0), np.zeros((calls, calls))), 1)
    return max(
        sum(wide[row, column] for row, column in enumerate(chosen))
        for chosen in itertools.permutations(range(golds + calls), calls)
    )


def greedy_by_sorting(gain):
    pairs = sorted(((i, j) for i in range(gain.shape[0]) for j in range(gain.shape[1])), key=lambda p: -gain[p])
    assignment = [-1] * gain.shape[0]
    for i, j in pairs:
        if gain[i, j] > 0 and assignment[i] < 0 and j not in assignment:
            assignment[i] = j
    return assignment


# Few different values make ties, and equal rows, frequent.
gains = st.tuples(st.integers(1, 4), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.sampled_from([-0.5, 0.0, 0.25, 0.5, 0.6, 1.0]))
)


@given(gains)
def test_no_other_assignment_has_more(gain):
    rewards, assignment = match_hard(torch.from_numpy(gain))
    assert rewards.sum().item() == pytest.approx(best_total(gain), abs=1e-12)
    claimed = [column for column in assignment.tolist() if column >= 0]
    assert len(set(claimed)) == len(claimed)
    for row, column in enumerate(assignment.tolist()):
        assert rewards[row].item() == (gain[row, column] if column >= 0 else 0.0)
        assert column < 0 or gain[row, column] > 0
        for earlier in range(row):
            if (gain[earlier].clip(0) == gain[row].clip(0)).all():
                assert not (assignment[earlier] < 0 <= column)


@given(gains)
def test_greedy_takes_the_best_pair_left(gain):
    rewards, assignment = match_hard(torch.from_numpy(gain), "greedy")
    assert assignment.tolist() == greedy_by_sorting(gain)
    assert rewards.sum() <= match_hard(torch.from_numpy(gain)).rewards.sum() + 1e-12


@given(st.lists(gains, min_size=1, max_size=4), st.floats(-1, 1))
def test_traces_do_not_depend_on_each_other_nor_on_the_padding(traces, padding):
    shape = [max(gain.shape[axis] for gain in traces) + 1 for axis in (0, 1)]
    stacked = torch.full((len(traces), *shape), padding, dtype=torch.float64)
    for row, gain in enumerate(traces):
        stacked[row, : gain.shape[0], : gain.shape[1]] = torch.from_numpy(gain)
    calls, golds = (torch.tensor([gain.shape[axis] for gain in traces]) for axis in (0, 1))
    hard = match_hard_batch(stacked, calls, golds, unmatched=-0.5)
    soft = match_soft_batch(stacked, calls, golds)
    for row, gain in enumerate(traces):
        alone, transported = match_hard(torch.from_numpy(gain), unmatched=-0.5), match_soft(torch.from_numpy(gain))
        count = gain.shape[0]
        assert hard.rewards[row, :count].tolist() == alone.rewards.tolist()
        assert hard.assignment[row, :count].tolist() == alone.assignment.tolist()
        torch.testing.assert_close(soft.rewards[row, :count], transported.rewards, atol=1e-9, rtol=0)
        assert hard.rewards[row, count:].eq(0).all()
        assert hard.assignment[row, count:].eq(-1).all()
        assert soft.plan[row, count:].eq(0).all()
        assert soft.plan[row, :, gain.shape[1] :].eq(0).all()


def test_plans_by_hand_and_by_another_solver():
    # Two by two with the identity: exp(10) to 1, halved.
    own = 0.5 / (1 + math.exp(-10))
    close(match_soft(torch.eye(2, dtype=torch.float64)).plan, [[own, 0.5 - own], [0.5 - own, own]])
    # The same problems solved by the log-domain Sinkhorn of POT 0.9.7 down to 1e-15.
    found = match_soft(REPEATED)
    close(found.plan, [[0.249998772, 0.083334562]] * 2 + [[0.000002457, 0.333330877]])
    close(found.rewards, [0.15624923, 0.15624923, 0.22222058])
    close(match_soft(CROSSED).rewards, [0.40237129, 0.38340094])
    found = match_soft(table([[1.0, 0.5, 0.0], [0.2, 0.7, 0.4]]))
    close(found.plan, [[0.333311834, 0.137697806, 0.02899036], [0.0000215, 0.195635527, 0.304342973]])
    close(found.rewards, [0.40216074, 0.25868636])


def test_rescaled_rewards_are_on_the_scale_of_hard_matching():
    close(match_soft(torch.eye(2, dtype=torch.float64), rescale="P").rewards, [0.999955, 0.999955])
    close(match_soft(torch.eye(4, dtype=torch.float64), reg=0.02, rescale="P").rewards, [1.0] * 4)


@given(gains.map(lambda gain: gain.clip(0)), st.floats(0.05, 1))
def test_mass_is_moved_whole(gain, reg):
    rewards, plan = match_soft(torch.from_numpy(gain), reg)
    calls, golds = gain.shape
    torch.testing.assert_close(plan.sum(1), torch.full((calls,), 1 / calls, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(0), torch.full((golds,), 1 / golds, dtype=torch.float64), atol=1e-8, rtol=0)
    assert (rewards <= 1 / calls + 1e-9).all()
    order = torch.arange(calls).flip(0)
    flipped = match_soft(torch.from_numpy(gain)[order], reg)
    torch.testing.assert_close(flipped.rewards, rewards[order], atol=1e-7, rtol=0)


def test_a_trace_near_a_permutation_is_transported_exactly():
    # Alternating scaling alone would take some ten thousand iterations.
    gain = table([[1.0, 0.0], [0.01, 0.99]])
    plan = match_soft(gain, reg=0.08).plan
    # Two by two with masses 1/2: the odds own / other are exp((1 + .99 - .01) / (2 reg)).
    own = 0.5 / (1 + math.exp(-1.98 / 0.16))
    close(plan, [[own, 0.5 - own], [0.5 - own, own]], 1e-8)


def test_a_small_reg_comes_to_the_best_assignment_without_underflow():
    with pytest.warns(ScorecraftWarning, match="1 of 1 problems are not within 1e-300"):
        found = match_soft(CROSSED, reg=1e-4, tol=1e-300)
    close(found.rewards, [0.4, 0.4], 1e-4)


def test_without_calls_or_golden_calls():
    assert match_hard(torch.zeros(0, 3, dtype=torch.float64)).rewards.shape == (0,)
    assert match_soft(torch.zeros(0, 3, dtype=torch.float64)).plan.shape == (0, 3)
    with pytest.warns(ScorecraftWarning, match="1 of 1 traces have calls, but no golden calls"):
        found = match_hard(torch.zeros(2, 0, dtype=torch.float64), unmatched=-0.5)
    assert found.rewards.tolist() == [-0.5, -0.5]
    assert found.assignment.tolist() == [-1, -1]
    with pytest.warns(ScorecraftWarning, match="no golden calls"):
        assert match_soft(torch.zeros(2, 0, dtype=torch.float64)).rewards.tolist() == [0.0, 0.0]
    nothing = torch.tensor([], dtype=torch.int64)
    assert match_hard_batch(NONE[None, :0][:0], nothing, nothing).rewards.shape == (0, 0)
    assert match_soft_batch(NONE[None, :0][:0], nothing, nothing).rewards.shape == (0, 0)
    assert match_hard_batch(torch.zeros(2, 0, 1, dtype=torch.float64), nothing.new_zeros(2), nothing.new_ones(2))
    mixed = torch.zeros(2, 1, 1, dtype=torch.float64)
    mixed[0] = 0.7
    with pytest.warns(ScorecraftWarning, match="1 of 2 traces"):
        found = match_hard_batch(mixed, torch.tensor([1, 1]), torch.tensor([1, 0]), unmatched=-0.1)
    assert found.rewards.tolist() == [[0.7], [-0.1]]


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: match_soft(CROSSED, reg=0.0), "reg above 0"),
        (lambda: match_soft(CROSSED, reg=float("nan")), "reg above 0"),
        (lambda: match_soft(CROSSED, max_iter=0), "max_iter of at least 1"),
        (lambda: inspect.unwrap(match_soft_batch)(*one(CROSSED), rescale="G"), "unknown rescale 'G'"),
        (lambda: inspect.unwrap(match_hard_batch)(*one(CROSSED), solver="best"), "unknown solver 'best'"),
        (lambda: match_hard(table([[0.5], [math.nan]])), "trace 0 has a similarity that is not finite"),
        (lambda: match_soft(table([[0.5], [math.inf]])), "not finite"),
    ],
)
def test_bad_input_is_named(run, said):
    with pytest.raises(ScorecraftError, match=said):
        run()


def one(similarity):
    return similarity[None], torch.tensor([similarity.shape[0]]), torch.tensor([similarity.shape[1]])
