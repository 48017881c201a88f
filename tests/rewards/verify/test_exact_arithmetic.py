"""Fingerprints, approximations and the parser: what they rest on, and what they refuse."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.rewards.verify.approximate import Approximation, surely_different
from scorecraft.rewards.verify.fingerprint import Fingerprint, P, exact
from scorecraft.rewards.verify.nodes import Call, Number, Power, Product, Quotient, Sum, Symbol
from scorecraft.rewards.verify.parsing import parse
from scorecraft.rewards.verify.units import known_unit, unit_ratio
from scorecraft.rewards.verify.verification import TooLarge, Undecided, Unreadable

SMALL_PRIMES = [q for q in range(2, 114) if all(q % d for d in range(2, q))]


def test_the_modulus_is_a_prime_in_which_small_primes_and_minus_one_have_roots():
    twos = ((P - 1) & -(P - 1)).bit_length() - 1
    for base in SMALL_PRIMES:  # Miller and Rabin, written out once more
        powers = [pow(base, (P - 1) >> shift, P) for shift in range(twos, -1, -1)]
        assert powers[-1] == 1
        assert powers[0] == 1 or P - 1 in powers
    for number in (*SMALL_PRIMES, -1):
        assert pow(number, (P - 1) // 2, P) == 1


@given(st.integers(2, 10_000), st.integers(2, 10_000))
def test_the_root_of_a_product_is_the_product_of_the_roots(a, b):
    def root(n):
        return Call("sqrt", (Number(n),))

    for one, other in ((Product((root(a), root(a))), Number(a)), (root(a * a * b), Product((Number(a), root(b))))):
        first, second = Fingerprint(one), Fingerprint(other)
        # Roots of primes above 113 are opaque: that they differ says nothing, and approximations must not say so.
        assert first.residue == second.residue or first.opaque
        assert not surely_different(one, other)


@given(st.lists(st.sampled_from(SMALL_PRIMES), min_size=1, max_size=6), st.integers(1, 10_000))
def test_roots_of_products_of_small_primes_are_exact(primes, a):
    product, roots = math.prod(primes), [Call("sqrt", (Number(prime),)) for prime in primes]
    one, other = Fingerprint(Call("sqrt", (Number(a * a * product),))), Fingerprint(Product((Number(a), *roots)))
    assert (one.residue, one.opaque) == (other.residue, False)
    assert Fingerprint(Call("sqrt", (Number(a * a * product + 1),))).residue != one.residue


def test_only_what_cannot_be_told_is_opaque():
    assert not Fingerprint(parse(r"\frac{x^2+\sqrt{2}}{3}i")).opaque
    for text in (r"\sin x", "2^x", r"\sqrt{x}", r"\sqrt[3]{2}", r"\sqrt{127}", "|x|"):
        assert Fingerprint(parse(text)).opaque, text
    assert Fingerprint(parse("2x")).constant is False
    assert Fingerprint(parse("2.5")).decimal


@pytest.mark.parametrize("text", ["9^{9^9}", "9^9^9^9", "1001!", "10^{-5000}", r"\binom{2000}{3}", "2^{99999999999}"])
def test_what_is_too_large_is_never_worked_out(text):
    with pytest.raises(TooLarge):
        Fingerprint(parse(text))


def test_a_large_exponent_of_a_variable_is_no_trouble():
    assert Fingerprint(parse("x^{1000000}")).residue != Fingerprint(parse("x^{1000001}")).residue


def test_exact_values():
    assert exact(parse(r"\frac{1}{2}+3")) == Fraction(7, 2)
    assert exact(parse("2^{-3}")) == Fraction(1, 8)
    assert exact(parse("x+1")) is None
    with pytest.raises(Unreadable, match="division by zero"):
        exact(parse("1/0"))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("-x^2", Product((Number(-1), Power(Symbol("x"), Number(2))))),
        ("2x", Product((Number(2), Symbol("x")))),
        ("a/b", Quotient(Symbol("a"), Symbol("b"))),
        ("1-x", Sum((Number(1), Product((Number(-1), Symbol("x")))))),
        (r"\frac12", Quotient(Number(1), Number(2))),
        (r"\frac{1}2", Quotient(Number(1), Number(2))),
        ("x_1", Symbol("x_1")),
        ("x_{12}", Symbol("x_12")),
        ("2^3^2", Power(Number(2), Power(Number(3), Number(2)))),
        ("3!", Call("factorial", (Number(3),))),
        (r"\sqrt[3]{x}", Call("root", (Symbol("x"), Number(3)))),
        ("1,234", Number(1234)),
    ],
)
def test_trees_by_hand(text, tree):
    assert parse(text) == tree


@pytest.mark.parametrize(
    "text", ["1/2x", r"\sin 2x", "abcd", "1,5", "2 3", r"\sqrt12", "f'", r"\foo{x}", "x=1", "", "(x", "x^"]
)
def test_what_has_no_single_reading_is_left_undecided(text):
    with pytest.raises(Undecided):
        parse(text)


@pytest.mark.parametrize("text", ["(" * 60 + "1" + ")" * 60, "9^" * 60 + "9", "1/" * 60 + "1", "3!!", "1" * 500])
def test_what_is_out_of_all_proportion_is_refused(text):
    with pytest.raises(Unreadable):
        parse(text)


def test_rounding_never_makes_a_difference():
    # Equal by algebra, with large numbers that cancel.
    for one, other in ((r"\sin(x)^2+\cos(x)^2", "1"), (r"2^{x+40}-2^{40}\cdot 2^x", "0"), (r"\ln(8)", r"3\ln(2)")):
        assert not surely_different(parse(one), parse(other))
    assert surely_different(parse(r"\sin(x)"), parse(r"\cos(x)"))
    with pytest.raises(Undecided):
        Approximation(parse(r"10^{20}+\sin(1)-10^{20}"))


def test_units():
    assert known_unit("square meters") == ("length", 2, 1)
    assert known_unit("cm^2") == ("length", 2, Fraction(1, 10_000))
    assert known_unit("inches") == ("length", 1, Fraction(127, 5000))
    assert known_unit("apples") is None
    assert unit_ratio("hours", "minutes") == 60
    assert unit_ratio("cm", "kg") is None
    assert unit_ratio("apples", "oranges") == 1
    assert unit_ratio("", "kg") == 1
