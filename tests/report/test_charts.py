"""Which curves are drawn, and from which numbers."""

from __future__ import annotations

from scorecraft.report import charts


def test_rows_become_columns_the_last_row_of_a_step_winning():
    rows = [
        {"step": 1, "reward": 0.1, "name": "x"},
        {"step": 3, "reward": None, "kl": 0.123456789},
        {"step": 2, "reward": 5.0},
        {"step": 1, "reward": 0.2},
    ]
    assert charts.columns(rows) == {"step": [1, 2, 3], "reward": [0.2, 5, None], "kl": [None, None, 0.123457]}


def test_no_rows_give_no_columns():
    assert charts.columns([]) == {}


def test_every_metric_finds_its_place_exactly_once():
    keys = [
        "step", "seconds", "reward", "accuracy", "reward/correct", "reward/brevity", "entropy", "clip_fraction",
        "zero/clipped", "outcomes/correct/scored", "outcomes/correct/timeout", "outcomes/a/b/scored", "my_own_metric",
        "measure/correct/raw", "measure/a/b/step_count",
    ]  # fmt: skip
    assert [chart.title for chart in charts.parts(keys)] == [
        "correct", "brevity", "correct: raw", "a/b: step count",
    ]  # fmt: skip
    drawn = charts.dynamics(keys)
    assert [chart.title for chart in drawn] == [
        "Entropy", "Clip fraction", "Outcomes of correct", "Outcomes of a/b", "My own metric", "Seconds per step",
    ]  # fmt: skip
    assert drawn[1].format == "share"
    assert drawn[2].labels == ("scored", "timeout")
    placed = [key for chart in [*charts.parts(keys), *drawn] for key in chart.keys]
    assert sorted([*placed, "step", "reward", "accuracy", "zero/clipped"]) == sorted(keys)


def test_pass_at_k_is_one_chart():
    assert charts.pass_at_k(["step", "accuracy"]) == []
    (chart,) = charts.pass_at_k(["pass@1", "accuracy", "pass@4"])
    assert chart.keys == chart.labels == ("pass@1", "pass@4")
