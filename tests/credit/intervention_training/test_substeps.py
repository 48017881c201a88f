"""Substeps: split at blank lines, numbered from 1, and the text again when joined."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.intervention_training import number_substeps, split_substeps
from scorecraft.errors import ScorecraftError, ScorecraftWarning


def test_a_solution_splits_at_blank_lines():
    assert split_substeps("A\n\nB, still\nB\n\nC") == ["A", "B, still\nB", "C"]
    assert split_substeps("A\nB", "\n") == ["A", "B"]


def test_a_blank_piece_is_no_substep():
    assert split_substeps("A\n\n\n\nB\n\n") == ["A", "\n\nB"]
    assert split_substeps(" \n\n \n\n") == []
    assert split_substeps("") == []


@given(st.text(alphabet="ab \n", max_size=30), st.sampled_from(["\n\n", "\n"]))
def test_joined_it_is_the_text_but_for_a_blank_end(text, separator):
    joined = separator.join(split_quietly(text, separator))
    assert text.startswith(joined)
    assert not text[len(joined) :].strip()


@given(st.text(alphabet="ab \n", max_size=30))
def test_every_substep_says_something_and_splits_no_further(text):
    for step in split_quietly(text, "\n\n"):
        assert step.strip()
        assert "\n\n" not in step.strip("\n ")


def split_quietly(text, separator):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScorecraftWarning)
        return split_substeps(text, separator)


def test_a_text_without_a_separator_is_one_substep_and_is_warned_of():
    with pytest.warns(ScorecraftWarning, match="one substep"):
        assert split_substeps("A\nB") == ["A\nB"]


def test_an_empty_separator_is_refused():
    with pytest.raises(ScorecraftError, match="separator"):
        split_substeps("A", "")


def test_numbers_start_at_one():
    assert number_substeps(["A", "\n\nB"]) == "Substep 1: A\n\nSubstep 2: B"
    assert number_substeps([]) == ""
