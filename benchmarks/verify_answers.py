"""Makes ordinary answers with known labels: half as in GSM8K, half as in MATH, each right or wrong on purpose.

An item has a true answer as those data sets write it, a completion whose answer is written in one of the ways that
models write it, and whether it is right. The right ones are equal by construction, the wrong ones are other values
by construction: slips of sign, digit, factor or order, such as models make.

`make_answers` has the forms that every verifier is meant to read; `make_rough_edges` those on which verifiers are
known to part ways, so that the rates on ordinary answers do not hang on how many of them somebody mixed in.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, isqrt


@dataclass(frozen=True)
class Item:
    """A completion, the true answer, whether it is right, and what it is an example of."""

    completion: str
    truth: str
    correct: bool
    family: str
    form: str


_WORD = re.compile(r" ([a-z]+)$")

# A true answer, right ways to write it, and wrong answers.
Made = tuple[str, list[str], list[str]]
Maker = Callable[[random.Random], Made]


def _pick_int(chance: random.Random, low: int = 2, high: int = 400) -> int:
    return chance.randint(low, high) * chance.choice((1, 1, 1, 10, 25))


def slips(value: int, chance: random.Random) -> list[str]:
    """Return whole numbers that a slip makes of one."""
    digits = list(str(abs(value)))
    chance.shuffle(digits)
    made = {value + 1, value - 1, value + chance.randint(2, 30), value * 2, value * 10, -value, int("".join(digits))}
    return [str(other) for other in sorted(made - {value})]


def grouped(value: int) -> str:
    """Return a number with its thousands grouped by commas."""
    return f"{value:,}"


# GSM8K: the answer is a number, and what follows is how the text ends.

GSM_ENDINGS = (
    ("hash", "\n#### {}"),
    ("hash", "\n#### {}\n"),
    ("phrase", "\nThe answer is {}."),
    ("phrase", "\nSo the final answer is {}."),
    ("phrase", "\n**Answer:** {}"),
    ("phrase", "\nAnswer: {}"),
    ("boxed", "\nThe final answer is $\\boxed{{{}}}$."),
    ("boxed", " Therefore, the answer is \\boxed{{{}}}."),
    ("number", " So in total that makes {}."),
)
THINGS = ("apples", "marbles", "students", "cookies", "pages", "stickers", "tickets", "minutes", "miles", "dollars")
NAMES = ("Natalia", "Weng", "Betty", "Julie", "James", "Mark", "Ken", "Alexis", "Tina", "Albert")


def gsm_story(chance: random.Random) -> str:
    """Return a worked solution with numbers of its own."""
    name, thing = chance.choice(NAMES), chance.choice(THINGS)
    a, b, c = (chance.randint(2, 60) for _ in range(3))
    lines = [
        f"{name} starts with {a} {thing} and gets {b} more, so there are {a} + {b} = {a + b} {thing}.",
        f"Each day {name} uses {c} {thing}, which over {b} days makes {c} * {b} = {c * b}.",
        f"First, we compute {a} x {c} = <<{a}*{c}={a * c}>>{a * c} {thing}.",
        f"That costs ${a * c} in the first week.",
        f"Half of that is {a * c / 2:g}.",
    ]
    return "\n".join(chance.sample(lines, chance.randint(2, 4)))


def gsm_number(chance: random.Random) -> Made:
    """Return a whole number and ways to write it in running text."""
    value, thing = _pick_int(chance), chance.choice(THINGS)
    right = [
        str(value),
        str(value),
        str(value),
        grouped(value),
        f"${value}",
        f"{value} {thing}",
        f"{value}.00",
        f"**{value}**",
    ]
    return str(value), right, slips(value, chance)


def gsm_money(chance: random.Random) -> Made:
    """Return an amount in dollars and cents."""
    cents = chance.randint(105, 99_999)
    cents += cents % 10 == 0
    truth = f"{cents / 100:.2f}"
    others = [f"{(cents + step) / 100:.2f}" for step in (1, -5, 100, 1000)] + [f"{cents / 1000:.3f}"]
    return truth, [truth, truth, f"${truth}", f"{truth} dollars"], others


# MATH: the answer is a formula in a box.

MATH_ENDINGS = (
    ("boxed", "\nTherefore, the answer is $\\boxed{{{}}}$."),
    ("boxed", "\nThus the final answer is \\boxed{{{}}}."),
    ("boxed", "\n\\[\n\\boxed{{{}}}\n\\]"),
    ("boxed", " Hence $$\\boxed{{{}}}$$"),
    ("phrase", "\nThe final answer is ${}$. I hope it is correct."),
    ("phrase", "\nThe answer is ${}$."),
    ("boxed", "\nSo we have \\[ \\boxed{{{}}}. \\]"),
)


def math_story(chance: random.Random) -> str:
    """Return a derivation with formulas of its own."""
    a, b, c = (chance.randint(1, 12) for _ in range(3))
    lines = [
        f"We start from $x^2 + {a + b}x + {a * b} = (x+{a})(x+{b})$.",
        f"By the Pythagorean theorem, $\\sqrt{{{a * a + b * b}}}$ is the length of the diagonal.",
        f"Since $\\frac{{{a}}}{{{a + c}}} < 1$, the first case cannot occur.",
        f"Substituting $n = {c}$ gives ${c}^2 + {a} = {c * c + a}$.",
        f"Note that ${a} \\cdot {b} = {a * b}$, which is what we wanted.",
    ]
    return "\n".join(chance.sample(lines, chance.randint(2, 4)))


def math_integer(chance: random.Random) -> Made:
    """Return a whole number in a box."""
    value = chance.choice((1, 1, 1, -1)) * _pick_int(chance, 0, 300)
    if value == 0:
        return "0", ["0", "0.0", "x=0"], ["1", "-1", "10"]
    right = [str(value)] * 6 + [f"x = {value}", f"{value}.0", f"\\text{{{value}}}", grouped(value)]
    if value > 0 and isqrt(value) ** 2 == value:
        right.append(f"{isqrt(value)}^2")
    return str(value), right, slips(value, chance)


def math_fraction(chance: random.Random) -> Made:
    """Return a fraction in lowest terms."""
    lower = chance.randint(2, 40)
    upper = chance.choice([n for n in range(1, 80) if gcd(n, lower) == 1])
    sign = chance.choice(("", "", "", "-"))
    factor = chance.randint(2, 5)
    right = [f"{sign}\\frac{{{upper}}}{{{lower}}}"] * 4
    right += [f"{sign}\\dfrac{{{upper}}}{{{lower}}}", f"{sign}{upper}/{lower}", f"{sign}\\tfrac{{{upper}}}{{{lower}}}"]
    right += [f"{sign}\\frac{{{upper * factor}}}{{{lower * factor}}}", f"x={sign}\\frac{{{upper}}}{{{lower}}}"]
    if 1000 % lower == 0:
        right.append(f"{sign}{Fraction(upper, lower) * 1000 // 1 / 1000:g}")
    if upper < 10 and lower < 10:
        right.append(f"{sign}\\frac{upper}{lower}")
    truth = f"{sign}\\frac{{{upper}}}{{{lower}}}"
    opposite = "" if sign else "-"
    wrong = [
        f"{opposite}\\frac{{{upper}}}{{{lower}}}", f"{sign}\\frac{{{upper + lower}}}{{{lower}}}",
        f"{sign}\\frac{{{upper}}}{{{lower + 1}}}", str(upper), f"{sign}{upper}/{2 * lower}",
        f"{sign}{upper / lower + 0.1:.2f}",
    ]  # fmt: skip
    if upper != 1 or sign:
        wrong.append(f"{sign}\\frac{{{lower}}}{{{upper}}}")
    return truth, right, wrong


def _square_free(chance: random.Random, high: int = 30) -> int:
    return chance.choice([n for n in range(2, high) if all(n % (d * d) for d in range(2, 6))])


def math_radical(chance: random.Random) -> Made:
    """Return a multiple of a square root, or a sum with one."""
    a, n = chance.randint(2, 12), _square_free(chance)
    if chance.random() < 0.5:
        truth = f"{a}\\sqrt{{{n}}}"
        right = [
            truth,
            truth,
            truth,
            f"{a} \\sqrt{{{n}}}",
            f"\\sqrt{{{a * a * n}}}",
            f"{a}\\cdot\\sqrt{{{n}}}",
            f"{a}*sqrt({n})",
        ]
        wrong = [
            f"{a}\\sqrt{{{n + 1}}}",
            f"{a + 1}\\sqrt{{{n}}}",
            f"\\sqrt{{{a * n}}}",
            f"-{truth}",
            str(a * n),
            f"\\frac{{\\sqrt{{{n}}}}}{{{a}}}",
        ]
        return truth, right, wrong
    b = chance.randint(2, 9)
    truth = f"\\frac{{{a}+\\sqrt{{{n}}}}}{{{b}}}"
    right = [
        truth,
        truth,
        f"\\frac{{{a} + \\sqrt{{{n}}}}}{{{b}}}",
        f"\\frac{{\\sqrt{{{n}}}+{a}}}{{{b}}}",
        f"({a}+\\sqrt{{{n}}})/{b}",
        f"\\frac{{{a}}}{{{b}}}+\\frac{{\\sqrt{{{n}}}}}{{{b}}}",
    ]
    wrong = [
        f"\\frac{{{a}-\\sqrt{{{n}}}}}{{{b}}}",
        f"\\frac{{{a}+\\sqrt{{{n}}}}}{{{b + 1}}}",
        f"{a}+\\frac{{\\sqrt{{{n}}}}}{{{b}}}",
        f"\\frac{{{a}+{n}}}{{{b}}}",
    ]
    return truth, right, wrong


def math_decimal(chance: random.Random) -> Made:
    """Return a short decimal number."""
    value = Fraction(chance.randint(1, 9999), chance.choice((10, 100, 1000)))
    truth = f"{float(value):g}"
    right = [
        truth,
        truth,
        truth,
        f"{truth}0" if "." in truth else f"{truth}.0",
        f"\\frac{{{value.numerator}}}{{{value.denominator}}}",
    ]
    wrong = [f"{float(value) + 0.1:.4g}", f"{float(value) * 10:g}", f"-{truth}", f"{float(value) / 10:g}"]
    return truth, right, [text for text in wrong if Fraction(text) != value]


def math_pi(chance: random.Random) -> Made:
    """Return a multiple of pi."""
    a, b = chance.randint(2, 60), chance.choice((1, 1, 2, 3, 4, 6))
    if gcd(a, b) > 1:
        b = 1
    truth = f"{a}\\pi" if b == 1 else f"\\frac{{{a}\\pi}}{{{b}}}"
    right = [
        truth,
        truth,
        truth,
        f"{a} \\pi" if b == 1 else f"\\frac{{{a}}}{{{b}}}\\pi",
        f"\\pi \\cdot {a}" if b == 1 else f"{a}\\pi/{b}",
    ]
    wrong = [f"{a + 1}\\pi", str(a), f"\\frac{{{a}\\pi}}{{{b + 1}}}", f"{a}\\pi^2", f"{3 * a}"]
    return truth, right, wrong


def _polynomial(coefficients: list[int], variable: str = "x") -> str:
    """Return a polynomial, highest power first."""
    text = ""
    for place, value in enumerate(coefficients):
        power = len(coefficients) - 1 - place
        if not value:
            continue
        size = "" if abs(value) == 1 and power else str(abs(value))
        name = "" if power == 0 else variable if power == 1 else f"{variable}^{power}"
        text += ("-" if value < 0 else "+" if text else "") + size + name
    return text or "0"


def math_polynomial(chance: random.Random) -> Made:
    """Return a quadratic with whole roots, expanded or factored."""
    r, s = chance.choice([-4, -3, -2, -1, 1, 2, 3, 5]), chance.choice([-5, -2, 1, 2, 4, 6, 7])
    expanded = _polynomial([1, -(r + s), r * s])
    factored = f"(x{-r:+d})(x{-s:+d})"
    swapped = f"(x{-s:+d})(x{-r:+d})"
    truth = chance.choice((expanded, factored))
    right = [truth, truth, truth, expanded, factored, swapped, expanded.replace("+", " + ").replace("-", " - ").strip()]
    wrong = [
        _polynomial([1, r + s, r * s]) if r + s else _polynomial([1, 1, r * s]),
        _polynomial([1, -(r + s), r * s + 1]),
        f"(x{r:+d})(x{-s:+d})",
        _polynomial([2, -(r + s), r * s]),
    ]
    return truth, right, wrong


def math_linear(chance: random.Random) -> Made:
    """Return an expression in one or two variables."""
    a, b = chance.randint(2, 12), chance.choice((-7, -3, -1, 1, 2, 5, 9))
    u, v = chance.choice(("xy", "ab", "nk", "pq"))
    truth = f"{a}{u}{b:+d}{v}" if abs(b) > 1 else f"{a}{u}{'+' if b > 0 else '-'}{v}"
    swapped = f"{b if abs(b) > 1 else '' if b > 0 else '-'}{v}+{a}{u}"
    right = [truth, truth, truth, swapped, f"{a} {truth[len(str(a)) :]}"]
    wrong = [f"{a}{u}{-b:+d}{v}", f"{a + 1}{u}{b:+d}{v}", f"{a}{u}"]
    return truth, right, wrong if a == b else [*wrong, f"{a}{v}{b:+d}{u}"]


def math_point(chance: random.Random) -> Made:
    """Return a point of the plane or of space."""
    values = [chance.randint(-9, 9) for _ in range(chance.choice((2, 2, 3)))]
    if len(set(values)) < 2:
        values[0] += 1
    truth = f"({','.join(map(str, values))})"
    spaced = f"({', '.join(map(str, values))})"
    other = [values[0] + 1, *values[1:]]
    backwards = values[::-1]
    wrong = [f"({', '.join(map(str, other))})", f"({', '.join(str(-value) for value in values)})"]
    if backwards != values:
        wrong.append(f"({', '.join(map(str, backwards))})")
    return truth, [truth, spaced, spaced, f"\\left({', '.join(map(str, values))}\\right)"], wrong


def math_interval(chance: random.Random) -> Made:
    """Return an interval, bounded or not."""
    low = chance.randint(-9, 5)
    high = low + chance.randint(1, 9)
    opening, closing = chance.choice("[("), chance.choice("])")
    if opening == "(" and closing == ")":
        opening = "["
    truth = f"{opening}{low},{high}{closing}"
    right = [truth, f"{opening}{low}, {high}{closing}", f"\\left{opening}{low}, {high}\\right{closing}"]
    swapped = f"{'(' if opening == '[' else '['}{low},{high}{closing}"
    wrong = [f"{opening}{low},{high + 1}{closing}", f"{opening}{low - 1}, {high}{closing}", swapped]
    if chance.random() < 0.4:
        truth = f"(-\\infty,{high}{closing}"
        right = [truth, f"(-\\infty, {high}{closing}"]
        wrong = [
            f"(-\\infty,{high + 1}{closing}",
            f"(-\\infty, {high}{')' if closing == ']' else ']'}",
            f"[{high},\\infty)",
        ]
    return truth, right, wrong


def math_roots(chance: random.Random) -> Made:
    """Return two or three solutions, in any order."""
    values = sorted(chance.sample(range(-12, 13), chance.choice((2, 2, 3))))
    truth = ",".join(map(str, values))
    spaced = ", ".join(map(str, values))
    mixed = values[:]
    chance.shuffle(mixed)
    right = [truth, spaced, spaced, ", ".join(map(str, mixed)), f"\\{{{spaced}\\}}"]
    if len(values) == 2:
        right.append(f"{values[0]} \\text{{ and }} {values[1]}")
    wrong = [
        ", ".join(map(str, values[:-1])),
        ", ".join(map(str, [*values[:-1], values[-1] + 1])),
        f"{spaced}, {values[-1] + 2}",
    ]
    return truth, right, wrong


def math_line(chance: random.Random) -> Made:
    """Return the equation of a line."""
    m, c = chance.choice((-4, -3, -2, 2, 3, 5)), chance.choice((-7, -4, -1, 1, 3, 8))
    truth = f"y={m}x{c:+d}"
    return (
        truth,
        [truth, f"y = {m}x {c:+d}", f"y={c}{m:+d}x"],
        [f"y={m}x{-c:+d}", f"y={-m}x{c:+d}", f"y={m + 1}x{c:+d}"],
    )


def math_percent(chance: random.Random) -> Made:
    """Return a percentage."""
    value = chance.randint(1, 99)
    truth = f"{value}\\%"
    return (
        truth,
        [truth, truth, f"{value}\\%", str(value)],
        [f"{value + 1}\\%", f"{100 - value if value != 50 else 51}\\%", str(value + 5)],
    )


def math_degrees(chance: random.Random) -> Made:
    """Return an angle."""
    value = chance.randint(5, 175)
    truth = f"{value}^\\circ"
    return (
        truth,
        [truth, truth, f"{value}^{{\\circ}}", str(value)],
        [f"{value + 5}^\\circ", f"{180 - value if value != 90 else 91}^\\circ", str(value - 1)],
    )


def math_units(chance: random.Random) -> Made:
    """Return a number with its unit."""
    value, unit = chance.randint(2, 200), chance.choice(("cm", "meters", "square units", "inches", "hours"))
    truth = f"{value}\\text{{ {unit}}}"
    return (
        truth,
        [truth, str(value), f"{value} \\text{{ {unit}}}"],
        [f"{value + 1}\\text{{ {unit}}}", str(value * 2), f"{value * value}"],
    )


def math_complex(chance: random.Random) -> Made:
    """Return a complex number."""
    a, b = chance.choice((-6, -2, 1, 3, 8)), chance.choice((-5, -3, 2, 4, 7))
    truth = f"{a}{b:+d}i"
    return (
        truth,
        [truth, truth, f"{a} {'+' if b > 0 else '-'} {abs(b)}i", f"{b}i{a:+d}"],
        [f"{a}{-b:+d}i", f"{-a}{b:+d}i", f"{b}{a:+d}i", str(a + b)],
    )


def math_text(chance: random.Random) -> Made:
    """Return a word or a letter of multiple choice."""
    options = chance.choice((("Monday", "Tuesday", "Friday"), ("odd", "even", "neither"), ("A", "B", "C", "D", "E")))
    value = chance.choice(options)
    others = [f"\\text{{{other}}}" for other in options if other != value]
    truth = f"\\text{{({value})}}" if len(value) == 1 else f"\\text{{{value}}}"
    return truth, [truth, f"\\text{{{value}}}", value if len(value) == 1 else f"\\text{{{value}}}"], others


def math_matrix(chance: random.Random) -> Made:
    """Return a column or a square matrix."""
    rows = [[chance.randint(-9, 9) for _ in range(width)] for width in [chance.choice((1, 2))] * 2]

    def shown(table: list[list[int]], space: str = " ") -> str:
        body = f" \\\\{space}".join(f"{space}&{space}".join(map(str, row)) for row in table)
        return f"\\begin{{pmatrix}}{space}{body}{space}\\end{{pmatrix}}"

    changed = [[rows[0][0] + 1, *rows[0][1:]], rows[1]]
    wrong = [shown(changed)]
    if rows[0] != rows[1]:
        wrong.append(shown(rows[::-1]))
    return shown(rows), [shown(rows), shown(rows).replace("pmatrix", "bmatrix")], wrong


def math_power(chance: random.Random) -> Made:
    """Return a power, or a number in scientific notation."""
    base, exponent = chance.choice((2, 3, 5, 7)), chance.randint(3, 12)
    if chance.random() < 0.5:
        truth = f"{base}^{{{exponent}}}"
        return (
            truth,
            [truth, truth, f"{base}^{{{exponent}}}", str(base**exponent)],
            [f"{base}^{{{exponent + 1}}}", str(base**exponent + 1), f"{base + 1}^{{{exponent}}}"],
        )
    digit = chance.randint(2, 9)
    truth = f"{digit} \\times 10^{{{exponent}}}"
    return (
        truth,
        [truth, f"{digit}\\cdot 10^{{{exponent}}}", str(digit * 10**exponent)],
        [f"{digit} \\times 10^{{{exponent + 1}}}", f"{digit + 1} \\times 10^{{{exponent}}}"],
    )


def math_log(chance: random.Random) -> Made:
    """Return a logarithm, a trigonometric expression or an exponential."""
    n, k = chance.randint(2, 9), chance.randint(2, 5)
    forms = (
        (f"\\ln {n}", [f"\\ln {n}", f"\\ln({n})"], [f"\\ln {n + 1}", f"\\ln {n} + 1", str(n)]),
        (
            f"\\log_{{{n}}} {k + 9}",
            [f"\\log_{{{n}}} {k + 9}", f"\\log_{{{n}}}({k + 9})"],
            [f"\\log_{{{n + 1}}} {k + 9}", str(k)],
        ),
        (f"e^{{{k}}}", [f"e^{{{k}}}", f"e^{k}"], [f"e^{{{k + 1}}}", f"{k}e"]),
        (f"{n}\\sin x", [f"{n}\\sin x", f"{n}\\sin(x)"], [f"{n}\\cos x", f"{n + 1}\\sin x"]),
    )
    return chance.choice(forms)


def math_hard(chance: random.Random) -> Made:
    """Return two forms of an expression whose equality takes algebra beyond arithmetic."""
    n, k = chance.randint(2, 7), chance.randint(2, 4)
    forms = (
        (f"{k}\\ln {n}", [f"\\ln {n**k}"], [f"\\ln {n**k + 1}", f"{k + 1}\\ln {n}"]),
        (f"{k}\\sqrt[3]{{{n}}}", [f"\\sqrt[3]{{{n * k**3}}}"], [f"\\sqrt[3]{{{n * k**3 + 1}}}", f"{k}\\sqrt{{{n}}}"]),
        (f"{k}^{{x+1}}", [f"{k} \\cdot {k}^x"], [f"{k}^x + 1", f"{k + 1} \\cdot {k}^x"]),
        ("\\sin(2x)", ["2\\sin(x)\\cos(x)"], ["2\\sin(x)", "\\sin(x)\\cos(x)"]),
    )
    return chance.choice(forms)


# Shares as MATH has them, roughly; whole numbers are the most frequent answer by far.
GSM: tuple[tuple[float, str, Maker], ...] = ((0.9, "gsm whole number", gsm_number), (0.1, "gsm money", gsm_money))
MATH: tuple[tuple[float, str, Maker], ...] = (
    (0.42, "integer", math_integer), (0.15, "fraction", math_fraction), (0.08, "radical", math_radical),
    (0.05, "polynomial", math_polynomial), (0.04, "decimal", math_decimal), (0.04, "pi", math_pi),
    (0.04, "point", math_point), (0.03, "linear", math_linear), (0.03, "roots", math_roots),
    (0.03, "interval", math_interval), (0.02, "units", math_units), (0.015, "text", math_text),
    (0.01, "percent", math_percent), (0.01, "degrees", math_degrees), (0.01, "complex", math_complex),
    (0.01, "power", math_power), (0.01, "line", math_line), (0.005, "matrix", math_matrix), (0.005, "log", math_log),
    (0.005, "hard", math_hard),
)  # fmt: skip


def make_answers(count: int = 10_000, seed: int = 0, right_share: float = 0.5) -> list[Item]:
    """Return ``count`` items, GSM8K's and MATH's in turn, of which about ``right_share`` are right."""
    chance = random.Random(seed)
    items = []
    for number in range(count):
        gsm = number % 2 == 0
        table = GSM if gsm else MATH
        _, family, maker = chance.choices(table, [share for share, _, _ in table])[0]
        truth, right, wrong = maker(chance)
        correct = chance.random() < right_share
        answer = chance.choice(right if correct else wrong)
        form, ending = chance.choice(GSM_ENDINGS if gsm else MATH_ENDINGS)
        answer = answer.replace("$", "\\$") if gsm and form == "boxed" else answer
        if gsm and form == "boxed":
            answer = _WORD.sub(r"\\text{ \1}", answer.replace("**", ""))
        story = gsm_story(chance) if gsm else math_story(chance)
        items.append(Item(story + ending.format(answer), truth, correct, family, form))
    return items


# What verifiers part ways on: name, why, and a maker of (truth, answers or whole endings that are right, ones that are
# wrong).
def _whole(chance: random.Random) -> tuple[int, int]:
    value = chance.randint(2, 900)
    return value, value + chance.randint(1, 9)


def rough_words(chance: random.Random) -> Made:
    """A word after the number, inside the box."""
    (value, other), thing = _whole(chance), chance.choice(THINGS)
    return str(value), [f"$\\boxed{{{value} {thing}}}$"], [f"$\\boxed{{{other} {thing}}}$"]


def rough_full_stop(chance: random.Random) -> Made:
    """A full stop inside the box."""
    value, other = _whole(chance)
    return str(value), [f"$\\boxed{{{value}.}}$"], [f"$\\boxed{{{other}.}}$"]


def rough_percent(chance: random.Random) -> Made:
    """A percent sign in the answer that the truth leaves out, or a fraction for a percentage."""
    value, other = chance.randint(2, 49), chance.randint(51, 99)
    if chance.random() < 0.5:
        return str(value), [f"$\\boxed{{{value}\\%}}$"], [f"$\\boxed{{{other}\\%}}$"]
    return f"{value}\\%", [f"$\\boxed{{{value / 100:g}}}$"], [f"$\\boxed{{{other / 100:g}}}$"]


def rough_thin_space(chance: random.Random) -> Made:
    """Thousands set apart by a thin space."""
    value, other = chance.randint(1000, 9999), chance.randint(10_000, 99_999)
    shown = [f"{number // 1000}\\,{number % 1000:03d}" for number in (value, other)]
    return str(value), [f"$\\boxed{{{shown[0]}}}$"], [f"$\\boxed{{{shown[1]}}}$"]


def rough_exponent(chance: random.Random) -> Made:
    """A power of ten as programs print it."""
    digit, power = chance.randint(2, 9), chance.randint(3, 8)
    return str(digit * 10**power), [f"The answer is {digit}e{power}."], [f"The answer is {digit}e{power + 1}."]


def rough_spelt_pi(chance: random.Random) -> Made:
    """Pi in letters."""
    n = chance.randint(2, 9)
    return f"\\frac{{\\pi}}{{{n}}}", [f"$\\boxed{{pi/{n}}}$"], [f"$\\boxed{{pi/{n + 1}}}$"]


def rough_units(chance: random.Random) -> Made:
    """The same length or time in another unit, or the same number of another unit."""
    value = chance.randint(2, 30)
    if chance.random() < 0.5:
        return (
            f"{value} \\text{{ hours}}",
            [f"$\\boxed{{{60 * value}\\text{{ minutes}}}}$"],
            [f"$\\boxed{{{value}\\text{{ minutes}}}}$"],
        )
    return f"{value}\\text{{ m}}", [f"$\\boxed{{{100 * value}\\text{{ cm}}}}$"], [f"$\\boxed{{{value}\\text{{ cm}}}}$"]


def rough_correction(chance: random.Random) -> Made:
    """A box that a second one corrects: the last one counts."""
    value, other = _whole(chance)
    middle = "$. No, that is wrong, and the sum is $"
    return (
        str(value),
        [f"$\\boxed{{{other}}}{middle}\\boxed{{{value}}}$"],
        [f"$\\boxed{{{value}}}{middle}\\boxed{{{other}}}$"],
    )


def rough_hedge(chance: random.Random) -> Made:
    """Two boxes side by side where one value is true: no answer is right."""
    value, other = _whole(chance)
    wrong = [f"$\\boxed{{{other}}}$ or $\\boxed{{{value}}}$", f"$\\boxed{{{other}, {value}}}$"]
    return str(value), [f"$\\boxed{{{value}}}$"], wrong


def rough_comment(chance: random.Random) -> Made:
    """The true answer where no reader sees it."""
    value, other = _whole(chance)
    wrong = [f"I cannot solve it. <!-- \\boxed{{{value}}} -->", f"$\\boxed{{{other}}}$\n% \\boxed{{{value}}}"]
    return str(value), [f"$\\boxed{{{value}}}$ <!-- \\boxed{{{other}}} -->"], wrong


def rough_equation(chance: random.Random) -> Made:
    """An equation between two numbers: right where it holds."""
    value, other = _whole(chance)
    return str(value), [f"$\\boxed{{{value - 1}+1={value}}}$"], [f"$\\boxed{{{other}={value}}}$"]


def rough_small(chance: random.Random) -> Made:
    """Decimals so small that six places hold little of them."""
    value = 100 * chance.randint(10, 99) + chance.randint(20, 99)
    return f"0.0000{value}", [f"$\\boxed{{0.0000{value}}}$"], [f"$\\boxed{{0.0000{value // 100}}}$"]


def rough_base(chance: random.Random) -> Made:
    """The digits of the true answer, in another base."""
    digits = f"{chance.randint(1, 4)}{chance.randint(0, 4)}"
    return f"{digits}_{{5}}", [f"$\\boxed{{{digits}_5}}$"], [f"$\\boxed{{{digits}_7}}$"]


def rough_cut(chance: random.Random) -> Made:
    """A completion that ends inside the box, after what may be half of a number."""
    value, other = _whole(chance)
    return str(value), [f"$\\boxed{{{value}}}$"], [f"$\\boxed{{{value}", f"$\\boxed{{{other}"]


ROUGH: tuple[tuple[str, Maker, str], ...] = (
    ("words in the box", rough_words, "math-verify multiplies the letters of a bare word as variables"),
    ("full stop in the box", rough_full_stop, "math-verify cannot read a number that ends in a full stop"),
    ("percent", rough_percent, "math-verify cannot read a boxed percentage, nor takes a fraction for one"),
    ("thin space", rough_thin_space, "math-verify adds up the groups of digits around a thin space"),
    ("printed exponent", rough_exponent, "math-verify stops reading at the e"),
    ("pi in letters", rough_spelt_pi, "math-verify reads pi in letters as p times i"),
    ("units", rough_units, "math-verify strips units, so it neither converts nor compares them"),
    ("correction", rough_correction, "a box and its correction"),
    ("hedge", rough_hedge, "two values for one"),
    ("comment", rough_comment, "math-verify also reads what a comment hides"),
    ("equation", rough_equation, "math-verify takes the last side of an equation, false ones too"),
    ("small decimal", rough_small, "math-verify compares six decimals, however small the number"),
    ("base", rough_base, "math-verify drops the subscript that names the base"),
    ("cut off", rough_cut, "a box that is never closed"),
)


def make_rough_edges(count: int = 1400, seed: int = 0) -> list[Item]:
    """Return ``count`` items, the families of `ROUGH` in turn, half of them right."""
    chance = random.Random(seed)
    items = []
    for number in range(count):
        family, maker, _ = ROUGH[number % len(ROUGH)]
        truth, right, wrong = maker(chance)
        correct = number // len(ROUGH) % 2 == 0
        answer = chance.choice(right if correct else wrong)
        items.append(Item(f"{math_story(chance)}\n{answer}", truth, correct, family, "rough"))
    return items


if __name__ == "__main__":
    for item in make_answers(40):
        print(f"[{'right' if item.correct else 'wrong'}] {item.truth!r}: {item.completion[-70:]!r} ({item.family})")
