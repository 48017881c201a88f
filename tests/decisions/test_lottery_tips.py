"""Strikes counted one by one, tips that follow their forecast, hit rates and the ledger by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from scorecraft.decisions.lottery_tips import (
    draw_tips,
    hit_rates,
    implied_probabilities,
    poisson_binomial,
    strike_counts,
    strike_counts_stratified,
    strike_probability,
)
from scorecraft.decisions.odds_file import read_rounds
from scorecraft.decisions.tip_ledger import Round, backtest
from scorecraft.errors import ScorecraftError


def test_strikes_of_thirteen_matches():
    counts = strike_counts()
    assert {s: counts[s] for s in range(9, 14)} == {13: 1, 12: 26, 11: 312, 10: 2288, 9: 11440}
    assert sum(counts.values()) == 3**13
    assert sum(counts[s] for s in range(10, 14)) == 2627
    assert strike_counts(2) == {0: 4, 1: 4, 2: 1}


@pytest.mark.parametrize("outcomes", [2, 3, 4])
def test_strata_counted_one_by_one(outcomes):
    for n in (1, 3, 4):
        for k in range(n + 1):
            result = (0,) * k + (1,) * (n - k)
            counted = {}
            for tip in product(range(outcomes), repeat=n):
                if tip.count(0) == k:
                    strikes = sum(a == b for a, b in zip(tip, result, strict=True))
                    counted[strikes] = counted.get(strikes, 0) + 1
            assert strike_counts_stratified(n, k, outcomes) == counted


def test_the_tabled_stratum():
    found = strike_counts_stratified(13, 7)
    assert sum(found.values()) == 109_824
    assert [found[s] for s in range(10, 14)] == [440, 99, 6, 1]
    assert strike_counts_stratified(2, 1) == {0: 2, 1: 1, 2: 1}


def test_poisson_binomial_by_hand():
    assert poisson_binomial([0.5] * 13)[10:].sum() == pytest.approx((286 + 78 + 13 + 1) / 2**13)
    assert poisson_binomial([0.2, 0.9]).tolist() == pytest.approx([0.8 * 0.1, 0.2 * 0.1 + 0.8 * 0.9, 0.2 * 0.9])


def test_drawn_tips_follow_the_forecast_and_one_tip_hits_as_it_says():
    q = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    drawn = draw_tips(q, 60_000, distinct=False, seed=1)
    for match in range(2):
        assert np.bincount(drawn[:, match]) / 60_000 == pytest.approx(q[match], abs=0.01)
    assert strike_probability(q, np.array([[0, 2], [1, 0]]), 2).tolist() == pytest.approx([0.3, 0.06])
    assert strike_probability(q, np.array([[0, 2]]), 0).tolist() == pytest.approx([1])


def test_distinct_tips_are_distinct_and_the_likely_ones_come_first():
    q = np.tile([0.6, 0.3, 0.1], (4, 1))
    drawn = draw_tips(q, 81, seed=0)
    assert len(np.unique(drawn, axis=0)) == 81
    first = np.array([draw_tips(q, 1, seed=seed)[0] for seed in range(400)])
    assert (first == 0).mean() == pytest.approx(0.6, abs=0.05)
    # Too many matches to put all tips in order.
    many = draw_tips(np.tile([0.4, 0.3, 0.3], (20, 1)), 500, seed=0)
    assert len(np.unique(many, axis=0)) == 500
    assert draw_tips(q, 0, seed=0).shape == (0, 4)


def test_hit_rates_by_hand():
    odds = [[1.5, 4, 6], [2, 3, 4], [4, 3, 1.9]]
    found = hit_rates(odds, [0, 2, 2])
    assert [rate.estimate for rate in found.rates] == pytest.approx([2 / 3, 0, 1 / 3])
    assert found.names == ("favourite", "middle", "outsider")
    raw = hit_rates(odds, [0, 2, 2], by="raw")
    assert [rate.estimate for rate in raw.rates] == pytest.approx([1 / 3, 0, 2 / 3])
    assert implied_probabilities([[2.0, 4.0, 4.0]]).tolist() == [[0.5, 0.25, 0.25]]


def rounds():
    odds = np.full((2, 3), 3.0)
    return [Round("1", odds, np.array([0, 1])), Round("2", odds, np.array([2, 2]))]


def test_a_ledger_by_hand():
    # Tips 01, 00, 22: round 1 has strikes 2, 1, 0; round 2 has 0, 0, 2.
    tips = np.array([[0, 1], [0, 0], [2, 2]])
    found = backtest(lambda one: tips, rounds(), {2: [10.0, 4.0], 1: 1.0}, 2.0)
    assert found.classes == (2, 1)
    assert found.winners.tolist() == [[1, 1], [1, 0]]
    assert found.profit.tolist() == [10 + 1 - 6, 4 - 6]
    assert found.mean is not None
    assert found.mean.estimate == 1.5
    assert found.drawdown == 2
    assert found.break_even == pytest.approx(12 / 15)


def test_tips_are_chosen_without_the_results():
    seen = []

    def tips(one):
        seen.append(one.results.tolist())
        return np.zeros((1, 2), dtype=int)

    backtest(tips, rounds(), {2: 1.0}, 0.0)
    assert seen == [[-1, -1], [-1, -1]]


def test_rounds_from_files(tmp_path):
    path = tmp_path / "odds.csv"
    path.write_text("B365H,B365D,B365A,FTR,round\n2,3,4,H,a\n2,3.5,4,D,a\n1.5,4,7,A,b\n2,3,4,2,b\n")
    found = read_rounds(path, matches=2)
    assert [one.name for one in found] == ["a", "b"]
    assert [one.results.tolist() for one in found] == [[0, 1], [2, 2]]
    assert found[0].odds[1].tolist() == [2, 3.5, 4]
    path.write_text("odds_1,odds_0,odds_2,result\n" + "2,3,4,1\n" * 5)
    assert [len(one.results) for one in read_rounds(path, matches=2)] == [2, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("odds_1,odds_0,odds_2,result\n2,3,1,1\n2,3,4,1\n", "decimal odds above 1"),
        ("odds_1,odds_0,odds_2,result\n2,3,,1\n2,3,4,1\n", "row 1: 'odds_2' is empty"),
        ("odds_1,odds_0,odds_2,result\n2,3,4,7\n2,3,4,1\n", "row 1: 'result' is '7'"),
        ("odds_1,odds_0,odds_2,result\n2,3,4,1\n", "fewer than the 2 of a round"),
        ("odds_1,odds_0,odds_2,result,round\n2,3,4,1,x\n", "round 'x' has 1 matches"),
        ("a,b\n1,2\n", "no columns of odds"),
        ("odds_1,odds_0,odds_2\n2,3,4\n", "no column of results"),
    ],
)
def test_bad_files_of_odds_are_told(tmp_path, text, message):
    path = tmp_path / "odds.csv"
    path.write_text(text)
    with pytest.raises(ScorecraftError, match=message):
        read_rounds(path, matches=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: strike_counts(0), "1 match or more"),
        (lambda: strike_counts_stratified(3, 4), "0 to 3 favourites"),
        (lambda: poisson_binomial([0.5, 1.2]), "numbers in"),
        (lambda: draw_tips([[0.5, 0.2]], 1), "sums to 0.7"),
        (lambda: draw_tips([[1.0, 0.0]], 2), "only 1 have a probability"),
        (lambda: draw_tips([[0.5, 0.5]], -1), "from 0"),
        (lambda: implied_probabilities([[1.0, 2.0]]), "odds above 1"),
        (lambda: implied_probabilities([[np.nan, 2.0]]), "odds above 1"),
        (lambda: hit_rates([[2.0, 3.0]], [2]), "0 to 1"),
        (lambda: hit_rates([[2.0, 3.0]], [0, 1]), "each of 1 matches"),
        (lambda: backtest(lambda one: np.zeros((1, 2)), [], {2: 1.0}, 0.0), "one round"),
        (lambda: backtest(lambda one: np.zeros((1, 3)), rounds(), {2: 1.0}, 0.0), "shape"),
        (lambda: backtest(lambda one: np.zeros((1, 2)), rounds(), {2: [1.0]}, 0.0), "one for each of 2 rounds"),
        (lambda: backtest(lambda one: np.zeros((1, 2)), rounds(), {}, 0.0), "quotas"),
        (lambda: backtest(lambda one: np.zeros((1, 2)), rounds(), {2: 1.0}, -1.0), "fee"),
    ],
)
def test_bad_input_is_told(call, message):
    with pytest.raises(ScorecraftError, match=message):
        call()
