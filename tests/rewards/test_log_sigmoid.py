"""Log-sigmoid-centred rewards: values, slopes and limits by hand, and how they combine."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.rewards.log_sigmoid import bon_tilt, combine_and, combine_or, lsc

INF, NAN = float("inf"), float("nan")
logits = st.floats(-30, 30)


def test_values_and_slopes_by_hand():
    r = torch.tensor([-2.0, 0.0, 2.0], requires_grad=True)
    u = lsc(r, 0.0)
    torch.testing.assert_close(u.detach(), torch.tensor([-2.126928, -0.693147, -0.126928]))
    u.sum().backward()
    torch.testing.assert_close(r.grad, torch.tensor([0.880797, 0.5, 0.119203]))
    torch.testing.assert_close(lsc(r.detach() + 7.5, 7.5), u.detach())
    # (2 - 1) / .5 = 2
    torch.testing.assert_close(lsc(torch.tensor([2.0]), 1.0, temperature=0.5), torch.tensor([-0.126928]))


def test_far_away_it_stays_finite():
    r = torch.tensor([-1000.0, 1000.0], requires_grad=True)
    u = lsc(r, 0.0)
    assert u.tolist() == [-1000.0, 0.0]
    u.sum().backward()
    assert r.grad.tolist() == [1.0, 0.0]
    assert lsc(torch.tensor([-INF, INF]), 3.0).tolist() == [-INF, 0.0]


def test_references_broadcast():
    table = torch.tensor([[0.0, 2.0], [4.0, 2.0]])
    found = lsc(table, torch.tensor([[0.0], [4.0]]))
    torch.testing.assert_close(found, torch.tensor([[-0.693147, -0.126928], [-0.693147, -2.126928]]))
    assert lsc(torch.tensor([]), torch.tensor([])).tolist() == []
    assert lsc(table.double(), 0.0).dtype == torch.float64


@given(st.lists(logits, min_size=2, max_size=9), st.floats(-5, 5), st.floats(0.1, 5))
def test_it_is_below_0_keeps_the_order_and_rises_by_no_more_than_the_reward(values, shift, temperature):
    r = torch.tensor([-31.0, *values], dtype=torch.float64).sort().values
    u = lsc(r, 0.5, temperature=temperature)
    assert (u <= 0).all()
    rise, most = u.diff(), r.diff() / temperature
    assert (rise >= 0).all()
    assert (rise <= most + 1e-9).all()
    torch.testing.assert_close(lsc(r + shift, 0.5 + shift, temperature=temperature), u)
    # Concave: over equal steps it rises less and less.
    assert (lsc(torch.linspace(-9, 9, 19, dtype=torch.float64), 0.0).diff().diff() < 0).all()


def test_one_reward_changes_no_best_of_n():
    r = torch.tensor([[0.3, 5.0, -1.0], [-9.0, -8.0, -8.5]])
    assert lsc(r, 2.0).argmax(1).equal(r.argmax(1))


def test_and_by_hand():
    found = combine_and(torch.tensor([[1.0, 5.0, 0.0], [-1.0, -5.0, 0.0]]), [0.0, 0.0])
    # log(sigmoid(1) sigmoid(-1)); and where the sums are equal, both good beats one superb and one bad.
    torch.testing.assert_close(found, torch.tensor([-1.626523, -5.013431, -1.386294]))
    assert found[2] > found[1]
    weighted = combine_and(torch.tensor([[2.0], [-2.0]]), torch.tensor([[0.0], [0.0]]), weights=[0.5, 2.0])
    torch.testing.assert_close(weighted, torch.tensor([0.5 * -0.126928 + 2 * -2.126928]))
    assert combine_and(torch.tensor([[2.0], [-INF]]), [2.0, 0.0], weights=[1.0, 0.0]).item() == pytest.approx(-0.693147)
    assert combine_and(torch.tensor([[2.0], [2.0]]), [2.0, 2.0], weights=[0.0, 0.0]).tolist() == [0.0]
    references = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    torch.testing.assert_close(combine_and(references, references), torch.tensor([-1.386294, -1.386294]))


def test_or_by_hand():
    found = combine_or(torch.tensor([[0.0, 2.0], [0.0, -2.0]]), [0.0, 0.0])
    # 1 - 1/4; and 1 - (1 - .880797)(1 - .119203).
    torch.testing.assert_close(found.exp(), torch.tensor([0.75, 1 - 0.119203 * 0.880797]))
    # Three: 1 - 1/8.
    assert combine_or(torch.zeros(3, 1), [0.0, 0.0, 0.0]).exp().item() == pytest.approx(0.875)


def test_or_loses_nothing_at_either_end():
    # Two hopeless ones of odds e^-1000: together twice that. Two sure ones: e^-80 is left of e^-40.
    assert combine_or(torch.full((2, 1), -1000.0), [0.0, 0.0]).item() == pytest.approx(math.log(2) - 1000)
    sure = combine_or(torch.full((2, 1), 20.0, dtype=torch.float64), [0.0, 0.0]).item()
    assert sure == pytest.approx(-math.exp(-40), rel=1e-6)
    assert combine_or(torch.tensor([[-INF], [0.0]]), [0.0, 0.0]).item() == pytest.approx(-0.693147)
    assert combine_or(torch.tensor([[-INF], [-INF]]), [0.0, 0.0]).item() == -INF
    assert combine_or(torch.tensor([[INF], [0.0]]), [0.0, 0.0]).item() == 0.0


@given(st.lists(st.tuples(logits, logits, logits), min_size=1, max_size=5), st.permutations(range(3)))
def test_and_or_agree_with_probabilities_in_any_order(rows, order):
    r = torch.tensor(rows, dtype=torch.float64).T
    p = r.sigmoid()
    every, some = combine_and(r, [0.0] * 3), combine_or(r, [0.0] * 3)
    torch.testing.assert_close(every.exp(), p.prod(0))
    torch.testing.assert_close(some.exp(), 1 - (1 - p).prod(0), atol=1e-12, rtol=1e-6)
    assert (every <= some + 1e-12).all()
    torch.testing.assert_close(combine_and(r[list(order)], [0.0] * 3), every)
    torch.testing.assert_close(combine_or(r[list(order)], [0.0] * 3), some)


def test_the_tilted_policy_by_hand():
    p = bon_tilt(torch.tensor([[0.0, math.log(4.0)], [-INF, 3.0]]), 2.0)
    # Odds 4^(1/2) = 2.
    torch.testing.assert_close(p, torch.tensor([[1 / 3, 2 / 3], [0.0, 1.0]]))
    torch.testing.assert_close(bon_tilt(torch.tensor([[1e6, 1e6]]), 0.1), torch.tensor([[0.5, 0.5]]))


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.floats(0.2, 5), st.lists(logits, min_size=3, max_size=3))
def test_no_policy_does_better_than_the_tilted_one(utilities, gamma, other):
    u = torch.tensor([utilities], dtype=torch.float64)

    def value(p):
        return float((p * u).sum() - gamma * torch.special.xlogy(p, 3 * p).sum())

    rival = torch.tensor([other], dtype=torch.float64).softmax(1)
    assert value(bon_tilt(u, gamma)) >= value(rival) - 1e-9


def test_rewards_that_are_no_logits_are_warned_of():
    with pytest.warns(ScorecraftWarning, match="all rewards are in .0, 1."):
        lsc(torch.linspace(0, 1, 8), 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lsc(torch.linspace(0, 1, 7), 0.5)  # too few to tell
        lsc(torch.linspace(-0.1, 1, 8), 0.5)


R = torch.tensor([1.0, 2.0])
TWO = torch.tensor([[1.0, 2.0], [2.0, 3.0]])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: lsc(R * NAN, 0.0), "reward 0 is nan"),
        (lambda: lsc(R, NAN), "reference 0 is nan"),
        (lambda: lsc(R, torch.tensor([0.0, INF])), "reference 1 is inf"),
        (lambda: lsc(R, torch.zeros(3)), r"do not broadcast: \(3,\) and \(2,\)"),
        (lambda: lsc(R, 0.0, temperature=0.0), "temperature is 0"),
        (lambda: lsc(R, 0.0, temperature=-1.0), "temperature is -1"),
        (lambda: combine_and(torch.zeros(0, 2), []), "no property to combine"),
        (lambda: combine_or(torch.zeros(0, 2), []), "no property to combine"),
        (lambda: combine_and(TWO, [0.0]), "1 references for 2 properties"),
        (lambda: combine_and(TWO, [0.0, 0.0], weights=[1.0]), "expected 2 weights"),
        (lambda: combine_and(TWO, [0.0, 0.0], weights=[1.0, -1.0]), "at least 0"),
        (lambda: combine_and(TWO, [0.0, 0.0], weights=[1.0, NAN]), "at least 0"),
        (lambda: combine_or(TWO * NAN, [0.0, 0.0]), "reward 0 is nan"),
        (lambda: bon_tilt(TWO, 0.0), "gamma is 0"),
        (lambda: bon_tilt(TWO * NAN, 1.0), "utility 0 is nan"),
        (lambda: bon_tilt(TWO * INF, 1.0), "prompt 0 has no sample of finite utility"),
        (lambda: bon_tilt(-TWO * INF, 1.0), "prompt 0 has no sample"),
        (lambda: bon_tilt(torch.zeros(2, 0), 1.0), "prompt 0 has no sample"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
