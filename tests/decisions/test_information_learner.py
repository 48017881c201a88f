"""A principal that learns: its lengths and weights by hand, safe payments, agents that disobey, brackets of costs."""

import math

import numpy as np
import pytest

from scorecraft.decisions.information_game import accuracy_game
from scorecraft.decisions.information_learner import (
    GameShape,
    OnlinePrincipal,
    agent_policy,
    cost_bracket,
    expected_value,
    safe_payments,
    simulate_online,
)
from scorecraft.decisions.information_mechanism import best_deviation, solve_correlated, solve_point
from scorecraft.errors import ScorecraftError, ScorecraftWarning


@pytest.fixture(scope="module")
def game():
    return accuracy_game([[0.5, 0.8]] * 2, [[0, 0.05]] * 2, common_noise=True)


@pytest.fixture(scope="module")
def safe(game):
    return safe_payments(game, 1.0)


def principal(game, safe, rounds, **options):
    return OnlinePrincipal(GameShape.of(game), safe[0], 1.0, rounds, safe[1], **options)


def test_safe_payments_leave_slack_for_every_recommendation(game, safe):
    pays, rho = safe
    assert rho > 0
    from scorecraft.decisions.information_mechanism import Mechanism

    for b in game.profiles():
        mu = np.zeros(game.efforts)
        mu[b] = 1
        mech = Mechanism(0.0, mu, pays, game.decision())
        assert max(best_deviation(game, mech, i).gain for i in range(2)) <= 1e-9
        # Every other effort loses at least rho.
        from scorecraft.decisions.information_mechanism import deviation_values

        for i in range(2):
            worth = deviation_values(game, mech, i, b[i])
            truth = worth[b[i]].diagonal().sum() - game.cost[i][b[i]]
            other = 1 - b[i]
            assert truth - (worth[other].max(1).sum() - game.cost[i][other]) >= rho - 1e-7


def test_lengths_radius_and_weight_by_hand(game, safe):
    one = principal(game, safe, 10**6)
    # (10^6)^(2/3) = 10^4 rounds for each of four joint efforts.
    assert one.each in {10_000, 10_001}
    expected = math.sqrt(2 * (8 * math.log(2) + math.log(8 * 10**6)) / one.each)
    assert one.radius == pytest.approx(expected)
    eta = 2 * expected
    assert one.alpha == pytest.approx(eta / (eta + safe[1] / 2))
    assert principal(game, safe, 10**6, mixing=False).alpha == 0
    wider = principal(game, safe, 10**6, cost_width=0.01)
    assert wider.alpha == pytest.approx((eta + 0.01) / (eta + 0.01 + safe[1] / 2))
    with pytest.raises(ScorecraftError, match="cost_width"):
        principal(game, safe, 10**6, cost_width=-1)
    with pytest.warns(ScorecraftWarning, match="too small"):
        short = principal(game, safe, 100)
    # 100 / 8 rounds each, and not 100^(2/3) = 21.5.
    assert short.each == 12


def test_it_explores_every_effort_and_then_commits_to_what_it_counted(game, safe):
    one = principal(game, safe, 2000)
    random, seen = np.random.default_rng(0), []
    for _ in range(4 * one.each):
        mech = one.act()
        assert mech.mu.max() == 1
        b = tuple(int(at) for at in np.argwhere(mech.mu == 1)[0])
        table = game.P[b]
        *signals, state = np.unravel_index(random.choice(8, p=table.ravel()), table.shape)
        one.observe(b, signals, state)
        seen.append(b)
    assert {b: seen.count(b) for b in set(seen)} == dict.fromkeys(game.profiles(), one.each)
    committed = one.act()
    assert committed is one.act()
    assert committed.mu.min() >= one.alpha / 4 - 1e-12
    learned = one.learned()
    assert np.abs(learned.P - game.P).sum((2, 3, 4)).max() < one.radius


def test_mixed_is_obeyed_and_bare_is_not(game, safe):
    optimum = solve_correlated(game, 1.0).value
    for seed in range(3):
        mixed = simulate_online(game, principal(game, safe, 10**5), np.random.default_rng(seed), optimum=optimum)
        assert not mixed.deviated
        assert mixed.value < optimum
        assert mixed.regret > 0
    bare = [
        simulate_online(game, principal(game, safe, 10**5, mixing=False), np.random.default_rng(s), optimum=optimum)
        for s in range(5)
    ]
    assert sum(one.deviated for one in bare) >= 3
    far = simulate_online(game, principal(game, safe, 10**12), np.random.default_rng(0), optimum=optimum)
    assert not far.deviated
    assert far.value > 0.95 * optimum


def test_agents(game):
    optimum = solve_correlated(game)
    flat = optimum.__class__(0.0, optimum.mu, tuple(np.full_like(pay, 0.2) for pay in optimum.pay), optimum.decision)
    # Paid whatever it does, an agent that answers best shirks; a patient one does not for so little.
    assert agent_policy(game, flat, 0, "best_response")(1)[0] == 0
    assert agent_policy(game, flat, 0, "epsilon", tolerance=0.06)(1)[0] == 1
    assert agent_policy(game, flat, 0, "epsilon", tolerance=0.04)(1)[0] == 0
    draws = [agent_policy(game, flat, 0, "noisy", np.random.default_rng(s), temperature=0.05)(1)[0] for s in range(300)]
    # Gains of 0 and .05 at temperature .05: odds of e to 1.
    assert np.mean(draws) == pytest.approx(1 / (1 + math.e), abs=0.09)
    policies = [agent_policy(game, optimum, i, "epsilon") for i in range(2)]
    assert expected_value(game, optimum, policies) == pytest.approx(optimum.value, abs=1e-7)
    with pytest.raises(ScorecraftError, match="no agent"):
        agent_policy(game, flat, 0, "noisy")


def test_an_unknown_cost_is_bracketed():
    game = accuracy_game([[0.5, 0.8]], [[0, 0.1]])
    pay = solve_point(game, (1,), 1.0).pay[0][1] * 2
    # Twice the cheapest payment brings .2 more for work: it is taken up at weight 1/2, where .3 * (2/3) / 2 = .1.
    gain = float(((game.P[1] - game.P[0]) * pay).sum())
    low, high = cost_bracket(lambda weight: int(weight * gain > 0.1), 1, 1e-3)
    assert low <= 0.1 / gain <= high
    assert high - low <= 1e-3
    with pytest.raises(ScorecraftError, match="do not bracket"):
        cost_bracket(lambda weight: 0, 1, 1e-3)
    with pytest.raises(ScorecraftError, match="width"):
        cost_bracket(lambda weight: 1, 1, 0)


def test_what_cannot_be(game, safe):
    shape = GameShape.of(game)
    with pytest.raises(ScorecraftError, match="rho"):
        OnlinePrincipal(shape, safe[0], 1.0, 1000, 0.0)
    with pytest.raises(ScorecraftError, match="at least 2 rounds"):
        OnlinePrincipal(shape, safe[0], 1.0, 1, 0.1)
    with pytest.raises(ScorecraftError, match="shape"):
        OnlinePrincipal(shape, safe[0][:1], 1.0, 1000, 0.1)
    with pytest.raises(ScorecraftError, match="noisy"):
        simulate_online(game, principal(game, safe, 10**5), np.random.default_rng(0), kind="noisy")
