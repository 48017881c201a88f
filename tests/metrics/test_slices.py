"""Slices that are wrong are found, those that are right are not, and gaps are as by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.metrics.slices import SliceSums, calibration_slices


def sums_of(codes, labels, prob, parts=1):
    found = SliceSums()
    for part in np.array_split(np.arange(len(codes)), parts):
        found.add(np.asarray(codes)[part], np.asarray(labels, dtype=bool)[part], np.asarray(prob)[part])
    return found


def world(seed, rows=4000, values=8):
    random = np.random.default_rng(seed)
    codes, prob = random.integers(values, size=rows), random.random(rows)
    return codes, prob, random.random(rows)


def test_gap_by_hand_in_batches():
    codes = np.repeat([0, 1], 200)
    prob = np.repeat([0.3, 0.6], 200)
    labels = np.zeros(400, dtype=bool)
    labels[:60] = labels[200:350] = True  # 30 % and 75 %
    first, second = calibration_slices([("site", ["a", "b"], sums_of(codes, labels, prob, parts=5))])
    assert (first.value, first.rows, first.rate) == ("b", 200, 0.75)
    assert first.gap == pytest.approx(0.15)
    assert first.finding == "too low"
    assert second.gap == pytest.approx(0)
    assert second.finding == ""


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda p: p - 0.15, "too low"),
        (lambda p: p + 0.15, "too high"),
        (lambda p: 0.5 + 1.6 * (p - 0.5), "too sure"),
        (lambda p: 0.5 + 0.4 * (p - 0.5), "too timid"),
    ],
)
def test_what_is_wrong_is_found_and_named(change, finding):
    codes, truth, drawn = world(0)
    stated = np.where(codes == 3, change(0.2 + 0.6 * truth).clip(0, 1), 0.2 + 0.6 * truth)
    found = calibration_slices([("site", list("abcdefgh"), sums_of(codes, drawn < 0.2 + 0.6 * truth, stated))])
    assert found[0].value == "d"
    assert found[0].finding == finding
    assert all(one.finding == "" for one in found[1:])


def test_right_probabilities_are_seldom_called_wrong():
    named = 0
    for seed in range(200):
        codes, prob, drawn = world(seed, rows=2000)
        found = calibration_slices([("site", list("abcdefgh"), sums_of(codes, drawn < prob, prob))])
        named += any(one.finding for one in found)
    # At most 5 % of 200, within four deviations of sqrt(200 * .05 * .95) = 3.1.
    assert named <= 10 + 13


def test_small_slices_and_columns_of_one_value_are_left_out():
    codes, prob, drawn = world(0, rows=500, values=2)
    codes[:450] = 0
    found = calibration_slices([("site", ["a", "b"], sums_of(codes, drawn < prob, prob))])
    assert [one.value for one in found] == ["a"]
    assert calibration_slices([("site", ["a"], sums_of(np.zeros(500, dtype=int), drawn < prob, prob))]) == []
    assert calibration_slices([]) == []


def test_extreme_probabilities_have_an_interval_and_no_bins():
    # V = 400 * .001: Clopper and Pearson's interval of 0 of 400 ends at 1 - (level / 2)^(1 / 400) above 0.
    labels, prob = np.zeros(800, dtype=bool), np.full(800, 0.001)
    found = calibration_slices([("site", ["a", "b"], sums_of(np.repeat([0, 1], 400), labels, prob))])
    level = 0.05 / 2 / 2
    assert found[0].high == pytest.approx(1 - (level / 2) ** (1 / 400) - 0.001)
    assert found[0].finding == ""


def test_a_bad_confidence_is_told():
    with pytest.raises(ScorecraftError, match="between 0 and 1"):
        calibration_slices([], confidence=0)
