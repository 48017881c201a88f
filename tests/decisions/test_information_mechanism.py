"""Paid information: known values, brute force over deviations, another programme for the same optimum, bad input."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorecraft.decisions.information_game import InfoGame, accuracy_game
from scorecraft.decisions.information_mechanism import (
    as_table,
    best_deviation,
    mechanism_to_scoring_rule,
    obedient,
    sample_round,
    solve_correlated,
    solve_point,
    solve_uncorrelated,
)
from scorecraft.decisions.information_programme import InfeasibleMechanism
from scorecraft.errors import ScorecraftError


def raters(q=0.8, costs=(0.1, 0.1), *, common=True):
    return accuracy_game([[0.5, q]] * len(costs), [[0, c] for c in costs], common_noise=common)


def random_game(seed, signals=2, states=2):
    random = np.random.default_rng(seed)
    prior = random.dirichlet(np.ones(states))
    within = random.dirichlet(np.ones(signals**2), (2, 2, states))
    table = np.moveaxis(within * prior[:, None], 2, -1).reshape(2, 2, signals, signals, states)
    return InfoGame(table, random.random((3, states)), (np.array([0, 0.05]), np.array([0.02, random.random() * 0.1])))


def largest_gain(game, mech):
    return max(best_deviation(game, mech, i).gain for i in range(game.agents))


def test_one_useful_agent():
    # Paid x when right: .8 x - .1 >= .5 x, so x = 1/3 and the value is .8 - .8/3.
    game = raters(costs=(0.1,))
    found = solve_correlated(game)
    assert found.value == pytest.approx(8 / 15, abs=1e-9)
    rule = mechanism_to_scoring_rule(game, found, 0, 1)
    # A scoring rule that is proper at the beliefs .8 and .2: truth earns .3 more than the lie.
    truth, lie = 0.8 * rule[0, 0] + 0.2 * rule[0, 1], 0.8 * rule[1, 0] + 0.2 * rule[1, 1]
    assert truth > lie
    with pytest.raises(ScorecraftError, match="never told effort 0"):
        mechanism_to_scoring_rule(game, found, 0, 0)


def test_points_of_two_with_common_errors():
    game = raters()
    assert [solve_point(game, b).value for b in game.profiles()] == pytest.approx([0.5, 8 / 15, 8 / 15, 0.4])
    assert solve_uncorrelated(game).value == pytest.approx(8 / 15)


@pytest.mark.parametrize("cap", [1, 2, 5, 20])
def test_joint_recommendations_by_cap(cap):
    game = raters()
    found = solve_correlated(game, cap)
    assert found.value == pytest.approx((30 * cap - 4) / (50 * cap - 5), abs=1e-7)
    assert largest_gain(game, found) <= 1e-7
    assert found.mu.sum() == pytest.approx(1)
    assert all(pay.min() >= 0 and pay.max() <= cap for pay in found.pay)
    if cap == 1:
        assert found.mu.ravel() == pytest.approx([0, 4 / 9, 4 / 9, 1 / 9], abs=1e-7)


def test_costs_that_differ_and_errors_that_do_not_meet():
    found = solve_correlated(raters(costs=(0.1, 0.02)))
    assert found.value == pytest.approx(0.752, abs=1e-7)
    assert found.mu.ravel() == pytest.approx([0, 0.96, 0, 0.04], abs=1e-6)
    assert solve_uncorrelated(raters(costs=(0.1, 0.02))).value == pytest.approx(0.746667, abs=1e-6)
    apart = raters(0.9, (0.05, 0.05), common=False)
    assert solve_correlated(apart).value == pytest.approx(0.7875, abs=1e-7)
    assert solve_uncorrelated(apart).value == pytest.approx(0.7875, abs=1e-7)


def test_free_efforts_and_no_pay():
    free = raters(costs=(0, 0))
    found = solve_correlated(free)
    assert found.value == pytest.approx(0.8)
    assert found.payments(free).tolist() == [0, 0]
    assert solve_correlated(raters(), 0).value == pytest.approx(0.5)
    with pytest.raises(ScorecraftError, match="agent 0 has no effort that is free"):
        solve_correlated(accuracy_game([[0.5, 0.8]], [[0.01, 0.1]]), 0)


@given(st.integers(0, 10_000), st.sampled_from([2, 3]), st.sampled_from([2, 3]))
@settings(max_examples=25, deadline=None)
def test_nothing_gains_and_joint_is_no_worse(seed, signals, states):
    game = random_game(seed, signals, states)
    together, point = solve_correlated(game), solve_uncorrelated(game)
    assert largest_gain(game, together) <= 1e-7
    assert largest_gain(game, point) <= 1e-7
    assert together.value >= point.value - 1e-8


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_names_and_units_do_not_matter(seed):
    game = random_game(seed)
    value = solve_correlated(game).value
    swapped = InfoGame(game.P.transpose(1, 0, 3, 2, 4), game.u, game.cost[::-1])
    assert solve_correlated(swapped).value == pytest.approx(value, abs=1e-7)
    turned = InfoGame(game.P[:, :, ::-1, :, ::-1], game.u[::-1, ::-1], game.cost)
    assert solve_correlated(turned).value == pytest.approx(value, abs=1e-7)
    scaled = InfoGame(game.P, 7 * game.u, tuple(7 * cost for cost in game.cost))
    assert solve_correlated(scaled, 7.0).value == pytest.approx(7 * value, abs=1e-6)


def enumerated(game, cap):
    """Return the optimum of the programme with a row for every effort and every map of signals to reports."""
    from scipy.optimize import linprog

    profiles, n = game.profiles(), game.agents
    cells = list(product(*(range(k) for k in game.signals), range(game.states)))
    size = len(profiles) * (1 + n * len(cells))
    at = {
        (i, b, cell): len(profiles) + (i * len(profiles) + p) * len(cells) + c
        for i in range(n)
        for p, b in enumerate(profiles)
        for c, cell in enumerate(cells)
    }
    rows, limits = [], []
    for i in range(n):
        for told, effort in product(range(game.efforts[i]), repeat=2):
            for report in product(range(game.signals[i]), repeat=game.signals[i]):
                row = np.zeros(size)
                for p, b in enumerate(profiles):
                    if b[i] != told:
                        continue
                    other = (*b[:i], effort, *b[i + 1 :])
                    row[p] += game.cost[i][told] - game.cost[i][effort]
                    for cell in cells:
                        said = (*cell[:i], report[cell[i]], *cell[i + 1 :])
                        row[at[i, b, cell]] -= game.P[b][cell]
                        row[at[i, b, said]] += game.P[other][cell]
                rows.append(row)
                limits.append(0.0)
        for p, b in enumerate(profiles):
            for cell in cells:
                row = np.zeros(size)
                row[at[i, b, cell]], row[p] = 1, -cap
                rows.append(row)
                limits.append(0.0)
    objective = np.zeros(size)
    for p, b in enumerate(profiles):
        objective[p] = -game.value()[b]
        for i in range(n):
            for cell in cells:
                objective[at[i, b, cell]] = game.P[b][cell]
    total = np.zeros((1, size))
    total[0, : len(profiles)] = 1
    found = linprog(objective, A_ub=np.array(rows), b_ub=limits, A_eq=total, b_eq=[1], method="highs")
    return -found.fun


@pytest.mark.parametrize("seed", range(6))
def test_another_programme_has_the_same_optimum(seed):
    game = random_game(seed, signals=2 + seed % 2)
    assert solve_correlated(game, 0.7).value == pytest.approx(enumerated(game, 0.7), abs=1e-7)


def test_slack_and_covered_costs():
    game = raters(costs=(0.1,))
    # .8 x - .1 >= .5 x + .05: x = 1/2, and the value is .8 - .4, below the coin's .5: then nobody is asked to work.
    assert solve_point(game, (1,), slack=0.05).value == pytest.approx(0.4)
    # An agent whose every effort costs something is covered only by what it is paid.
    dear = accuracy_game([[0.5, 0.9]], [[0.05, 0.1]])
    bare, covered = solve_correlated(dear), solve_correlated(dear, ir=True)
    assert covered.value <= bare.value + 1e-9
    for told in range(2):
        often = covered.mu[told]
        if often > 1e-9:
            paid = float((dear.P[told] * covered.pay[0][told]).sum())
            assert paid >= dear.cost[0][told] - 1e-8
    with pytest.raises(InfeasibleMechanism, match="cover the costs"):
        solve_correlated(dear, 0.01, ir=True)


def test_what_cannot_be_induced_is_named():
    with pytest.raises(InfeasibleMechanism, match=r"agent 0 to effort 1 \(cost 0.1\)"):
        solve_point(raters(costs=(0.1,)), (1,), 0.2)
    with pytest.raises(ScorecraftError, match="expected an effort of each agent"):
        solve_point(raters(), (0, 2))


def test_rounds_are_played_as_the_tables_say():
    game, random = raters(), np.random.default_rng(0)
    found = solve_correlated(game)
    rounds = [sample_round(game, found, [obedient(game, i) for i in range(2)], random) for _ in range(4000)]
    earned = np.mean([game.u[one.action, one.state] - sum(one.payments) for one in rounds])
    # A round's worth varies by less than 1, so its mean by less than 1/sqrt(4000) = .016.
    assert earned == pytest.approx(found.value, abs=0.07)
    lazy = [lambda told: (0, [0, 0])] * 2
    assert np.mean([game.u[one.action, one.state] for one in (
        sample_round(game, found, lazy, random) for _ in range(2000))]) == pytest.approx(0.5, abs=0.06)  # fmt: skip
    with pytest.raises(ScorecraftError, match="policies"):
        sample_round(game, found, lazy[:1], random)
    assert sum(row["probability"] for row in as_table(game, found) if row["efforts"] == [1, 1]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"P": np.ones((2, 2, 2)) / 4 * np.array([1, 1.1])[:, None, None]}, r"efforts \[1\] adds up to 1.1"),
        ({"P": np.array([[[0.5, 0], [0, 0.5]], [[0.6, 0], [0, 0.4]]])}, "efforts do not move the truth"),
        ({"P": np.array([[[0.5, 0], [0, 0.5]], [[0.7, -0.2], [0, 0.5]]])}, r"efforts \[1\] holds -0.2"),
        ({"P": np.array([[[0.5, 0], [0, np.nan]], [[0.5, 0], [0, 0.5]]])}, r"P\[0, 1, 1\] is not a finite"),
        ({"P": np.ones((2, 2)) / 4}, "3 dimensions"),
        ({"cost": (np.array([0, -0.1]),)}, "agent 0, effort 1 is -0.1"),
        ({"cost": (np.array([0.0]),)}, "1 costs and 2 efforts"),
        ({"u": np.eye(3)}, "3 states and P has 2"),
        ({"u": [["a", "b"]]}, "array of numbers"),
    ],
)
def test_games_that_are_none(change, said):
    fair = np.array([[[0.25, 0.25], [0.25, 0.25]], [[0.4, 0.1], [0.1, 0.4]]])
    with pytest.raises(ScorecraftError, match=said):
        InfoGame(**({"P": fair, "u": np.eye(2), "cost": (np.array([0, 0.1]),)} | change))


def test_caps_and_sizes_that_cannot_be():
    for cap in (np.inf, -1.0, np.nan):
        with pytest.raises(ScorecraftError, match="cap is"):
            solve_correlated(raters(), cap)
    with pytest.raises(ScorecraftError, match="slack"):
        solve_correlated(raters(), 1.0, -1.0)
    many = accuracy_game([[0.5, 0.8]] * 7, [[0, 0.1]] * 7)
    # 128 joint efforts, 128 joint signals, 7 agents and 18 states: more than 2 million payments.
    states = np.repeat(many.P / 9, 9, axis=-1)
    with pytest.raises(ScorecraftError, match="columns"):
        solve_correlated(InfoGame(states, np.ones((1, 18)), many.cost))
    with pytest.raises(ScorecraftError, match="accuracy"):
        accuracy_game([[1.5]], [[0]])
    with pytest.raises(ScorecraftError, match="prior"):
        accuracy_game([[0.5]], [[0]], (0.5, 0.6))
    with pytest.raises(ScorecraftError, match="agent 3"):
        best_deviation(raters(), solve_correlated(raters()), 3)
