"""Supervised examples: which tokens each target shows and which it learns."""

import inspect
from dataclasses import replace

import pytest

from scorecraft.credit.intervention_training import (
    Attempt,
    GuidedAttempt,
    Intervention,
    row_example,
    supervised_example,
)
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem

END = 9999


class Characters:
    """One token for each character; prompts begin with token 1."""

    def encode_prompt(self, text):
        return [1, *self.encode(text)]

    def encode(self, text):
        return [ord(character) for character in text]


class Merging(Characters):
    """A full stop and the blank line after it are one token, as in common vocabularies."""

    def encode(self, text):
        return [7 if part == "." else ord(part) for part in text.replace(".\n\n", ".")]


ROW = GuidedAttempt(
    Attempt(Problem("Q", "yes"), ("A.", "x"), "A.\n\nB\n\nyes", 4, 2),
    Intervention(2, "B"),
    prefix="A.",
    text="A.\n\nB",
    correct=1,
    suffix="\n\nyes",
)


def texts(example):
    """Return what is shown and what is learned."""
    parts = {False: "", True: ""}
    for token, learned in zip(example.tokens[1:], example.learned[1:], strict=True):
        parts[learned] += "<end>" if token == END else chr(token)
    return parts[False], parts[True]


def test_labels_by_hand():
    # A prompt of 3 tokens and a guided prefix of 4.
    example = supervised_example("PQ", "abcd", Characters())
    tensors = example.tensors()
    assert tensors["input_ids"].tolist() == [1, 80, 81, 97, 98, 99, 100]
    assert tensors["labels"].tolist() == [-100, -100, -100, 97, 98, 99, 100]


@pytest.mark.parametrize(
    ("target", "shown", "learned"),
    [
        ("prefix+intervention", "Q", "A.\n\nB"),
        ("prefix", "Q", "A."),
        ("intervention", "QA.\n\n", "B"),
        ("prefix+intervention+suffix", "Q", "A.\n\nB\n\nyes<end>"),
        ("reference", "Q", "A.\n\nB\n\nyes<end>"),
        ("self-reflection", "Q", "anew<end>"),
    ],
)
def test_what_each_target_shows_and_learns(target, shown, learned):
    example = row_example(ROW, target, Characters(), rewrite="anew", end_token=END)
    assert texts(example) == (shown, learned)
    assert (example.problem_index, example.attempt_index) == (4, 2)
    assert not example.learned[0]


def test_no_end_is_learned_unless_one_is_given():
    for target in ("prefix+intervention", "reference"):
        assert END not in row_example(ROW, target, Characters()).tokens


def test_the_text_is_encoded_as_a_whole():
    # "A.\n\nB" is A, the merged token 7, B; the separator is a part of what is given.
    example = row_example(ROW, "intervention", Merging())
    assert example.tokens == (1, 81, 65, 7, 66)
    assert example.learned == (False, False, False, False, True)


def test_a_token_across_the_border_is_learned():
    class Pairs(Characters):
        def encode(self, text):
            return [sum(map(ord, text[place : place + 2])) for place in range(0, len(text), 2)]

    example = supervised_example("Q", "abcd", Pairs(), given="abc")
    assert example.learned == (False, False, False, True)


def test_an_intervention_at_the_beginning_has_no_prefix():
    first = GuidedAttempt(ROW.attempt, Intervention(1, "B"), prefix="", text="B")
    assert row_example(first, "prefix", Characters()) is None
    assert texts(row_example(first, "intervention", Characters())) == ("Q", "B")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: inspect.unwrap(row_example)(ROW, "suffix", Characters()), "unknown target 'suffix'"),
        (lambda: row_example(ROW, "self-reflection", Characters()), "problem 4, attempt 2: target 'self-reflection'"),
        (
            lambda: row_example(replace(ROW, suffix=""), "prefix+intervention+suffix", Characters()),
            "has no text",
        ),
        (lambda: supervised_example("Q", "ab", Characters(), given="b"), "does not begin"),
        (lambda: supervised_example("Q", "ab", Characters(), given="ab"), "no token to learn"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
