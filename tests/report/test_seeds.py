"""Runs that differ only in the seed: which belong together, their mean and its interval."""

from __future__ import annotations

import math

import pytest

from scorecraft.report.seeds import Series, mean_and_band, rows_of, series_of


def test_runs_belong_together_when_only_the_seed_differs():
    recipes = [
        {"steps": 2, "seed": 0},
        {"steps": 3, "seed": 0},
        {"seed": 1, "steps": 2},
        {"steps": 2, "seed": 0},
        {},
        {},
    ]
    names = ["a-seed-0", "b-seed-0", "a-seed-1", "again", "odd", "odder"]
    assert series_of(recipes, names) == [
        Series("a", (0, 2), (0, 1)),
        Series("b-seed-0", (1,), (0,)),
        # Recipe and seed of the first run: no further sample.
        Series("again", (3,), (0,)),
        Series("odd", (4,), (None,)),
        Series("odder", (5,), (None,)),
    ]


def test_names_stay_apart():
    recipes = [{"steps": steps, "seed": seed} for steps in (1, 2) for seed in (0, 1)]
    together = series_of(recipes, ["x-seed-0", "x-seed-1", "x_seed_0", "x_seed_1"])
    assert [one.name for one in together] == ["x-seed-0 + 1", "x_seed_0 + 1"]
    assert series_of(recipes[:2], ["first", "second"])[0].name == "first + 1"


def test_the_band_is_students_interval():
    tables = [
        {"step": [1, 2], "reward": [1.0, 5.0]},
        {"step": [1], "reward": [2.0]},
        {"step": [1, 3], "reward": [6.0, None]},
    ]
    means, bands = mean_and_band(tables)
    assert means["step"] == [1, 2, 3]
    # Step 1: mean (1+2+6)/3 = 3; s^2 = (4+1+9)/2 = 7; t(0.975, 2) = 4.302653.
    half = 4.302653 * math.sqrt(7 / 3)
    assert means["reward"] == [3, 5, None]
    low, high = bands["reward"]
    assert [low[0], high[0]] == pytest.approx([3 - half, 3 + half], rel=1e-5)
    # One value has a mean, but no interval; none has neither.
    assert low[1:] == high[1:] == [None, None]


def test_a_single_run_has_no_band_and_empty_runs_have_no_curves():
    table = {"step": [1], "reward": [0.5]}
    assert mean_and_band([table]) == (table, {})
    assert mean_and_band([{}, {}]) == ({}, {})
    assert rows_of(table) == [{"step": 1, "reward": 0.5}]


def test_the_band_of_a_share_stays_within_its_bounds(make_run):
    from scorecraft.report.overlay import read_run, report_data

    stores = [make_run(f"a-seed-{seed}", f"steps: 1\nseed: {seed}\n") for seed in (0, 1)]
    for store, accuracy in zip(stores, (0.2, 0.6), strict=True):
        store.append_metrics({"step": 1, "accuracy": accuracy, "reward": accuracy})
    (series,) = report_data([read_run(store, store.directory.name) for store in stores])["series"]
    # Mean 0.4, s = 0.283, t(0.975, 1) = 12.7: 0.4 -+ 2.54.
    assert series["bands"]["metrics"]["accuracy"] == [[0.0], [1.0]]
    low, high = series["bands"]["metrics"]["reward"]
    assert (low[0], high[0]) == pytest.approx((0.4 - 2.5412, 0.4 + 2.5412), abs=1e-3)
