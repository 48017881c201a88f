"""Reports of scores, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from scorecraft.detect.ood_report import ood_report, pixel_report, threshold_at
from scorecraft.errors import ScorecraftError, ScorecraftWarning

OUTSIDE = [5, 18, 19, 20, 21, 30]


def test_by_hand():
    report = ood_report(range(1, 21), OUTSIDE)
    assert report.tau95 == 19
    assert report.fpr95 == 0.5
    # Inside scores below each outside one: 4.5 + 17.5 + 18.5 + 19.5 + 20 + 20, of 6 * 20.
    assert report.auroc == pytest.approx(100 / 120)
    # Precision at 30, 21, 20 (with an inside 20), 19, 18, 5.
    assert report.aupr_out == pytest.approx((1 + 1 + 3 / 4 + 4 / 6 + 5 / 8 + 6 / 22) / 6)


def test_outside_as_the_positive_class():
    # All six must be reached (.95 * 6 > 5), so the threshold is 5, which 16 of 20 inside reach.
    report = ood_report(range(1, 21), OUTSIDE, "out")
    assert (report.tau95, report.fpr95) == (5, pytest.approx(0.8))
    assert report.auroc == pytest.approx(100 / 120)


def test_pixels_are_counted_together_and_some_not_at_all():
    scores = torch.tensor([[[0.125, 0.75], [0.25, 0.5]]])
    outside = torch.tensor([[[False, True], [False, True]]])
    assert pixel_report(scores, outside).auroc == 1.0
    ignore = torch.tensor([[[True, False], [False, False]]])
    assert pixel_report(scores, outside, ignore) == ood_report([0.25], [0.75, 0.5], "out")


def test_equal_scores_are_warned_of():
    with pytest.warns(ScorecraftWarning, match="all scores are equal"):
        report = ood_report([1.0, 1.0], [1.0])
    assert (report.auroc, report.fpr95) == (0.5, 1.0)


@pytest.mark.parametrize(("count", "wanted"), [(1, 0), (19, 18), (20, 18), (21, 19), (100, 94), (1000, 949)])
def test_the_threshold_leaves_out_at_most_a_twentieth(count, wanted):
    assert threshold_at(np.arange(count)) == wanted


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=30),
    st.lists(st.integers(-5, 5), min_size=1, max_size=30),
)
def test_what_the_report_means(inside, outside):
    both = np.array([*inside, *outside])
    if both.min() == both.max():
        return
    report = ood_report(inside, outside)
    assert (np.array(inside) <= report.tau95).mean() >= 0.95
    assert (np.array(inside) < report.tau95).mean() < 0.95
    assert report.fpr95 == pytest.approx((np.array(outside) <= report.tau95).mean())
    pairs = np.array(outside)[:, None] - np.array(inside)
    assert report.auroc == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    swapped = ood_report(-np.array(outside), -np.array(inside), "out")
    assert (swapped.fpr95, swapped.tau95) == (pytest.approx(report.fpr95), -report.tau95)
    assert (swapped.aupr_in, swapped.aupr_out) == pytest.approx((report.aupr_out, report.aupr_in))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ood_report([], [1.0]), "id_scores: no rows"),
        (lambda: ood_report([1.0], []), "ood_scores: no rows"),
        (lambda: ood_report([1.0], [float("nan")]), "row 0 is nan"),
        (lambda: pixel_report(torch.zeros(2, 2), torch.zeros(2)), "one shape"),
        (lambda: pixel_report(torch.zeros(2, 2), torch.zeros(2, 2)), "ood_scores: no rows"),
        (lambda: threshold_at([1.0], 0.0), "share above 0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ood_report([1.0], [2.0], "inside"), "'in' or 'out'"),  # pyright: ignore
    ],
)
def test_what_checked_types_refuse_too(call, said):
    with pytest.raises((ScorecraftError, TypeCheckError), match=f"{said}|Type-check error"):
        call()
