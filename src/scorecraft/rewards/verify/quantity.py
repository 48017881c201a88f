r"""Reads numbers with what people write around them: units, percent signs, money, powers of ten, words.

``1,234.50``, ``$5``, ``3 1/2``, ``\frac{3}{4} \text{ cup}``, ``1.5e3``, ``50\%``, ``90^\circ``, ``12_5``,
``5 million``, ``42 apples``. Words that change what a number says ("not", "at least", "minus") make it no number.
"""

from __future__ import annotations

import re
from fractions import Fraction

from scorecraft.rewards.verify.nodes import Number
from scorecraft.rewards.verify.parsing import number
from scorecraft.rewards.verify.readings import Term
from scorecraft.rewards.verify.units import known_unit
from scorecraft.rewards.verify.verification import TooLarge
from scorecraft.rewards.verify.words import without_text_commands

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
_PLAIN = re.compile(rf"([-+]?) ?({_DIGITS})")
_SIMPLE = re.compile(
    rf"(?P<sign>[-+]?) ?(?P<currency>\$ ?|\\text ?\{{(?:euro|pound sterling|yen|rupee)\}} )?(?P<minus>-?)"
    rf"(?P<digits>{_DIGITS})(?:[eE](?P<exponent>[-+]?[0-9]{{1,4}}))?(?P<rest>.*)"
)
_FRACTION = re.compile(
    r"(?P<sign>[-+]?) ?(?:(?P<whole>[0-9]+) ?)??(?:\\frac ?(?:\{ ?(?P<upper>-?[0-9]+) ?\} ?\{ ?(?P<lower>[0-9]+) ?\}"
    r"|(?P<up>[0-9])(?P<low>[0-9]))|(?P<above>[0-9]+) ?/ ?(?P<below>[0-9]+))(?P<rest>.*)"
)
_BASE = re.compile(r" ?_ ?(?:\{ ?(?:\\text ?\{)? ?([a-z0-9]+) ?\}?\}|([0-9]))")
_PERCENT = re.compile(r" ?(?:%|\\text ?\{ ?(?:%|percent) ?\}|percent\b|pct\b)")
_DEGREES = re.compile(r" ?\^ ?(?:\\circ|\{ ?\\circ ?\}) ?|\\degree(?![a-z])")
_TEXT_UNIT = re.compile(r" ?\\text ?\{ ?([^{}]*?) ?\}(?: ?\^ ?\{?([23])\}?)?")
_WORD_UNIT = re.compile(r"( ?)([A-Za-z][A-Za-z.'-]*(?:[ /][A-Za-z.'-]+)*)(?: ?\^ ?\{?([23])\}?)?")
_MANY = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
# Words that change what a number says.
_TURNING = re.compile(
    r"\b(?:not|no|never|wrong|incorrect|than|least|most|minus|negative|plus|half|dozen|twice|between|times|divided"
    r"|squared|cubed|over|to|or|and|through|approximately|nearly|if|unless|but|isn't)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(rf"(?<![0-9A-Za-z.,])[-+]?\$?(?:{_DIGITS})(?:/[0-9]+)?(?![0-9])")
_WORDS_ONLY = re.compile(r"[A-Za-z ,.:;'()!?-]*")
_CALLED = re.compile(r"\( ?\)|\) ?\(")


def read_quantity(text: str) -> Term | None:
    """Return the number in a tidied text, if that is all it says; None for anything else."""
    plain = _PLAIN.fullmatch(text)
    if plain:
        return Term(_signed(number(plain[2]), plain[1] == "-"), text)
    return _simple(text) or _fraction(text)


def _simple(text: str) -> Term | None:
    found = _SIMPLE.fullmatch(text)
    if found is None or (found["sign"] and found["minus"]):
        return None
    node = _signed(number(found["digits"]), "-" in (found["sign"], found["minus"]))
    if found["exponent"] is not None:
        node = _scaled(node, int(found["exponent"]))
    currency = _currency(found["currency"])
    return _with_rest(node, found["rest"], text, currency)


def _fraction(text: str) -> Term | None:
    found = _FRACTION.fullmatch(text)
    if found is None:
        return None
    upper = found["upper"] or found["up"] or found["above"]
    lower = found["lower"] or found["low"] or found["below"]
    whole = found["whole"] or "0"
    if max(len(upper), len(lower), len(whole)) > 400:
        raise TooLarge("a fraction of more than 400 digits")
    if not int(lower) or (found["whole"] and upper.startswith("-")):
        return None
    value = Fraction(int(upper), int(lower)) + int(whole)
    return _with_rest(Number(-value if found["sign"] == "-" else value), found["rest"], text, "")


def _currency(sign: str | None) -> str:
    if not sign:
        return ""
    return "dollar" if sign.startswith("$") else sign.strip()[len("\\text{") : -1]


def _signed(node: Number, minus: bool) -> Number:
    return Number(-node.value, node.decimal) if minus else node


def _scaled(node: Number, exponent: int) -> Number:
    if abs(exponent) > 400:
        raise TooLarge("a power of ten too large to work out")
    value = node.value * Fraction(10) ** exponent
    return Number(value, node.decimal or exponent < 0)


def _with_rest(node: Number, rest: str, text: str, unit: str) -> Term | None:
    """Return the number with the percent sign, base or unit that follows it; None where something else does."""
    base, percent = "", False
    found = _BASE.match(rest)
    if found:
        base, rest = found[1] or found[2], rest[found.end() :]
    found = _PERCENT.match(rest)
    if found:
        percent, rest = True, rest[found.end() :]
    found = _DEGREES.match(rest)
    if found:
        unit, rest = "degree", rest[found.end() :]
    if rest.strip():
        following = _unit(rest)
        if following is None:
            return None
        name = following.split(" ", 1)[0].lower()
        if name in _MANY and not percent and not base:
            node, following = _scaled(node, _MANY[name]), following[len(name) :].strip()
        unit = unit or following
    return Term(node, text, percent, unit, base)


def _unit(rest: str) -> str | None:
    found = _TEXT_UNIT.fullmatch(rest)
    if found:
        return None if _TURNING.search(found[1]) else _with_power(found[1].strip(), found[2])
    found = _WORD_UNIT.fullmatch(rest)
    if found is None or _TURNING.search(found[2]):
        return None
    space, name, power = found[1], found[2], found[3]
    unit = _with_power(name, power)
    if known_unit(unit) is not None:
        return unit
    # "42 apples" is a number of things; "42x", "42 x" and "42ab" are expressions.
    return unit if space and len(name) > 3 and not power else None


def _with_power(name: str, power: str | None) -> str:
    return f"{name}^{power}" if power else name


def number_among_words(text: str) -> Term | None:
    """Return the only number in a sentence of plain words, such as "there are 42 apples"; None for anything else."""
    text = without_text_commands(text)
    found = list(_SENTENCE.finditer(text))
    if len(found) != 1 or _TURNING.search(text) or _CALLED.search(text):
        return None
    before, after = text[: found[0].start()], text[found[0].end() :]
    percent = _PERCENT.match(after)
    after = after[percent.end() :] if percent else after
    # What touches the number belongs to it: "42x" is no number.
    if not (_WORDS_ONLY.fullmatch(before) and _WORDS_ONLY.fullmatch(after)) or after[:1].isalpha():
        return None
    if before and not before[-1].isspace():
        return None
    term = read_quantity(found[0][0])
    return None if term is None else Term(term.node, text, percent is not None, term.unit)
