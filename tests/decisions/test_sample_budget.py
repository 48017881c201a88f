"""Budgets of samples: smallest that are enough, cheapest in all, and honest where rates are not known."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.decisions.pass_rate_file import read_pass_rates
from scorecraft.decisions.sample_budget import (
    PassCurve,
    samples_for_all_alike,
    samples_for_each,
    samples_for_the_mean,
    success_prob_mixture,
    tips_needed_mixture,
)
from scorecraft.errors import ScorecraftError


def test_a_mixture_by_hand():
    # 1 - (.5^3 + .9^3) / 2
    assert success_prob_mixture([0.5, 0.1], 3) == pytest.approx(1 - (0.125 + 0.729) / 2)
    n = tips_needed_mixture(0.95, [0.5, 0.1])
    assert success_prob_mixture([0.5, 0.1], n) >= 0.95 > success_prob_mixture([0.5, 0.1], n - 1)
    assert tips_needed_mixture(0.5, [1.0, 0.0], allow_inf=True) == 1
    assert tips_needed_mixture(0.6, [1.0, 0.0], allow_inf=True) == math.inf
    assert tips_needed_mixture(0, [0.5]) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(0, 50))
def test_a_mixture_is_never_better_than_its_average(pi, n):
    assert success_prob_mixture(pi, n) <= 1 - (1 - np.mean(pi)) ** n + 1e-12


def test_unknown_rates_have_the_posteriors_expectation():
    # 2 of 3 right, prior (1/2, 1/2): 1 - (3/2 * 5/2) / (4 * 5) for two samples.
    curve = PassCurve([2 / 3], [3])
    bad, all_ = Fraction(3, 2), Fraction(4)
    assert curve.success(1)[0] == pytest.approx(float(1 - bad / all_))
    assert curve.success(2)[0] == pytest.approx(float(1 - bad * (bad + 1) / all_ / (all_ + 1)))
    assert curve.success(0)[0] == 0


@pytest.mark.parametrize("rates", [[0.9, 0.5, 0.1], [0.3, 0.3, 0.3], [1.0, 0.2, 0.6]])
def test_the_cheapest_plan_is_the_cheapest(rates):
    found = samples_for_the_mean(PassCurve(rates), 0.7)
    best = min(
        sum(taken)
        for taken in product(range(25), repeat=3)
        if (1 - (1 - np.array(rates)) ** np.array(taken)).mean() >= 0.7 - 1e-12
    )
    assert found.total == best
    assert found.reached >= 0.7 - 1e-12


def test_each_and_alike():
    curve = PassCurve([0.9, 0.5, 0.0])
    each = samples_for_each(curve, 0.95)
    assert each.samples.tolist() == [2, 5, -1]
    assert each.total == 7
    alike = samples_for_all_alike(PassCurve([0.9, 0.5]), 0.95)
    assert alike.samples.tolist() == [4, 4]  # 1 - (.0001 + .0625) / 2; three give 1 - (.001 + .125) / 2 = .937
    with pytest.raises(ScorecraftError, match="out of reach"):
        samples_for_all_alike(curve, 0.95)
    with pytest.raises(ScorecraftError, match="out of reach"):
        samples_for_the_mean(curve, 0.95)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 8)), min_size=1, max_size=6), st.floats(0.3, 0.9))
def test_plans_with_few_samples_reach_the_target(rows, target):
    rate, trials = ([min(a, n) / n for a, n in rows], [n for _, n in rows])
    curve = PassCurve(rate, trials)
    most = 10**9
    for plan in (samples_for_all_alike, samples_for_the_mean):
        found = plan(curve, target, most)
        assert found.reached >= target - 1e-9
    assert samples_for_the_mean(curve, target, most).total <= samples_for_all_alike(curve, target, most).total


def write(tmp_path, text, name="rates.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_three_kinds_of_files(tmp_path):
    found = read_pass_rates(write(tmp_path, "prompt,pass_rate\na,0.5\nb,1\n"))
    assert (found.names, found.rate.tolist(), found.trials) == (("a", "b"), [0.5, 1.0], None)
    found = read_pass_rates(write(tmp_path, "problem,correct,samples\na,1,4\nb,0,2\n"))
    assert (found.rate.tolist(), found.trials.tolist()) == ([0.25, 0.0], [4, 2])
    found = read_pass_rates(write(tmp_path, "prompt,reward\na,1\nb,0\na,0\na,1\n"))
    assert found.names == ("a", "b")
    assert found.rate.tolist() == pytest.approx([2 / 3, 0])
    assert found.trials.tolist() == [3, 1]
    rows = [{"prompt": "a", "correct": True}, {"prompt": "a", "correct": False}]
    path = write(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "r.jsonl")
    assert read_pass_rates(path).rate.tolist() == [0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("prompt,pass_rate\n", "no rows"),
        ("prompt,pass_rate\na,1.5\n", "row 1: 'pass_rate' is 1.5"),
        ("prompt,pass_rate\na,\n", "row 1: 'pass_rate' is empty"),
        ("prompt,pass_rate\na,0.5\na,0.5\n", "'a' occurs more than once"),
        ("correct,samples\n3,2\n", "row 1: 3 'correct' of 2 'samples'"),
        ("prompt,reward\na,0.7\n", "row 1: 'reward' is 0.7; expected 0 or 1"),
        ("reward\n1\n", "needs a column that says which prompt"),
        ("prompt,x\na,1\n", "no column of pass rates"),
    ],
)
def test_bad_files_are_told(tmp_path, text, message):
    with pytest.raises(ScorecraftError, match=message):
        read_pass_rates(write(tmp_path, text))
