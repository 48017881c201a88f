from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.stats.pass_at_k import pass_at_k


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"), [(8, 2, 1, 0.25), (8, 2, 4, 11 / 14), (8, 2, 7, 1.0), (8, 0, 4, 0.0), (8, 8, 1, 1.0)]
)
def test_hand_vectors(n, c, k, expected):
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_equals_the_share_of_all_draws_that_hold_a_correct_sample(case):
    n, c, k = case
    draws = list(combinations(range(n), k))
    share = sum(any(i < c for i in draw) for draw in draws) / len(draws)
    assert pass_at_k(n, c, k) == pytest.approx(share, abs=1e-12)


def test_arrays_broadcast():
    assert pass_at_k(8, np.array([2, 0]), 4) == pytest.approx([11 / 14, 0.0], abs=1e-12)


def test_large_counts_stay_exact():
    # 1 - (n-c)/n for k = 1, and 1 - 1/C(n, k) where just k samples are wrong
    assert pass_at_k(100_000, 1, 1) == pytest.approx(1e-5, rel=1e-9)
    assert pass_at_k(10_000, 10_000 - 256, 256) == 1.0


@pytest.mark.parametrize(
    ("n", "c", "k", "words"),
    [
        (4, 2, 5, "only 4 samples"),
        (4, 5, 2, "from 0 to samples"),
        (4, -1, 2, "from 0 to samples"),
        (4, 2, 0, "from 1"),
        (4, 1.5, 2, "whole numbers"),
    ],
)
def test_impossible_counts_are_refused(n, c, k, words):
    with pytest.raises(ScorecraftError, match=words):
        pass_at_k(n, c, k)
