from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation import by_blank_line, by_delimiter, by_line


def parts(text, spans):
    return [text[start:end] for start, end in spans]


def test_a_delimiter_is_in_no_step():
    assert by_delimiter("a\nbc\n", delimiter="\n") == [(0, 1), (2, 4)]
    assert by_delimiter("a\n\nb\nc", delimiter="\n\n") == [(0, 1), (3, 6)]


@pytest.mark.parametrize("text", ["", "\n", "\n\n\n", " \n \t\n"])
def test_no_step_gives_an_empty_list(text):
    assert by_delimiter(text) == by_line(text) == by_blank_line(text) == []


def test_the_longest_of_several_delimiters_counts():
    text = "1ab2a3"
    assert parts(text, by_delimiter(text, delimiter=["a", "ab"])) == ["1", "2", "3"]
    assert parts("x.y", by_delimiter("x.y", delimiter=".")) == ["x", "y"]  # taken as it is, not as a pattern


@pytest.mark.parametrize("delimiter", ["", [], ["a", ""], [1]])
def test_an_empty_delimiter_is_refused(delimiter):
    with pytest.raises(ScorecraftError, match="delimiter: expected a text"):
        by_delimiter("a", delimiter=delimiter)


def test_lines_end_with_every_kind_of_break():
    text = "a\r\nb\rc\n\n  d "
    assert parts(text, by_line(text)) == ["a", "b", "c", "  d "]


def test_only_blank_lines_end_a_paragraph():
    text = "\n\na\r\nb\n \t\n\n  c\r\rd\n"
    assert parts(text, by_blank_line(text)) == ["a\r\nb", "  c", "d\n"]


@given(st.text("a \n\r,é", max_size=40))
def test_what_is_in_no_step_is_blank_or_a_delimiter(text):
    for spans, delimiters in ((by_line(text), "\n\r"), (by_delimiter(text, delimiter=","), ",")):
        assert all(before.end <= after.start for before, after in pairwise(spans))
        held = "".join(parts(text, spans))
        assert not any(mark in held for mark in delimiters)
        wanted = [one for one in text if not one.isspace() and one not in delimiters]
        assert [one for one in held if not one.isspace()] == wanted
