"""Claims are read with positions, printed so that they read back the same, sorted, and never evaluated as code."""

from __future__ import annotations

import unicodedata
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.formal_steps import ClaimError, contentless, parse_claim, print_claim, to_lean
from scorecraft.rewards.formal_steps.claim import (
    MOST_CHARACTERS,
    Implication,
    Junction,
    Name,
    Negation,
    Not,
    Number,
    Power,
    Product,
    Relation,
    Sum,
)
from scorecraft.rewards.formal_steps.numerals import read_digits, write_digits
from scorecraft.rewards.formal_steps.parser import parse_formula, parse_term
from scorecraft.rewards.formal_steps.sorts import check_sorts


def test_precedence_as_it_is_written_down():
    two, x = Number(2), Name("x")
    assert parse_term("-x^2") == Negation(Power(x, 2))
    assert parse_term("2*-x") == Product((two, Negation(x)), (False, False))
    assert parse_term("x - 2 + x/2*x") == Sum(
        (x, two, Product((x, two, x), (False, True, False))), (False, True, False)
    )
    assert parse_term("(x - 2) - x") == Sum((Sum((x, two), (False, True)), x), (False, True))
    a, b, c = (Relation((Name(name), Number(0)), (">",)) for name in "abc")
    assert parse_formula("a > 0 or b > 0 and not c > 0") == Junction("or", (a, Junction("and", (b, Not(c)))))
    assert parse_formula("a > 0 -> b > 0 -> c > 0") == Implication(a, Implication(b, c))
    assert parse_formula("0 < x <= 2 = x") == Relation((Number(0), x, two, x), ("<", "<=", "="))


def test_numerals_are_exact():
    assert parse_term("0.1") == Number(Fraction(1, 10))
    assert parse_term("3.0") == Number(3)
    digits = "7" * 9000
    assert write_digits(read_digits(digits)) == digits
    assert write_digits(10**8000) == "1" + "0" * 8000


@pytest.mark.parametrize(
    ("text", "fault", "position", "said"),
    [
        ("show x = 1", "parse", 5, "'x' is not declared"),
        ("vars x : Real; show x + = 1", "parse", 24, "found '='"),
        ("show 1 = 1 extra", "parse", 11, "expected the end, found 'extra'"),
        ("show 1 +", "parse", 8, "it ends where"),
        ("show (1 = 1", "parse", 11, r"expected '\)'"),
        ("assume 1 = 1 show 1 = 1", "parse", 13, "expected ';'"),
        ("vars x : Complex; show x = 1", "parse", 9, "expected a sort"),
        ("vars x x : Int; show x = 1", "parse", 7, "declared twice"),
        ("vars show : Int; show 1 = 1", "parse", 5, "expected the name"),
        ("vars : Int; show 1 = 1", "parse", 5, "expected the name"),
        ("show 3", "parse", 5, "expected a statement"),
        ("show true + 1 = 2", "parse", 10, "a statement stands where a number"),
        ("show 1 and 2", "parse", 7, "a number stands where a statement"),
        ("show 2^3^2 = 512", "parse", 8, "power of a power"),
        ("show (1 = 1) <-> (1 = 1) <-> (1 = 1)", "parse", 25, "two '<->'"),
        ("show 3x = 3", "parse", 5, "runs into a word"),
        ("show 1.2.3 = 3", "parse", 5, "runs into a word or a second point"),
        ("show 2 & 3 = 1", "parse", 7, "character '&'"),
        ("show \u0663 = 3", "parse", 5, "has no place"),
        ("show \x00", "parse", 5, "has no place"),
        ("show abs(1, 2) = 1", "parse", 5, "abs does not take 2"),
        ("show mod(5) = 1", "parse", 5, "mod does not take 1"),
        ("show 2 == 3", "parse", 11, "expected 'mod'"),
        ("show sqrt(4) = 2", "unsupported", 5, "none of the functions"),
        ("show 2^65 = 1", "unsupported", 6, "numeral up to 64"),
        ("show 2^-1 = 0.5", "unsupported", 6, "numeral up to 64"),
        ("vars x : Real; show 2^x = 2", "unsupported", 21, "numeral up to 64"),
        ("vars x : Real; show 2 | x", "type", 22, "whole numbers"),
        ("vars x : Int; show mod(x/2, 3) = 1", "type", 19, "whole numbers"),
        ("vars x : Int; show x | 4", "unsupported", 21, "positive whole numeral"),
        ("vars x : Real; show (x^64)^64 = 1", "unsupported", 26, "degree 4096"),
    ],
)
def test_faults_are_named_with_their_position(text, fault, position, said):
    with pytest.raises(ClaimError, match=said) as error:
        parse_claim(text)
    assert (error.value.fault, error.value.position) == (fault, position)
    assert isinstance(error.value, ScorecraftError)


@pytest.mark.parametrize(
    "text",
    [
        "show " + "(" * 100_000 + "1",
        "show " + "-" * 60_000 + "1 = 1",
        "show " + "not " * 10_000 + "true",
        "show " + "abs(" * 5_000 + "1",
        "show " + "true -> " * 5_000 + "true",
        "show " + "1" * 10_001 + " = 1",
        "show 1 = 1" + " " * MOST_CHARACTERS,
        "show " + "1 + " * 500_000 + "1 = 1",
        "vars x : Nat; show x" + " - 1" * 1_000 + " = 1",
    ],
)
def test_hostile_size_is_unsupported(text):
    with pytest.raises(ClaimError) as error:
        parse_claim(text)
    assert error.value.fault == "unsupported"


@given(st.text(max_size=200))
def test_any_text_is_a_claim_or_a_named_fault(text):
    for read in (parse_claim, lambda t: parse_claim("show " + t)):
        try:
            claim = read(text)
        except ClaimError:
            continue
        assert parse_claim(print_claim(claim)) == claim


def test_nothing_is_run():
    for text in ("__import__('os').system('x')", "().__class__", "1 if 1 else 2", "lambda: 0"):
        with pytest.raises(ClaimError):
            parse_claim(f"show {text} = 1")


names, numerals = st.sampled_from("xyz"), st.integers(0, 99).map(str) | st.just("0.25")


def larger(terms):
    chains = st.lists(st.tuples(st.sampled_from("+-*/"), terms), min_size=1, max_size=3)
    chained = st.tuples(terms, chains).map(lambda p: p[0] + "".join(f" {sign} {term}" for sign, term in p[1]))
    powers = st.tuples(terms, st.integers(0, 3)).map(lambda p: f"({p[0]})^{p[1]}")
    calls = st.tuples(st.sampled_from(("abs", "floor")), terms).map(lambda p: f"{p[0]}({p[1]})")
    return chained | chained.map("({})".format) | terms.map("-({})".format) | terms.map("-{}".format) | powers | calls


def joined(inner):
    words = st.sampled_from(("and", "or", "->"))
    pairs = st.tuples(inner, words, inner).map(lambda p: f"{p[0]} {p[1]} {p[2]}")
    return pairs | pairs.map("({})".format) | inner.map("not {}".format) | pairs.map("(({}) <-> true)".format)


terms = st.recursive(names | numerals, larger, max_leaves=10)
related = st.tuples(st.sampled_from(("=", "!=", "<", "<=", ">", ">=")), terms)
atoms = st.tuples(terms, st.lists(related, min_size=1, max_size=3)).map(
    lambda p: p[0] + "".join(f" {relation} {term}" for relation, term in p[1])
)
formulas = st.recursive(atoms, joined, max_leaves=5)


@given(st.lists(formulas, max_size=2), formulas)
def test_what_is_printed_reads_back(hypotheses, goal):
    assumed = f"assume {', '.join(hypotheses)}; " if hypotheses else ""
    claim = parse_claim(f"vars x : Real, y : Int, z : Nat; {assumed}show {goal}")
    assert parse_claim(print_claim(claim)) == claim


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("show 2*3 = 6", "F0"),
        ("vars x : Real; show 2 = 2", "F0"),
        ("vars x y : Real; show 2*x + y/3 > 1", "F1"),
        ("vars x : Int; show 3 | x", "F1"),
        ("vars x y : Real; show x*y = 1", "F2"),
        ("vars x : Rat; show x^2 = 1", "F2"),
        ("vars x y : Real; assume y != 0; show x/y = 1", "F2"),
        ("vars x : Int; show x*x = 1", "F3"),
        ("vars x : Real; show floor(x*x) = 1", "F3"),
        ("vars x : Real; show x^1 + x^0 = 1", "F1"),
    ],
)
def test_fragments(text, fragment):
    assert check_sorts(parse_claim(text)).fragment == fragment


@pytest.mark.parametrize(
    ("text", "guards"),
    [
        ("show 1/2 = 0.5", 0),
        ("vars x : Real; show 1/x + 1/(x + 1) = 1", 2),
        ("vars a b : Nat; show a - b = 0", 1),
        ("vars a b : Nat; show a - b - 1 = 0", 2),
        ("vars a : Nat, z : Int; show a - 3 = z", 0),
        ("vars a : Nat; show -2 < a", 0),
        ("vars a : Nat; show a - 0.5 > 0", 0),
        ("vars a : Nat; show 3 - 5 + a > 0", 1),
        ("show mod(5, 0) = 1", 1),
    ],
)
def test_what_must_be_shown_first(text, guards):
    assert len(check_sorts(parse_claim(text)).guards) == guards


@pytest.mark.parametrize(
    ("text", "empty"),
    [
        ("show true", True),
        ("show 5 = 5", True),
        ("show 2 + 3 = 3 + 2", True),
        ("show 2 + 3 = 5", False),
        ("vars x : Real; show x <= x", True),
        ("vars x : Real; show x < x", False),
        ("vars a b : Real; assume a = b; show b = a", True),
        ("vars a b : Real; assume a < b and b < 3; show b > a", True),
        ("vars a b c : Real; assume a = b, b = c; show a = b = c", True),
        ("vars a b c : Real; assume a = b, b = c; show a = c", False),
        ("vars a b : Real; assume a*b + 1 = 2; show 2 = 1 + b*a", True),
        ("vars a b : Real; assume a - b = 2; show b - a = 2", False),
        ("show 5 == 5 mod 3", True),
        ("show 5 == 2 mod 3", False),
    ],
)
def test_what_asserts_nothing(text, empty):
    assert contentless(parse_claim(text)) is empty


def lean_text(text):
    """Return a text with Lean's letters for the number sets."""
    letters = {"ZZ": "Z", "NN": "N", "QQ": "Q", "RR": "R"}
    for short, letter in letters.items():
        text = text.replace(short, unicodedata.lookup(f"DOUBLE-STRUCK CAPITAL {letter}"))
    return text.replace("DIV", "\N{DIVIDES}")


def test_lean_theorems():
    # Every leaf has the type of its atom, so nothing is cut off at 0 or rounded down.
    assert to_lean(parse_claim("show 3 - 5 = -2")) == lean_text(
        "theorem step : (((3 : ZZ) - (5 : ZZ)) = (-(2 : ZZ))) := by sorry"
    )
    assert to_lean(parse_claim("show 0.1 + 0.2 = 0.3")) == lean_text(
        "theorem step : ((((1 : QQ) / 10) + ((1 : QQ) / 5)) = ((3 : QQ) / 10)) := by sorry"
    )
    claim = parse_claim("vars n : Nat, h1 : Real; assume 6 | n, h1 > n; show n == 0 mod 3 and not floor(h1) < 0")
    assert to_lean(claim, "third") == lean_text(
        "theorem third (n : NN) (h1 : RR) (hh0 : ((6 : ZZ) DIV (n : ZZ))) (hh1 : (h1 > (n : RR))) : "
        "(((n : ZZ) ≡ (0 : ZZ) [ZMOD (3 : ZZ)]) ∧ (¬ (⌊h1⌋ < (0 : ZZ)))) := by sorry"
    )
    quoted = to_lean(parse_claim("vars theorem : Int; show min(theorem, 2)^2 <= abs(theorem) + 4"))
    assert lean_text("(«theorem» : ZZ)") in quoted
    assert lean_text("((min «theorem» (2 : ZZ)) ^ 2) ≤ (|«theorem»| + (4 : ZZ))") in quoted
