"""Differences between recipes: paired by seed, with intervals, and said in words."""

from __future__ import annotations

import pytest

from scorecraft.report.comparison import comparison, difference, final_values, written
from scorecraft.report.seeds import Series


def rows_by_key(result):
    return {row["key"]: row for row in result["rows"]}


def test_what_a_run_came_to():
    metrics = [{"step": step, "reward": step / 40, "accuracy": 0.5, "gap": step / 40 - 0.5} for step in range(1, 41)]
    evaluations = [{"step": 0, "accuracy": 0.1}, {"step": 40, "accuracy": 0.7}]
    # The last twentieth of 40 steps are steps 39 and 40: (39 + 40) / 2 / 40 = 0.9875.
    expected = {"held-out accuracy": 0.7, "reward": 0.9875, "accuracy": 0.5, "gap": 0.4875}
    assert final_values(metrics, evaluations) == pytest.approx(expected)
    assert final_values([], []) == {}


def test_pairs_are_made_by_seed():
    series = [Series("a", (0, 1, 2), (0, 1, 2)), Series("b", (3, 4, 5), (2, 1, 7))]
    rewards = [1.0, 2.0, 4.0, 4.5, 2.25, 100.0]
    result = comparison(series, [{"reward": reward} for reward in rewards], [9] * 6)
    (row,) = result["rows"]
    (found,) = row["differences"]
    # Seed 1: 2.25 - 2 = 0.25; seed 2: 4.5 - 4 = 0.5; seeds 0 and 7 have no partner.
    assert (found["estimate"], found["seeds"], found["clear"]) == (0.375, 2, True)
    # Percentile bootstrap of two values: every resample mean is 0.25, 0.375 or 0.5, the outer ones in 1 of 4 each.
    assert (found["low"], found["high"]) == (0.25, 0.5)
    assert row["values"] == [7 / 3, 106.75 / 3]
    assert result["seeds"] == [[1, 2]]
    assert result["sentences"] == [
        "b against a, over 2 seeds: clear of 0 in reward +0.375 [+0.25, +0.5].",
        "With 2 seeds an interval is often clear of 0 by chance; take 5 or more before believing it.",
    ]


def test_a_difference_is_clear_only_where_its_interval_leaves_out_zero():
    assert difference([(1.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.5, 0.0)])["clear"] is False
    assert difference([(-1.0, 0.0), (-2.0, 0.0), (-1.5, 0.0)])["clear"] is True
    assert difference([(1.0, 1.0), (1.0, 1.0)])["clear"] is False
    assert difference([]) is None


def test_one_seed_gives_differences_without_an_interval():
    series = [Series("a", (0,), (0,)), Series("b", (1,), (0,))]
    result = comparison(series, [{"reward": 1.0, "held-out accuracy": 0.5}, {"reward": 1.5}], [4, 9])
    rows = rows_by_key(result)
    assert rows["reward"]["differences"] == [{"estimate": 0.5, "low": None, "high": None, "seeds": 1, "clear": None}]
    assert rows["held-out accuracy"]["differences"] == [None]
    assert rows["held-out accuracy"]["values"] == [0.5, None]
    assert result["sentences"] == [
        "b against a: one seed only, so the differences have no interval and none can be told from chance.",
        "The runs did not all end at the same step: from step 4 to step 9.",
    ]


def test_nothing_is_compared_without_a_shared_seed():
    one, other, third = Series("a", (0,), (0,)), Series("b", (1,), (1,)), Series("c", (2,), (0,))
    finals = [{"reward": 1.0}] * 3
    assert comparison([one, other], finals, [1] * 3) == {}
    assert comparison([one], finals, [1] * 3) == {}
    said = comparison([one, other, third], finals, [1] * 3)["sentences"]
    assert said[0] == "b against a: they share no seed, so nothing can be paired."


def test_differences_are_written_with_their_sign():
    found = {"estimate": -0.123, "low": -0.2, "high": 0.05}
    assert written(found, "share") == "\u221212.3 points [\u221220.0, +5.0]"
    assert written({"estimate": 2.0, "low": None, "high": None}, "number") == "+2"
