"""The usual rankings: by hand, against choix, and their invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorecraft.arena.aggregate_rankings import borda, bradley_terry, elo, mean_score, mean_z_score, win_rate
from scorecraft.arena.win_tensor import win_tensor
from scorecraft.errors import ScorecraftError

SCORES = [[1.0, 2.0, 3.0], [0.0, 0.0, 6.0]]


def test_by_hand():
    assert mean_score(SCORES).tolist() == [0.5, 1.0, 4.5]
    # First benchmark: deviations -1, 0, 1 over sqrt(2/3); second: -2, -2, 4 over sqrt(8).
    a, b = 1 / np.sqrt(2 / 3), 1 / np.sqrt(8)
    assert mean_z_score(SCORES) == pytest.approx([(-a - 2 * b) / 2, -b, (a + 4 * b) / 2])
    # Shares of the two others: 0, 1/2, 1; then 1/4 (a tie of one), 1/4, 1.
    assert borda(SCORES).tolist() == [0.125, 0.375, 1.0]
    assert win_rate(win_tensor(SCORES)).tolist() == [0.125, 0.375, 1.0]


def test_missing_scores_are_left_out():
    scores = [[1.0, 2.0, np.nan], [0.0, np.nan, 6.0]]
    assert mean_score(scores).tolist() == [0.5, 2.0, 6.0]
    assert borda(scores).tolist() == [0.0, 1.0, 1.0]
    wins = win_tensor(scores, missing="skip")
    assert win_rate(wins).tolist() == [0.0, 1.0, 1.0]
    assert mean_z_score(scores)[0] == pytest.approx(-1)
    with pytest.raises(ScorecraftError, match="model 1 has no score"):
        mean_score([[1.0, np.nan]])


def test_a_benchmark_without_spread_counts_nothing():
    assert mean_z_score([[0.1 + 0.2, 0.3, 0.3], [1.0, 2.0, 3.0]])[1] == pytest.approx(0)


def test_bradley_terry_of_two_by_hand():
    # Two wins against one: strengths 2 to 1.
    wins = np.array([[[0, 1], [0, 0]], [[0, 1], [0, 0]], [[0, 0], [1, 0]]], dtype=float)
    found = bradley_terry(wins, ridge=1e-9, rounds=2000)
    assert found[0] - found[1] == pytest.approx(np.log(2), abs=1e-5)
    with pytest.raises(ScorecraftError, match="ridge"):
        bradley_terry(wins, ridge=0)


def test_bradley_terry_agrees_with_choix():
    choix = pytest.importorskip("choix")
    random = np.random.default_rng(0)
    wins = win_tensor(random.normal(size=(12, 5)) + 0.3 * np.arange(5))
    counts = wins.sum(0)
    theirs = choix.mm_pairwise(
        5, [(i, j) for i in range(5) for j in range(5) for _ in range(int(counts[i, j]))], max_iter=20_000, tol=1e-10
    )
    assert bradley_terry(wins, ridge=1e-10, rounds=20_000) == pytest.approx(theirs - theirs.mean(), abs=1e-4)


def test_bradley_terry_of_one_that_always_wins_is_finite():
    assert np.isfinite(bradley_terry(win_tensor([[1.0, 0.0]]))).all()


def test_elo_of_one_meeting():
    # Equal ratings: expected 1/2, and half of 32 changes hands.
    assert elo(win_tensor([[1.0, 0.0]]), shuffles=1).tolist() == [1016, 984]
    assert elo(win_tensor([[1.0, 1.0]]), shuffles=3).tolist() == [1000, 1000]


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_renaming_renames_and_units_do_not_count(seed):
    random = np.random.default_rng(seed)
    scores = random.normal(size=(4, 6))
    order = random.permutation(6)
    for method in (mean_score, mean_z_score, borda):
        assert method(scores[:, order]) == pytest.approx(method(scores)[order])
    wins = win_tensor(scores)
    assert bradley_terry(win_tensor(scores[:, order])) == pytest.approx(bradley_terry(wins)[order])
    assert elo(wins).sum() == pytest.approx(6000)
    scaled = scores.copy()
    scaled[0] = 100 * scaled[0] + 7
    assert mean_z_score(scaled) == pytest.approx(mean_z_score(scores))
    assert borda(scaled) == pytest.approx(borda(scores))
