"""What is right, wrong and unparsed, kind by kind, each decided without a computer algebra system."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.verify import Options, Ruling, verify, verify_many
from scorecraft.rewards.verify.fast import Pending, decide

CORRECT, WRONG, UNPARSED, ERROR = Ruling.CORRECT, Ruling.WRONG, Ruling.UNPARSED, Ruling.ERROR


def ruling(answer: str, truth: str, **options: object) -> Ruling:
    """Return the fast path's ruling on a boxed answer; it raises where it would leave it to others."""
    found = decide(f"It is $\\boxed{{{answer}}}$.", truth, Options(**options))
    assert found.path == "fast"
    return found.verdict


@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [
        # Surface forms of numbers.
        ("1234", "1,234", CORRECT),
        ("1234", r"1{,}234", CORRECT),
        ("1234", r"1\,234", CORRECT),
        ("1234", "$1234.00", CORRECT),
        ("1234", r"\$1,234", CORRECT),
        ("1234", "1,2345", WRONG),
        ("1234", "12,34", WRONG),
        ("-7", "\u22127", CORRECT),
        ("-7", "- 7", CORRECT),
        ("7", "-7", WRONG),
        ("7", "007", CORRECT),
        ("7", "x = 7", CORRECT),
        ("7", r"\text{7}", CORRECT),
        ("7", r"\approx 7", CORRECT),
        ("0.5", ".5", CORRECT),
        ("0.5", "1/2", CORRECT),
        (r"\frac{1}{2}", r"\frac12", CORRECT),
        (r"\frac{1}{2}", r"\dfrac{2}{4}", CORRECT),
        (r"\frac{1}{2}", "\u00bd", CORRECT),
        (r"\frac{1}{2}", "0.50", CORRECT),
        (r"\frac{1}{2}", r"\frac{2}{1}", WRONG),
        ("3.5", r"3\frac{1}{2}", CORRECT),
        ("3.5", "3 1/2", CORRECT),
        ("-3.5", r"-3\frac{1}{2}", CORRECT),
        ("1500", "1.5e3", CORRECT),
        ("1500", r"1.5 \times 10^{3}", CORRECT),
        ("0.0001", "10^{-4}", CORRECT),
        ("5000000", "5 million", CORRECT),
        # Rounded numbers: six decimals, and a thousandth of the value.
        ("1/3", "0.333333", CORRECT),
        ("1/3", "0.3333", WRONG),
        ("0.0000003", "0", WRONG),
        ("0.000123456", "0.000123", WRONG),
        # Percent.
        (r"50\%", "50 percent", CORRECT),
        (r"50\%", "0.5", CORRECT),
        (r"50\%", "50", CORRECT),
        ("50", r"50\%", CORRECT),
        ("0.5", r"50\%", CORRECT),
        ("0.5", r"0.5\%", WRONG),
        (r"50\%", "5", WRONG),
        # Units: converted where both are known, ignored where one is missing or a mere word.
        ("5 cm", "5", CORRECT),
        ("5", r"5\text{ cm}", CORRECT),
        ("5 cm", "0.05 m", CORRECT),
        ("5 cm", "5 m", WRONG),
        ("5 cm", "5 kg", WRONG),
        (r"2 \text{ m}^2", r"20000 \text{ cm}^2", CORRECT),
        ("2 hours", "120 minutes", CORRECT),
        ("42", "42 apples", CORRECT),
        ("42", "42 x", WRONG),
        (r"90^\circ", "90", CORRECT),
        ("90", "90\u00b0", CORRECT),
        # Words that change a number.
        ("42", r"\text{not } 42", WRONG),
        ("42", r"\text{more than 42}", WRONG),
        # Bases.
        ("12_5", "12_{5}", CORRECT),
        ("12_5", "12", CORRECT),
        ("12_5", "12_7", WRONG),
        # Ratios and times.
        ("3:4", "6:8", CORRECT),
        ("3:4", r"\frac{3}{4}", CORRECT),
        ("11:30", "11:30", CORRECT),
        ("10:20", "11:22", WRONG),
        # Expressions.
        (r"2\sqrt{3}", r"\sqrt{12}", CORRECT),
        (r"2\sqrt{3}", "2sqrt(3)", CORRECT),
        (r"2\sqrt{3}", "\u221a12", CORRECT),
        (r"2\sqrt{3}", "3.464102", CORRECT),
        (r"2\sqrt{3}", "3.46", WRONG),
        (r"2\sqrt{3}", r"3\sqrt{2}", WRONG),
        (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}", CORRECT),
        (r"\sqrt{6}", r"\sqrt{2}\sqrt{3}", CORRECT),
        (r"\sqrt{-4}", "2i", CORRECT),
        (r"\frac{\pi}{4}", "pi/4", CORRECT),
        (r"\frac{\pi}{4}", "0.785398", CORRECT),
        (r"\pi", r"\frac{355}{113}", WRONG),
        (r"x^2+2x+1", "(x+1)^2", CORRECT),
        (r"x^2-1", "(x+1)(x-1)", CORRECT),
        (r"x^2-1", "(x-1)^2", WRONG),
        (r"\frac{x^2-1}{x-1}", "x+1", CORRECT),
        ("0.5x", r"\frac{x}{2}", CORRECT),
        ("3+4i", "4i + 3", CORRECT),
        ("10!", "3628800", CORRECT),
        (r"\binom{5}{2}", "10", CORRECT),
        (r"\ln 2", r"\ln(3)", WRONG),
        # Equations and inequalities.
        ("5", "x=5", CORRECT),
        ("x=5", "5", CORRECT),
        ("x=5", "y=5", WRONG),
        ("5", "2+3=5", CORRECT),
        ("5", "4=5", WRONG),
        ("y=2x+3", "y = 3 + 2x", CORRECT),
        ("y=2x+3", "2x - y + 3 = 0", CORRECT),
        ("y=2x+3", "y=2x-3", WRONG),
        ("f(x)=x^2", "x^2", CORRECT),
        ("x>3", r"(3, \infty)", CORRECT),
        ("x>3", "3 < x", CORRECT),
        ("x>3", r"x \geq 3", WRONG),
        ("[1,2)", r"1 \leq x < 2", CORRECT),
        # Several values.
        ("(1,2)", "(1, 2)", CORRECT),
        ("(1,2)", "(2, 1)", WRONG),
        ("(1,2)", r"\left( 1, \frac{4}{2} \right)", CORRECT),
        ("(1,2)", "1, 2", CORRECT),
        ("1,2", "2, 1", CORRECT),
        ("1,2", r"2 \text{ and } 1", CORRECT),
        ("1,2", r"\{2, 1\}", CORRECT),
        ("1,2", "1", WRONG),
        ("1,2", "1, 2, 3", WRONG),
        ("1", "1, 2", WRONG),
        ("2,-2", r"\pm 2", CORRECT),
        (r"1 \pm \sqrt{2}", r"1-\sqrt2, 1+\sqrt2", CORRECT),
        ("x=1, y=2", "y = 2, x = 1", CORRECT),
        (r"\{5\}", "5", CORRECT),
        ("[1,2)", "[1, 2)", CORRECT),
        ("[1,2)", "(1, 2)", WRONG),
        ("[1,2)", "[1, 2]", WRONG),
        (r"(-\infty,2)\cup(3,\infty)", r"(3, \infty) \cup (-\infty, 2)", CORRECT),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{bmatrix} 1 \\ 4/2 \end{bmatrix}", CORRECT),
        (r"\begin{pmatrix} 1 & 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", WRONG),
        # Words and choices.
        (r"\text{Friday}", "friday", CORRECT),
        (r"\text{Friday}", r"\text{Monday}", WRONG),
        ("Friday", "5", WRONG),
        ("5", "Friday", WRONG),
        ("yes", "Yes.", CORRECT),
        ("yes", "no", WRONG),
        ("C", r"\text{(C)}", CORRECT),
        ("(C)", "C", CORRECT),
        ("C", "D", WRONG),
        # Not to be read by anyone.
        ("5", r"\frac{1}{0}", UNPARSED),
        ("5", "9^{9^{9^{9}}}", UNPARSED),
        ("5", "(5", UNPARSED),
        ("5", "\uff15", UNPARSED),
        ("5", "5\u200b", UNPARSED),
    ],
)
def test_by_hand(truth, answer, expected):
    assert ruling(answer, truth) is expected


@pytest.mark.parametrize(
    ("answer", "truth"), [("cos 2x", r"\cos 2x"), (r"\cos 2x", "cos 2x"), ("2 sin 3x", r"2\sin 3x")]
)
def test_functions_without_brackets_are_no_words(answer, truth):
    with pytest.raises(Pending):
        ruling(answer, truth)


def test_numbers_among_words():
    assert ruling("there are 42 of them", "42") is CORRECT
    assert ruling("there are 42 of them", "41") is WRONG
    assert ruling(r"there are 42 \text{ apples}", "42") is CORRECT
    for answer in ("(lambda: 42)()", "print(42)", "not 42", "42 or so and 43", "at least 42"):
        assert ruling(answer, "42") is WRONG


def test_tolerances():
    assert ruling("3.1", r"\pi") is WRONG
    assert ruling("3.1", r"\pi", absolute=0.05) is CORRECT
    assert ruling("3.1", r"\pi", absolute=0.04) is WRONG
    assert ruling("101", "100", relative=0.01) is CORRECT
    assert ruling("101.1", "100", relative=0.01) is WRONG
    assert ruling("102", "100", absolute=1.0, relative=0.02) is CORRECT
    assert ruling("(1.001, 2)", "(1,2)", absolute=0.01) is CORRECT


def test_numeric_reads_a_number_and_nothing_else():
    assert ruling(r"\text{there are 42 apples}", "42", kind="numeric") is CORRECT
    assert ruling(r"\text{Friday}", "42", kind="numeric") is UNPARSED
    assert ruling("1, 2", "42", kind="numeric") is UNPARSED
    assert ruling(r"\sqrt{1764}", "42", kind="numeric") is CORRECT
    assert ruling("42", "Friday", kind="numeric") is UNPARSED


def test_exact_compares_words():
    assert ruling("New  York", "new york", kind="exact") is CORRECT
    assert ruling("New York", "new york", kind="exact", ignore_case=False) is WRONG
    assert ruling("0.5", "1/2", kind="exact") is WRONG


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("C", CORRECT), ("(c)", CORRECT), ("C.", CORRECT), ("option C", CORRECT), ("(C) 42 apples", CORRECT),
        ("C: a number", CORRECT), ("D", WRONG), ("B or C", UNPARSED), ("(B) or (C)", UNPARSED),
        ("C) not (B)", UNPARSED), ("CC", UNPARSED), ("\u0421", UNPARSED),
    ],
)  # fmt: skip
def test_a_choice_names_exactly_one_letter(answer, expected):
    assert ruling(answer, "C", kind="choice") is expected


def test_an_article_is_no_choice():
    assert decide("The answer is A number of things.", "A", Options()).verdict is UNPARSED
    assert decide("The answer is A.", "A", Options()).verdict is CORRECT


def test_set_and_tuple_lay_down_the_order():
    assert ruling("(2, 1)", "(1,2)", kind="set") is CORRECT
    assert ruling("2, 1", "1,2", kind="tuple") is WRONG
    assert ruling("[1, 2]", "1,2", kind="tuple") is CORRECT
    assert ruling("1, 2", "[1,2]", kind="interval") is UNPARSED
    assert ruling("[1, 2]", "[1,2]", kind="interval") is CORRECT
    assert ruling("5", "x=5", kind="equation") is UNPARSED
    assert ruling("x = 10/2", "x=5", kind="equation") is CORRECT


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"b": [1, 2], "a": 1.0}', CORRECT), ('```json\n{"a": 1, "b": [1, 2]}\n```', CORRECT),
        ('{"a": 1, "b": [2, 1]}', WRONG), ('{"a": true, "b": [1, 2]}', WRONG), ('{"a": 1}', WRONG),
        ('{"a": 1, "a": 1, "b": [1, 2]}', UNPARSED), ('{"a": NaN, "b": [1, 2]}', UNPARSED), ("a: 1", UNPARSED),
        ("[" * 500, UNPARSED), ('{"a": 1e999, "b": [1, 2]}', UNPARSED),
    ],
)  # fmt: skip
def test_json(answer, expected):
    assert verify(answer, '{"a": 1, "b": [1, 2]}').verdict is expected
    assert verify(answer, '{"a": 1, "b": [1, 2]}', kind="json").verdict is expected


def test_json_numbers_take_tolerances():
    assert verify('{"a": 1.01}', '{"a": 1}', absolute=0.1).correct
    assert not verify('{"a": 1.01}', '{"a": 1}').correct


def test_a_verification_says_why():
    found = verify(r"so \boxed{\frac{2}{4}}", "0.5")
    assert found.as_json() == {
        "verdict": "correct", "reason": "", "form": "boxed", "given": r"\frac{2}{4}", "truth": "0.5",
        "values": ["1/2", "1/2"], "path": "fast", "seconds": found.seconds, "score": 1.0,
    }  # fmt: skip
    assert verify("I do not know.", "0.5").reason == "no answer found"
    # A true answer that nobody can read is the data's fault, unless it is given to the letter.
    assert verify(r"\boxed{9^{9^{9^9}}}", "9^{9^{9^9}}").correct
    lost = verify(r"\boxed{5}", "9^{9^{9^9}}")
    assert (lost.verdict, lost.reason) == (ERROR, "the true answer: a power too large to work out")
    assert verify(r"\boxed{5}", " ").verdict is ERROR


def test_numbers_stand_for_their_texts_as_truths():
    assert [one.correct for one in verify_many([r"\boxed{5}", r"\boxed{0.25}"], [5, 0.25])] == [True, True]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: verify("5", "5", absolute=-1.0), "absolute must be a number of at least 0"),
        (lambda: verify("5", "5", relative=float("nan")), "relative must be"),
        (lambda: verify("5", "5", seconds=0.0), "seconds must be above 0"),
        (lambda: verify("5", "5", memory_mb=10), "memory_mb must be at least 256"),
        (lambda: verify("5", "5", workers=0), "workers must be at least 1"),
        (lambda: verify_many(["5"], []), "1 completions, but 0 true answers"),
        (lambda: verify("5", None), "expected a text or a number"),
        (lambda: verify("5", "(", kind="regex"), "is not a regular expression"),
        (lambda: verify("5", "assert True", kind="code"), "set run_code=True"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_an_unknown_kind_is_named():
    options = Options()
    object.__setattr__(options, "kind", "numbers")  # the type checker of the tests would stop it earlier
    with pytest.raises(ScorecraftError, match="did you mean 'numeric'"):
        options.__post_init__()


numbers = st.fractions(min_value=-1000, max_value=1000, max_denominator=200)


def written(value: Fraction, form: int) -> str:
    sign, size = "-" if value < 0 else "", abs(value)
    return (
        f"{value}", f"{sign}\\frac{{{size.numerator}}}{{{size.denominator}}}",
        f"\\frac{{{3 * value.numerator}}}{{{3 * value.denominator}}}",
        f"{sign}{size.numerator // size.denominator}+{sign or '+'}{size % 1}".replace("++", "+").replace("+-", "-"),
    )[form]  # fmt: skip


@given(numbers, st.integers(0, 3), st.integers(0, 3))
def test_every_way_to_write_a_number_is_right(value, one, other):
    assert ruling(written(value, one), written(value, other)) is CORRECT


@given(numbers, numbers, st.integers(0, 3), st.integers(0, 3))
def test_another_number_is_wrong(value, other, first, second):
    assume(value != other)
    assert ruling(written(value, first), written(other, second)) is WRONG


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=6, unique=True), st.randoms())
def test_the_order_of_a_set_says_nothing_and_that_of_a_tuple_does(values, chance):
    mixed = values[:]
    chance.shuffle(mixed)
    true, shown = ",".join(map(str, values)), ", ".join(map(str, mixed))
    assert ruling(f"\\{{{shown}\\}}", f"\\{{{true}\\}}") is CORRECT
    assert ruling(shown, true) is CORRECT
    assert ruling(f"({shown})", f"({true})") is (CORRECT if mixed == values else WRONG)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=4), st.integers(-20, 20))
def test_a_product_of_factors_is_its_expansion(roots, extra):
    coefficients = [1]
    for root in roots:
        raised = [*coefficients, 0]
        for place, value in enumerate(coefficients):
            raised[place + 1] -= root * value
        coefficients = raised
    degree = len(coefficients) - 1
    expanded = "+".join(f"({value})x^{degree - place}" for place, value in enumerate(coefficients))
    factored = "".join(f"(x-({root}))" for root in roots)
    assert ruling(factored, expanded) is CORRECT
    assert ruling(f"{factored}+{abs(extra) + 1}", expanded) is WRONG


@pytest.mark.parametrize(
    ("completion", "answer"),
    [("So 1823", "1823"), ("So it is 1823.0", "1823"), ("It is 1,823.", "1823"), ("is -5", "-5"), ("He is 5", "5")],
)
def test_a_number_among_everyday_words_is_the_answer(completion, answer):
    found = verify(completion, answer)
    assert (found.verdict, found.path) == (Ruling.CORRECT, "fast")
    assert not verify(completion, "77").correct


def test_letters_that_are_no_everyday_words_stay_a_formula():
    assert not verify("m 5", "5").correct
    assert verify("5 m", "5 m").correct
    assert not verify("so 4 or 5", "5").correct
