"""Pairs share a question and no row, whatever the table; copies are told."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.metrics.answer_pairs import make_pairs


def test_pairs_by_hand():
    found = make_pairs(["a", "b", "a"], ["x", "y", "z"], np.random.default_rng(0))
    assert sorted([*found.first, *found.second]) == [0, 2]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(0, 99))
def test_every_question_gives_half_its_answers_in_pairs(queries, seed):
    asked = np.array(queries)
    answers = np.arange(len(asked))
    expected = int((np.bincount(asked) // 2).sum())
    if not expected:
        with pytest.raises(ScorecraftError, match="pairs needed; one answer per query cannot separate"):
            make_pairs(asked, answers, np.random.default_rng(seed))
        return
    one, two = make_pairs(asked, answers, np.random.default_rng(seed))
    assert len(one) == len(two) == expected
    assert (asked[one] == asked[two]).all()
    assert len({*one.tolist(), *two.tolist()}) == 2 * expected
    again = make_pairs(asked, answers, np.random.default_rng(seed))
    assert again.first.tolist() == one.tolist()


def test_either_row_may_come_first():
    firsts = {int(make_pairs([7, 7], [0, 1], np.random.default_rng(seed)).first[0]) for seed in range(20)}
    assert firsts == {0, 1}


def test_copies_are_told_and_two_answers_are_not_suspicious():
    random = np.random.default_rng(0)
    queries = np.repeat(np.arange(30), 2)
    with pytest.warns(ScorecraftWarning, match="100.0% of the pairs are equal"):
        make_pairs(queries, queries, random)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_pairs(queries, queries % 2, random)
        make_pairs(queries, np.arange(60) % 3, random)


def test_bad_input_is_named():
    for queries, answers in (([1, 1], [1]), ([[1, 1]], [[1, 2]])):
        with pytest.raises(ScorecraftError, match="a question and an answer a row"):
            make_pairs(queries, answers, np.random.default_rng(0))
    with pytest.raises(ScorecraftError, match="pairs needed"):
        make_pairs([], [], np.random.default_rng(0))
