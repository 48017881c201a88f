"""Swiss rounds: the card's exact values, runs against enumeration, invariances, audits, and what is refused."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorecraft.arena.swiss_exact import csd_exact
from scorecraft.arena.swiss_ranking import csd, failure_sensitivity, order_audit, ranks_of
from scorecraft.arena.win_tensor import win_tensor, win_tensor_bootstrap
from scorecraft.errors import ScorecraftError, ScorecraftWarning

FIELD = [[5, 1, 6, 4, 3, 2], [5, 6, 1, 4, 3, 2], [5, 6, 1, 2, 4, 3], [5, 6, 1, 2, 3, 4]]


def strict(models, rounds):
    """Return the wins of a field whose order is the same on every benchmark."""
    return win_tensor(np.tile(-np.arange(models, dtype=float), (rounds, 1)))


@pytest.mark.parametrize(
    ("models", "rounds", "leaving", "expected"),
    [
        (2, 1, 0, [1, 0]),
        # Three models: the first has the bye in one third of the pairings, the second wins where it is the bye.
        (3, 1, 0, [Fraction(2, 3), Fraction(1, 3), 0]),
        (3, 2, 0, [1, 1, 0]),
        (3, 2, [1, 0], [Fraction(2, 3), Fraction(1, 3), 0]),
        (4, 2, 0, [2, 1, 1, 0]),
        (4, 2, [1, 0], [2, Fraction(2, 3), Fraction(1, 3), 0]),
        (4, 2, [2, 0], [2, Fraction(2, 3), Fraction(1, 3), 0]),
    ],
)
def test_small_fields_exactly_and_by_runs(models, rounds, leaving, expected):
    wins = strict(models, rounds)
    assert csd_exact(wins, leaving) == expected
    found = csd(wins, leaving, 40_000, seed=1)
    assert np.abs(found.mean - np.array(expected, dtype=float)).max() <= 4 * max(found.sem.max(), 1e-12)


@pytest.mark.parametrize(
    ("leaving", "expected"),
    [
        (0, [2.3259, 2.2593, 1, 1.2593, 1.5045, 0.6510]),
        (1, [2.0222, 1.5556, 1.0, 1.1556, 0.9185, 0.3481]),
        (2, [2.4, 0, 1.0, 1.2, 0.9333, 0.4667]),
    ],
)
def test_a_generalist_and_a_specialist(leaving, expected):
    wins = win_tensor(FIELD)
    exact = np.array(csd_exact(wins, [leaving] * 3 + [0]), dtype=float)
    assert exact == pytest.approx(expected, abs=6e-5)
    found = csd(wins, [leaving] * 3 + [0], 60_000, seed=2)
    assert (np.abs(found.mean - exact) <= 4.5 * found.sem + 1e-12).all()


def test_with_all_scores_equal_everybody_gets_half():
    assert csd(np.asarray(win_tensor(np.zeros((3, 4)))), 0, 500).mean.tolist() == [1.5] * 4
    # An odd field of one round: (M - 1) / (2 M).
    assert csd_exact(win_tensor(np.zeros((1, 5)))) == [Fraction(2, 5)] * 5
    assert csd_exact(win_tensor(np.zeros((1, 5)), "none")) == [0] * 5


@given(st.integers(2, 5), st.integers(1, 3), st.integers(0, 2), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_runs_agree_with_every_pairing(models, rounds, leaving, bye, seed):
    scores = np.random.default_rng(seed).integers(3, size=(rounds, models)).astype(float)
    wins = win_tensor(scores)
    exact = np.array(csd_exact(wins, leaving, bye), dtype=float)
    found = csd(wins, leaving, 20_000, seed, bye)
    assert (np.abs(found.mean - exact) <= 5 * found.sem + 1e-9).all()


@given(st.integers(0, 1000), st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_names_units_and_monotone_changes_do_not_matter(seed, leaving):
    random = np.random.default_rng(seed)
    scores = random.normal(size=(3, 5))
    wins = win_tensor(scores)
    # Another unit on one benchmark, and a monotone change on another: the same tensor.
    changed = scores * np.array([[100.0], [1.0], [1.0]])
    changed[1] = np.exp(changed[1])
    assert (win_tensor(changed) == wins).all()
    order = random.permutation(5)
    renamed = csd_exact(win_tensor(scores[:, order]), leaving)
    assert renamed == [csd_exact(wins, leaving)[m] for m in order]


def test_points_are_conserved_and_survivors_add_up():
    wins = strict(6, 4)
    # Without elimination, every round has three meetings, or fewer where groups are odd; never more.
    assert csd(wins, 0, 1000).mean.sum() <= 4 * 3
    found = csd(wins, 2, 1000)
    # Six models: two leave, two leave, one leaves, and the last stays.
    assert found.elim_round_hist.sum() == 6000
    assert found.survival.sum(0).tolist()[0] == pytest.approx(4)
    assert (found.survival.sum(0) >= 1).all()
    assert found.S_hist.sum(1).tolist() == [1000] * 6


def test_the_last_one_never_leaves():
    found = csd(strict(3, 3), 5, 500)
    assert found.elim_round_hist[:, -1].sum() == 500


def test_threads_and_parts_change_nothing():
    wins = win_tensor(np.random.default_rng(0).normal(size=(4, 7)))
    from scorecraft.arena.swiss_kernel import tournaments

    halves, absent, none = (2 * wins).astype(np.int64), np.zeros((4, 7), dtype=bool), np.zeros(4, dtype=np.int64)
    whole = tournaments(halves, absent, none, 0, 3000, np.uint64(5), 0, False, False)
    first = tournaments(halves, absent, none, 0, 1234, np.uint64(5), 0, False, False)
    second = tournaments(halves, absent, none, 1234, 3000, np.uint64(5), 0, False, False)
    assert (whole[0] == first[0] + second[0]).all()
    assert csd(wins, 0, 12_000, 5).mean.tolist() == csd(wins, 0, 12_000, 5).mean.tolist()
    assert csd(wins, 0, 12_000, 5).mean.tolist() != csd(wins, 0, 12_000, 6).mean.tolist()


def test_avoiding_rematches_draws_until_nobody_meets_again():
    from scorecraft.arena.swiss_kernel import _matched

    for start in range(50):
        met = np.zeros((4, 4), dtype=np.int64)
        met[0, 1] = met[1, 0] = met[2, 3] = met[3, 2] = 1
        pairs = np.empty((4, 2), dtype=np.int64)
        found = _matched(
            np.array([start], dtype=np.uint64), np.arange(4), 4, np.zeros(4, dtype=np.int64), np.zeros(4, dtype=bool),
            np.empty(3, dtype=np.int64), pairs, pairs.copy(), met,
        )  # fmt: skip
        assert found == 2
        assert {frozenset(pair) for pair in pairs[:2].tolist()} != {frozenset({0, 1}), frozenset({2, 3})}
        assert met.sum() == 8
    # Who meets whom does not change the mean where all pairings remain equally likely.
    wins = win_tensor(np.zeros((3, 4)))
    assert csd(wins, 0, 2000, rematch="avoid").mean.tolist() == [1.5] * 4
    with pytest.raises(ScorecraftError, match="rematch"):
        csd(wins, rematch="sometimes")


def test_a_model_may_sit_out():
    scores = [[1.0, 2.0, np.nan], [3.0, 2.0, 1.0]]
    with pytest.raises(ScorecraftError, match=r"scores\[0, 2\] is missing"):
        win_tensor(scores)
    skip = win_tensor(scores, missing="skip")
    assert np.isnan(skip[0, 2]).all()
    assert np.isnan(skip[0, :, 2]).all()
    # First round: the second beats the first. Then groups {2} and {1, 3}: the first beats the third.
    assert csd_exact(skip) == [1, 1, 0]
    # As a loser the third takes part in both: pairs of the first round are equally likely.
    loss = win_tensor(scores, missing="loss")
    assert loss[0].tolist() == [[0, 0, 1], [1, 0, 1], [0, 0, 0]]
    assert csd_exact(skip, bye=1) == [1, 2, 1]


def test_ties_by_margin_and_coin():
    half = win_tensor([[1.0, 1.05, 2.0]], margin=0.1)
    assert half[0].tolist() == [[0, 0.5, 0], [0.5, 0, 0], [1, 1, 0]]
    assert win_tensor([[1.0, 1.05, 2.0]], "none", 0.1)[0].tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 0]]
    coins = [win_tensor([[1.0, 1.0]], "coin", seed=s)[0] for s in range(60)]
    assert all(one[0, 1] + one[1, 0] == 1 for one in coins)
    assert 10 < sum(one[0, 1] for one in coins) < 50


def test_bootstrap_of_items_shares_them_between_models():
    random = np.random.default_rng(0)
    # The second is right wherever the first is, and once more: it never loses, whatever items are drawn.
    first = np.array([1.0, 0, 1, 0, 0])
    items = np.stack([first, np.array([1.0, 0, 1, 0, 1])])
    drawn = [win_tensor_bootstrap([items], random)[0, 1, 0] for _ in range(200)]
    assert set(drawn) == {0.5, 1.0}
    # The last item is not drawn with chance (4/5)^5 = .328.
    assert np.mean(np.array(drawn) == 0.5) == pytest.approx(0.328, abs=0.12)
    with pytest.raises(ScorecraftError, match=r"item_scores\[0\]"):
        win_tensor_bootstrap([np.zeros((2, 0))], random)


def test_sensitivity_tells_the_specialist_from_the_generalist():
    found = failure_sensitivity(win_tensor(FIELD), (0, 1, 2), 20_000)
    assert found.curves.shape == (3, 6)
    assert found.label[0] == "robust generalist"
    assert found.label[1] == "aggressive specialist"
    assert found.slope[1] < -0.9
    assert abs(found.slope[0]) < 0.2
    # The slope by hand: (E_2 - E_0) / 2 for three equally spaced numbers.
    assert found.slope == pytest.approx((found.curves[2] - found.curves[0]) / 2)
    assert found.relative.sum() == pytest.approx(0, abs=1e-9)
    with pytest.raises(ScorecraftError, match="two different"):
        failure_sensitivity(win_tensor(FIELD), (1, 1))


def test_the_order_does_not_matter_where_all_benchmarks_agree():
    told = []
    found = order_audit(strict(5, 3), 1, 2000, orders=4, progress=lambda done, total: told.append((done, total)))
    assert found.tau == pytest.approx(np.ones(4), abs=0.25)
    assert told[-1] == (4, 4)
    assert order_audit(win_tensor(FIELD), 2, 2000, orders=10).between < 0.9


def test_a_random_order_is_the_mean_over_orders():
    wins = win_tensor(FIELD)
    from itertools import permutations

    over = np.mean([np.array(csd_exact(wins[list(o)], 1), float) for o in permutations(range(4))], axis=0)
    found = csd(wins, 1, 60_000, order="random")
    assert (np.abs(found.mean - over) <= 4.5 * found.sem).all()


def test_equal_models_are_reported_as_tied():
    found = csd(win_tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]), 0, 20_000)
    assert found.tied.tolist() == [True] * 4
    assert not csd(strict(2, 2), 0, 500).tied.any()
    assert ranks_of(np.array([1.0, 3.0, 1.0])).tolist() == [2, 1, 3]


@pytest.mark.parametrize(
    ("wins", "options", "said"),
    [
        (np.zeros((1, 1, 1)), {}, "at least 1 benchmark and 2 models"),
        (np.zeros((0, 2, 2)), {}, "at least 1 benchmark"),
        (np.zeros((1, 2, 3)), {}, "win_tensor makes it"),
        (np.zeros((1, 2, 2)), {}, "expected 1"),
        (np.full((1, 2, 2), 0.3), {}, "0, 0.5 and 1"),
        (strict(3, 2), {"T": -1}, "not negative"),
        (strict(3, 2), {"T": [1]}, "2 of them"),
        (strict(3, 2), {"T": [0.5, 1]}, "whole number"),
        (strict(3, 2), {"N": 0}, "at least 1 run"),
        (strict(3, 2), {"bye": 0.3}, "0, 0.5 or 1"),
        (strict(3, 2), {"order": "any"}, "order"),
    ],
)
def test_bad_input_is_named(wins, options, said):
    with pytest.raises(ScorecraftError, match=said):
        csd(wins, **options)


def test_scores_that_are_none_are_refused():
    for scores, said in (
        ([[1.0]], "2 models"),
        ([], "2 models"),
        ([["a", "b"]], "expected numbers"),
        ([[np.inf, 1.0]], "finite"),
    ):
        with pytest.raises(ScorecraftError, match=said):
            win_tensor(scores)
    with pytest.raises(ScorecraftError, match="margin"):
        win_tensor([[1.0, 2.0]], margin=np.nan)
    with pytest.raises(ScorecraftError, match="too many"):
        csd_exact(strict(9, 1))
    with pytest.warns(ScorecraftWarning, match="noise"):
        csd(strict(3, 1), N=50)
