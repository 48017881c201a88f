"""Online matching: tabled values, rules by hand, bounds in their order, and compiled runs as the plain ones."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorecraft.decisions.matching_programmes import config_lp, matching_lp, opt_adaptive_dp, stoch_config_lp
from scorecraft.decisions.matching_simulation import simulate_many
from scorecraft.decisions.online_matching import (
    Greedy,
    MatchingStateError,
    RandomMatch,
    Ranking,
    StochasticBalance,
    exact_value,
    simulate,
)
from scorecraft.errors import ScorecraftError, ScorecraftWarning

ONE = np.array([[0.5, 0.5, 0.5]])
TWO = np.array([[0.5, 0.5], [0.5, 0.0]])
THREE = np.array([[0.5, 0.5, 0.5], [0.5, 0.0, 0.5]])
RULES = {"stochastic-balance": StochasticBalance, "ranking": Ranking, "greedy": Greedy, "random": RandomMatch}


@pytest.mark.parametrize(
    ("P", "matching", "configuration", "stochastic", "best", "balance"),
    [(ONE, 1, 1, 0.875, 0.875, 0.875), (TWO, 1, 1, 1, 1, 0.75), (THREE, 1.5, 1.5, 1.5, 1.375, 1.25)],
)
def test_tabled_values(P, matching, configuration, stochastic, best, balance):
    assert matching_lp(P).value == pytest.approx(matching)
    assert config_lp(P).value == pytest.approx(configuration)
    for method in ("compact", "enumerate", "column_generation"):
        assert stoch_config_lp(P, method=method).value == pytest.approx(stochastic)
    assert opt_adaptive_dp(P) == pytest.approx(best)
    assert exact_value(P, StochasticBalance(tie="first")) == pytest.approx(balance)


def test_a_single_offline_vertex():
    P = np.full((1, 50), 0.02)
    assert matching_lp(P).value == pytest.approx(1)
    assert stoch_config_lp(P).value == pytest.approx(1 - 0.98**50)
    assert opt_adaptive_dp(P) == pytest.approx(1 - 0.98**50)


def instance(seed):
    random = np.random.default_rng(seed)
    return random.random((3, 5)) * (random.random((3, 5)) < 0.7)


INSTANCES = st.integers(0, 10**6).map(instance)


@given(INSTANCES, st.booleans())
@settings(max_examples=60, deadline=None)
def test_bounds_are_in_their_order(P, weighted):
    w = np.array([1.0, 2.0, 0.5]) if weighted else None
    matching, best = matching_lp(P, w), opt_adaptive_dp(P, w)
    stochastic, listed = stoch_config_lp(P, w), stoch_config_lp(P, w, "enumerate")
    assert best <= stochastic.value + 1e-9
    assert stochastic.value <= matching.value + 1e-9
    assert config_lp(P, w).value <= matching.value + 1e-9
    assert stochastic.value == pytest.approx(listed.value, abs=1e-8)
    assert stochastic.gap < 1e-6
    assert ((P * matching.x).sum(1) <= 1 + 1e-9).all()
    assert (matching.x.sum(0) <= 1 + 1e-9).all()
    for matcher in (StochasticBalance(tie="first"), Greedy(tie="first")):
        assert exact_value(P, matcher, w) <= best + 1e-9


def test_certain_chances_are_ordinary_matching():
    random = np.random.default_rng(0)
    P = (random.random((5, 6)) < 0.4).astype(float)
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    size = int((maximum_bipartite_matching(csr_array(P)) >= 0).sum())
    assert stoch_config_lp(P).value == pytest.approx(size)
    assert opt_adaptive_dp(P) == pytest.approx(size)


def test_balance_takes_the_least_load_and_a_success_is_not_asked_again():
    matcher = StochasticBalance(tie="first")
    matcher.reset(3)
    p = np.array([0.5, 0.5, 0.0])
    assert matcher.assign(p) == 0
    matcher.report(0, success=False)
    assert matcher.assign(p) == 1
    matcher.report(1, success=True)
    assert matcher.assign(p) == 0
    matcher.report(0, success=True)
    assert matcher.assign(p) == -1
    assert matcher.assign(np.ones(3), np.array([True, True, False])) == -1


def test_greedy_and_weights_and_a_g_of_ones_own():
    greedy = Greedy()
    greedy.reset(2, [1.0, 3.0])
    assert greedy.assign(np.array([0.5, 0.2])) == 1
    steep = StochasticBalance(g=lambda load: np.minimum(load, 1.0), tie="first")
    steep.reset(2)
    steep.assign(np.array([1.0, 0.9]))
    steep.report(0, success=False)
    assert steep.assign(np.array([1.0, 0.1])) == 1  # the first has no worth left


def test_ranking_keeps_its_ranks_within_a_run():
    matcher = Ranking(seed=3)
    matcher.reset(4)
    order = np.argsort(matcher.rank).tolist()
    seen = []
    for _ in range(4):
        seen.append(matcher.assign(np.full(4, 0.5)))
        matcher.report(seen[-1], success=True)
    assert seen == order


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("vanishing", [False, True])
def test_compiled_runs_are_as_the_plain_ones(rule, vanishing):
    P = np.random.default_rng(1).random((5, 40)) * 0.1
    w = np.array([1.0, 2.0, 1.0, 0.5, 1.5])
    plain = simulate(P, RULES[rule](seed=1), 1500, weights=w, vanishing=vanishing)
    compiled = simulate_many(P, rule, 20_000, weights=w, vanishing=vanishing)
    assert abs(plain.mean - compiled.mean) < 4 * (plain.sem + compiled.sem)


def test_coins_come_out_as_the_exact_value():
    P = np.random.default_rng(2).random((3, 6)) * 0.6
    found = simulate_many(P, "greedy", 40_000)
    assert found.mean == pytest.approx(exact_value(P, Greedy(tie="first")), abs=4 * found.sem)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: matching_lp([[1.5]]), ScorecraftError, "vertex 0 and arrival 0 have 1.5"),
        (lambda: matching_lp([[np.nan]]), ScorecraftError, "expected a chance"),
        (lambda: matching_lp([0.5]), ScorecraftError, "offline, arrival"),
        (lambda: matching_lp([[0.5]], [-1]), ScorecraftError, "weights"),
        (lambda: config_lp(np.full((1, 17), 0.1)), ScorecraftError, "17 neighbours"),
        (lambda: opt_adaptive_dp(np.full((15, 1), 0.1)), ScorecraftError, "at most 14"),
        (lambda: stoch_config_lp(ONE, method="guess"), ScorecraftError, "expected 'compact', 'enumerate'"),
        (lambda: exact_value(ONE, Ranking()), ScorecraftError, "must not choose at random"),
        (lambda: exact_value(np.full((1, 17), 0.1), Greedy(tie="first")), ScorecraftError, "16 arrivals"),
        (lambda: simulate(ONE, Greedy(), 0), ScorecraftError, "at least 1"),
        (lambda: simulate_many(ONE, "greed"), ScorecraftError, "did you mean 'greedy'"),
        (lambda: Greedy(tie="last"), ScorecraftError, "'random' or 'first'"),
    ],
)
def test_bad_input_is_told(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_outcomes_are_reported_once_and_of_what_was_assigned():
    matcher = Greedy()
    matcher.reset(2)
    with pytest.raises(MatchingStateError, match="awaits no outcome"):
        matcher.report(0, success=True)
    chosen = matcher.assign(np.array([0.5, 0.5]))
    with pytest.raises(MatchingStateError):
        matcher.report(1 - chosen, success=True)
    matcher.report(chosen, success=False)
    with pytest.raises(MatchingStateError):
        matcher.report(chosen, success=False)
    with pytest.warns(ScorecraftWarning, match="chances reach 0.5"):
        simulate(ONE, Greedy(), 2, vanishing=True)


@given(INSTANCES)
@settings(max_examples=40, deadline=None)
def test_the_compact_programme_is_parted_into_lists_that_reach_its_value(P):
    P = np.where(P > 0.9, 1.0, P)
    found = stoch_config_lp(P)
    value, taken, used = 0.0, np.zeros(P.shape[0]), np.zeros(P.shape[1])
    for u, chosen, share in found.used:
        reach = share
        taken[u] += share
        for v in chosen:
            used[v] += reach
            value += reach * P[u, v]
            reach *= 1 - P[u, v]
    assert value == pytest.approx(found.value, abs=1e-6)
    assert (taken <= 1 + 1e-6).all()
    assert (used <= 1 + 1e-6).all()
    assert found.gap <= 1e-6


def test_the_last_rule_takes_the_largest_index():
    # Two offline vertices, two sure arrivals, the second of which only the last can serve: it is gone.
    P = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert simulate_many(P, "last", 10).mean == 1
    assert simulate_many(P[::-1], "last", 10).mean == 2


def test_what_runs_certify():
    from scorecraft.decisions.matching_certificate import dual_certificate
    from scorecraft.studies.online_matching import triangle

    # One offline vertex, ten arrivals of .1: alpha + sum of beta is what is earned, 1 - 1/e but for the steps.
    one = dual_certificate(np.full((1, 10), 0.1), 4000)
    assert one.alpha.sum() + one.beta.sum() == pytest.approx(0.65, abs=0.04)
    # The least over all sets, by trying them.
    sets = [s for s in product((0, 1), repeat=10) if any(s)]
    assert one.least == pytest.approx(
        min((one.alpha[0] + one.beta @ np.array(s)) / min(1, 0.1 * sum(s)) for s in sets), rel=1e-3
    )
    found = dual_certificate(triangle(12, 20), 300)
    earned = simulate_many(triangle(12, 20), "stochastic-balance", 4000, vanishing=True).mean
    # Steps of 1/20 overshoot thresholds by half a step on average: 12 * .62 / 40 more.
    assert found.alpha.sum() + found.beta.sum() == pytest.approx(earned + 0.19, rel=0.05)
    # What is certified is less than what is earned of the bound, 12, and not much less than one half.
    assert 0.4 < found.least <= earned / 12 + 0.05
    single = dual_certificate(triangle(12, 20), 60, family=[(0, (0,))])
    assert single.least >= found.least
    with pytest.raises(ScorecraftError, match="n_runs"):
        dual_certificate(ONE / 10, 0)
    with pytest.raises(ScorecraftError, match="nothing to certify"):
        dual_certificate(np.zeros((1, 2)))
