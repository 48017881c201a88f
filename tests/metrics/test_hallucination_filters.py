"""Refuse, resample, search: by hand, and the bound for every answer given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.hallucination_filters import rejection_sample, selective_filter, top1_search


def test_refusal_by_hand():
    # 1 - C is 0.05, exactly 0.25, 0.5.
    assert selective_filter([0.95, 0.75, 0.5], 0.25).tolist() == [True, True, False]


def test_search_by_hand():
    assert top1_search([0.5, 0.3, 0.2], [0.4, 0.95, 0.99], 0.1) == 1
    assert top1_search([0.5, 0.3, 0.2], [0.4, 0.95, 0.99], 0.04) == 2
    assert top1_search([0.5, 0.5], [0.4, 0.8], 0.1) is None
    assert top1_search([0.5, 0.5], [0.75, 0.4], 0.25) is None  # below beta, not at it
    assert top1_search([0.0, 1.0], [1.0, 0.0], 0.1) == 0


def test_resampling_by_hand():
    confidence = {"a": 0.5, "b": 0.75, "c": 0.9}
    drawn = iter("aabac")
    assert rejection_sample(lambda: next(drawn), lambda answer: confidence[answer], 0.2, 9) == "c"
    drawn = iter("aabac")
    assert rejection_sample(lambda: next(drawn), lambda answer: confidence[answer], 0.3, 9) == "b"
    drawn = iter("aabac")  # below beta, not at it
    assert rejection_sample(lambda: next(drawn), lambda answer: confidence[answer], 0.25, 9) == "c"
    drawn = iter("aabac")
    assert rejection_sample(lambda: next(drawn), lambda answer: confidence[answer], 0.2, 4) is None
    assert next(drawn) == "c"  # four were drawn, no more


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8), st.floats(0.01, 0.99))
def test_what_is_given_is_confident_enough_and_a_larger_beta_gives_more(answers, beta):
    p, c = np.array(answers).T
    found = top1_search(p, c, beta)
    if found is None:
        assert (1 - c >= beta).all()
    else:
        assert 1 - c[found] < beta
        assert p[found] == p[1 - c < beta].max()
    given_, more = selective_filter(c, beta), selective_filter(c, min(0.999, beta * 1.2))
    assert (1 - c[given_] <= beta).all()
    assert (more | ~given_).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: selective_filter([0.5], 0.0), "beta"),
        (lambda: selective_filter([1.5], 0.1), "confidence: row 0"),
        (lambda: top1_search([0.5], [0.5, 0.5], 0.1), "confidence: 2 rows"),
        (lambda: top1_search([0.5], [0.5], 1.0), "beta"),
        (lambda: rejection_sample(lambda: 0, lambda answer: 0.5, 1.5, 3), "beta"),
        (lambda: rejection_sample(lambda: 0, lambda answer: 0.5, 0.1, 0), "at least 1 try"),
        (lambda: rejection_sample(lambda: 0, lambda answer: 1.5, 0.1, 1), "confidence 1.5"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
