"""The hypergeometric law against whole numbers of any size, its inverse, and its approximations as tabled."""

from __future__ import annotations

import math
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorecraft.decisions.hypergeometric import (
    METHODS,
    approximations,
    k_for_pass,
    p_at_least,
    tails,
    tips_needed,
    tips_needed_with_repetition,
)
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.stats.pass_at_k import pass_at_k

TIPS = 3**13
STRIKES = {13: 1, 12: 26, 11: 312, 10: 2288}


def exact(m, n, good, things):
    total = comb(things, n)
    return sum(Fraction(comb(good, r) * comb(things - good, n - r), total) for r in range(max(m, 0), min(n, good) + 1))


@given(
    st.integers(1, 60).flatmap(lambda m: st.tuples(st.just(m), st.integers(0, m), st.integers(0, m))),
    st.integers(-1, 20),
)
@settings(max_examples=300)
def test_both_tails_have_all_their_digits(numbers, m):
    things, good, n = numbers
    expected = exact(m, n, good, things)
    found = tails(m, n, good, things)
    for value, wanted in ((found.at_least, expected), (found.below, 1 - expected)):
        assert value == pytest.approx(float(wanted), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize(("strikes", "n"), [(13, 1), (13, TIPS - 1), (12, 100_000), (10, 2085), (10, TIPS // 2)])
def test_millions_have_all_their_digits(strikes, n):
    good = STRIKES[strikes]
    none = Fraction(1)
    for j in range(good):
        none *= Fraction(TIPS - n - j, TIPS - j)
    assert p_at_least(1, n, good, TIPS) == pytest.approx(float(1 - none), rel=1e-12)
    assert tails(1, n, good, TIPS).below == pytest.approx(float(none), rel=1e-10)


@pytest.mark.parametrize(
    ("strikes", "expected"),
    [
        (10, (2085, 2086, 2087, 2085)),
        (11, (15_234, 15_307, 15_235, 15_234)),
        (12, (173_510, 183_698, 173_511, 173_510)),
        (13, (1_514_607, 4_776_164, 1_514_607, 1_514_607)),
    ],
)
@pytest.mark.filterwarnings("ignore::scorecraft.errors.ScorecraftWarning")
def test_tabled_numbers_of_tips(strikes, expected):
    assert tuple(tips_needed(0.95, STRIKES[strikes], TIPS, method=method) for method in METHODS) == expected
    found = {row.method: row for row in approximations(0.95, STRIKES[strikes], TIPS)}
    assert tuple(found[method].tips for method in METHODS) == expected
    assert found["binomial"].valid == (strikes < 12)
    assert found["swap"].valid


def test_ten_strikes_or_more():
    assert tips_needed(0.95, sum(STRIKES.values()), TIPS) == 1816
    assert tips_needed(0.95, sum(STRIKES.values()), TIPS, method="binomial") == 1817


def test_two_matches_by_hand():
    # 4 of 9 tips have one strike: 1 - C(5, n) / C(9, n).
    found = [p_at_least(1, n, 4, 9) for n in range(7)]
    assert found == pytest.approx([0, 0.444444, 0.722222, 0.880952, 0.960317, 0.992063, 1], abs=1e-6)
    assert tips_needed(0.8, 4, 9) == 3


@given(
    st.integers(1, 200).flatmap(lambda m: st.tuples(st.just(m), st.integers(1, m))),
    st.floats(0.01, 0.99),
    st.integers(1, 4),
)
def test_the_inverse_is_the_smallest_that_is_enough(numbers, alpha, m):
    things, good = numbers
    if m > good:
        return
    n = tips_needed(alpha, good, things, m)
    assert exact(m, n, good, things) >= Fraction(alpha) - Fraction(1, 10**12)
    assert exact(m, n - 1, good, things) < Fraction(alpha) + Fraction(1, 10**12)


def test_edges():
    assert tips_needed(0, 3, 10) == tips_needed(-1, 3, 10) == 0
    assert tips_needed(1, 3, 10) == 8  # seven may all be bad
    assert tips_needed(1, 3, 10, 2) == 9
    assert tips_needed(0.5, 0, 10, allow_inf=True) == math.inf
    assert p_at_least(1, 1, 10, 10) == 1
    assert p_at_least(0, 0, 0, 1) == 1
    assert tips_needed_with_repetition(0.95, 1.0) == 1
    assert tips_needed_with_repetition(0.5, 0.5) == 1


def test_taking_of_samples_is_the_inverse_of_pass_at_k():
    assert float(pass_at_k(9, 4, 2)) == pytest.approx(0.722222, abs=1e-6)
    assert k_for_pass(0.722222, 9, 4) == 2
    assert k_for_pass(0.73, 9, 4) == 3
    assert k_for_pass(0.5, 9, 0) == math.inf


def test_the_approximations_are_near_where_they_are_meant_to_be():
    for method in ("binomial", "swap", "midpoint"):
        assert p_at_least(1, 50, 26, TIPS, method=method) == pytest.approx(p_at_least(1, 50, 26, TIPS), rel=1e-3)
    assert p_at_least(2, 3000, 2288, TIPS, method="binomial") == pytest.approx(
        p_at_least(2, 3000, 2288, TIPS), rel=2e-3
    )


def test_a_number_beyond_all_things_is_told():
    with pytest.warns(ScorecraftWarning, match="more than the 1,594,323 things"):
        tips_needed(0.95, 1, TIPS, method="binomial")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: p_at_least(1, 11, 3, 10), "0 to 10 draws"),
        (lambda: p_at_least(1, 1, 11, 10), "0 to 10 good"),
        (lambda: p_at_least(1, 1, 0, 0), "one thing or more"),
        (lambda: p_at_least(1, 1, 1, 10, method="poisson"), "expected one of"),
        (lambda: p_at_least(2, 1, 1, 10, method="midpoint"), "for one good draw"),
        (lambda: tips_needed(1.1, 3, 10), "safety level up to 1"),
        (lambda: tips_needed(math.nan, 3, 10), "safety level up to 1"),
        (lambda: tips_needed(0.5, 0, 10), "only 0 of 10"),
        (lambda: tips_needed(0.5, 5, 10, 2, method="swap"), "for one good draw"),
        (lambda: approximations(1.0, 3, 10), "between 0 and 1"),
        (lambda: tips_needed_with_repetition(0.5, 0.0), "out of range|expected a safety level"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_bad_numbers_are_told(call, message):
    with pytest.raises(ScorecraftError, match=message):
        call()
