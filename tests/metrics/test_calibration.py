"""Calibration metrics and votes: by hand, and against scipy's own statistic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.calibration import auroc, brier, ece
from scorecraft.metrics.confidence_vote import confidence_ensemble, confidence_weighted_vote


def test_calibration_error_by_hand():
    # Bin of .95: two of three right, gap .95 - 2/3; bin of .15: right, gap .85. (3 * .28333 + .85) / 4.
    assert ece([1, 1, 0, 1], [0.95, 0.95, 0.95, 0.15]) == pytest.approx((3 * (0.95 - 2 / 3) + 0.85) / 4)
    assert ece([1, 0], [1.0, 0.0]) == 0.0


def test_a_confidence_on_an_edge_belongs_to_the_bin_it_opens():
    # .3 and .35 share the bin [.3, .4): mean gap (.7 - .35) / 2. Closed on the right, .3 is in (.2, .3] alone.
    assert ece([1, 0], [0.3, 0.35]) == pytest.approx(0.175)
    assert ece([1, 0], [0.3, 0.35], right_closed=True) == pytest.approx((0.7 + 0.35) / 2)


def test_bins_of_equal_size():
    # Halves (.1, .2) and (.8, .9), one right in each.
    assert ece([1, 0, 1, 0], [0.1, 0.2, 0.8, 0.9], 2, adaptive=True) == pytest.approx(0.35)


def test_brier_by_hand():
    assert brier([1, 0], [0.9, 0.5]) == pytest.approx((0.01 + 0.25) / 2)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=2, max_size=30))
def test_auroc_is_the_rank_statistic(pairs):
    right, stated = np.array([c for c, _ in pairs], dtype=float), np.array([q for _, q in pairs])
    if right.min() == right.max():
        with pytest.raises(ScorecraftError, match="only one kind"):
            auroc(right, stated)
        return
    statistic = mannwhitneyu(stated[right == 1], stated[right == 0]).statistic
    assert auroc(right, stated) == pytest.approx(statistic / (right.sum() * (1 - right).sum()))


def test_votes_by_hand():
    answers, stated = ["A", "B", "B", "C"], [0.9, 0.3, 0.4, 0.2]
    assert confidence_weighted_vote(answers, stated) == ("A", pytest.approx(0.9))
    assert confidence_weighted_vote(answers, stated, mode="max") == ("A", 0.9)
    assert confidence_weighted_vote(answers, [1, 1, 1, 1])[0] == "B"
    assert confidence_weighted_vote(answers, stated, mode="mean")[0] == "A"
    assert confidence_weighted_vote([" 3", "3", "4"], [0.3, 0.3, 0.5], key=lambda a: str(a).strip())[0] == " 3"
    assert confidence_weighted_vote(["x", "y"], [0.5, 0.5])[0] == "x"
    assert confidence_ensemble([[0.2, 0.4], [1.0, 0.0]]).tolist() == pytest.approx([0.3, 0.5])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ece([], []), "expected two lists"),
        (lambda: ece([1], [1.1]), "confidence 0 is 1.1"),
        (lambda: ece([1], [float("nan")]), "confidence 0 is nan"),
        (lambda: ece([0.5], [0.5]), "correctness of 0 or 1"),
        (lambda: ece([1, 0], [0.5]), "shapes"),
        (lambda: ece([1], [0.5], 0), "at least 1 bin"),
        (lambda: confidence_weighted_vote([], []), "one confidence for each"),
        (lambda: confidence_weighted_vote(["a"], [2.0]), "in \\[0, 1\\]"),
        (lambda: confidence_ensemble([]), "at least one confidence"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
