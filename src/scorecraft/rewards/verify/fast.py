"""The fast path: decides the ordinary cases with nothing but text, fractions and a little arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from scorecraft.rewards.verify.choice import given_choice, true_choice
from scorecraft.rewards.verify.comparison import same
from scorecraft.rewards.verify.extraction import Answer, find_answer, true_answer
from scorecraft.rewards.verify.json_value import find_json, read_json, same_json
from scorecraft.rewards.verify.options import Kind, Options
from scorecraft.rewards.verify.quantity import number_among_words
from scorecraft.rewards.verify.reading import read
from scorecraft.rewards.verify.readings import Collection, Reading, Relation, Term, Words
from scorecraft.rewards.verify.tidy import tidy
from scorecraft.rewards.verify.verification import Ruling, Undecided, Unreadable, Verification
from scorecraft.rewards.verify.words import same_words


@dataclass(frozen=True, slots=True)
class Truth:
    """A true answer: its text, its kind, and how it was understood; ``trouble`` says why it was not."""

    text: str
    kind: Kind
    reading: Reading | None = None
    trouble: str = ""

    @property
    def numeric(self) -> bool:
        """True for a number or an expression."""
        return isinstance(self.reading, Term)


@lru_cache(maxsize=8192)
def read_truth(truth: str, kind: Kind) -> Truth:
    """Return a true answer understood, its kind told by its form where ``kind`` is "auto".

    A text that is a JSON object is of kind "json"; a single capital letter from A to J, perhaps in brackets, is a
    choice; all else is what `scorecraft.rewards.verify.reading` makes of it, under the kind "expression".
    """
    text = true_answer(truth)
    if kind == "auto":
        kind = _kind_of(text)
    if kind in ("exact", "json", "choice", "regex", "code", "reasoning-gym"):
        return Truth(text, kind)
    try:
        text = tidy(text)
        reading = _shaped(read(text), kind)
        same(reading, reading, Options())  # what cannot be worked out shows here, and not with every answer
        return Truth(text, kind, reading)
    except (Unreadable, Undecided, RecursionError) as error:
        return Truth(text, kind, None, f"the true answer: {error}")


def _kind_of(text: str) -> Kind:
    if text.startswith("{") and text.endswith("}") and '"' in text:
        try:
            read_json(text)
        except Unreadable:
            return "expression"
        return "json"
    return "choice" if true_choice(text.strip(" $.")) else "expression"


def _shaped(reading: Reading, kind: Kind) -> Reading:
    """Return several values as what the kind says they are, whatever brackets are around them."""
    if kind not in ("set", "tuple"):
        return reading
    items = reading.items if isinstance(reading, Collection) else (reading,)
    return Collection(items, "{", "}") if kind == "set" else Collection(items, "(", ")")


def decide(completion: str, truth: str, options: Options) -> Verification:
    """Return the ruling on a completion.

    Raises `Pending` where it takes a computer algebra system to tell.
    """
    true = read_truth(truth, options.kind)
    if not true.text:
        return Verification(Ruling.ERROR, "the true answer is empty")
    answer = Answer("whole", "")
    try:
        if true.kind == "json":
            return _decide_json(completion, true, options)
        answer = find_answer(completion, numeric=true.numeric, loose=options.loose)
        return _DECIDERS.get(true.kind, _decide_mathematics)(answer, true, options)
    except Unreadable as error:
        verdict = Verification(Ruling.UNPARSED, str(error))
    except RecursionError:
        verdict = Verification(Ruling.UNPARSED, "an answer nested too deeply")
    verdict.form, verdict.given, verdict.truth = answer.form if answer.text else "", answer.text[:200], true.text
    return verdict


def _ruled(correct: bool, answer: Answer, true: Truth, given: object, expected: object) -> Verification:
    ruling = Ruling.CORRECT if correct else Ruling.WRONG
    return Verification(
        ruling, "", answer.form, answer.text, true.text, (given, expected), score=1.0 if correct else 0.0
    )


def _decide_json(completion: str, true: Truth, options: Options) -> Verification:
    try:
        expected = read_json(true.text)
    except Unreadable as error:
        return Verification(Ruling.ERROR, f"the true answer: {error}", truth=true.text)
    try:
        answer = find_answer(completion, loose=False)
    except Unreadable:
        answer = Answer("whole", find_json(completion))
    given = read_json(answer.text)
    return _ruled(same_json(given, expected, options), answer, true, given, expected)


def _decide_exact(answer: Answer, true: Truth, options: Options) -> Verification:
    given = tidy(answer.text)
    correct = same_words(given, tidy(true.text), ignore_case=options.ignore_case)
    return _ruled(correct, answer, true, given, true.text)


def _decide_choice(answer: Answer, true: Truth, options: Options) -> Verification:
    del options
    expected = true_choice(true.text.strip(" $."))
    if expected is None:
        return Verification(Ruling.ERROR, "the true answer is no letter from A to J", truth=true.text)
    text = tidy(answer.text)
    if not text.isascii():
        raise Unreadable("a letter that only looks like an option")
    given = given_choice(text)
    if given is None:
        raise Unreadable("not exactly one option")
    return _ruled(given == expected, answer, true, given, expected)


def _decide_mathematics(answer: Answer, true: Truth, options: Options) -> Verification:
    text = tidy(answer.text)
    if text == true.text:
        return _ruled(True, answer, true, text, true.text)
    if true.reading is None:
        return Verification(Ruling.ERROR, true.trouble, answer.form, answer.text, true.text)
    given = _shaped(read(text), true.kind)
    if not isinstance(true.reading, Words) and not text.isascii():
        raise Unreadable("characters that are no mathematics")
    given = _of_kind(given, text, true)
    verdict = same(given, true.reading, options)
    if verdict is None:
        raise Pending(answer, true, text)
    return _ruled(verdict, answer, true, given, true.reading)


def _of_kind(given: Reading, text: str, true: Truth) -> Reading:
    """Return the answer as the kind demands it; raises `Unreadable` where it is none of that kind."""
    if true.kind == "numeric":
        if not isinstance(true.reading, Term):
            raise Unreadable("the true answer is no number")
        number = number_among_words(text) if isinstance(given, Words) else given
        if isinstance(number, Relation):
            number = number.sides[-1]
        if not isinstance(number, Term):
            raise Unreadable("no number")
        return number
    if true.kind == "equation" and not isinstance(given, Relation):
        raise Unreadable("no equation")
    if true.kind == "interval" and isinstance(given, Collection) and not given.ordered:
        raise Unreadable("no interval")
    return given


_DECIDERS: dict[Kind, Callable[[Answer, Truth, Options], Verification]] = {
    "exact": _decide_exact,
    "choice": _decide_choice,
}


class Pending(Exception):  # noqa: N818 - not an error: the algebra system is to be asked
    """An answer that the fast path leaves to the algebra system: what was found, and the two tidied texts."""

    def __init__(self, answer: Answer, true: Truth, text: str) -> None:
        super().__init__(text)
        self.answer, self.true, self.text = answer, true, text
