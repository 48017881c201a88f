import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation import SEGMENTERS, Span, segment


def parts(text, spans):
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("by", "options", "expected"),
    [
        ("line", {}, ["A. <t>b", "c</t>", "d"]),
        ("blank-line", {}, ["A. <t>b\nc</t>", "d"]),
        ("delimiter", {"delimiter": "<t>"}, ["A. ", "b\nc</t>\n\nd"]),
        ("sentence", {}, ["A. <t>b", "c</t>", "d"]),
        ("tag", {}, ["b\nc"]),
        ("tool-call", {"start": "<t>", "end": "</t>"}, ["<t>b\nc</t>"]),
        ("message", {"messages": [{"role": "user", "content": "b"}]}, ["b"]),
    ],
)
def test_every_name(by, options, expected):
    text = "A. <t>b\nc</t>\n\nd"
    assert parts(text, segment(text, by=by, **options)) == expected
    assert by in SEGMENTERS


def test_names_and_options_that_are_not_there():
    with pytest.raises(ScorecraftError, match="did you mean 'sentence'"):
        segment("a", by="sentences")
    with pytest.raises(ScorecraftError, match="'delimiter' has no option 'delimeter': did you mean 'delimiter'"):
        segment("a", by="delimiter", delimeter="x")
    with pytest.raises(ScorecraftError, match="a function has no option 'function'"):
        segment("a", by=lambda text: [], function=len)
    with pytest.raises(ScorecraftError, match="'message' needs the option 'messages'"):
        segment("a", by="message")
    with pytest.raises(ScorecraftError, match="expected a text, got bytes"):
        segment(b"a")
    with pytest.raises(ScorecraftError, match="expected a name or a function"):
        segment("a", by=3)


def test_a_function_of_characters():
    assert segment("abcd", by=lambda text: [(0, 1), [2, 2], (3, len(text))]) == [(0, 1), (3, 4)]


def test_a_function_of_tokens():
    # Tokens "ab", a special one, and two that share the character "é"; the character is the first step's.
    spans = [(0, 2), (2, 2), (2, 3), (2, 3), (3, 4)]
    assert segment("abéd", by=lambda text: [(0, 3), (3, 5)], token_spans=spans) == [(0, 3), (3, 4)]
    assert segment("abéd", by=lambda text: [(1, 2)], token_spans=spans) == []
    with pytest.raises(ScorecraftError, match=r"span 0 is \(0, 6\)"):
        segment("abéd", by=lambda text: [(0, 6)], token_spans=spans)


@pytest.mark.parametrize("bad", [[(1, 0)], [(0, 2), (1, 3)], [(-1, 1)], [(0, 5)], [(0, 1, 2)], ["ab"], [3]])
def test_spans_of_a_function_must_be_in_order(bad):
    def odd(text):
        return bad

    with pytest.raises(ScorecraftError, match="segment by odd"):
        segment("abcd", by=odd)


def test_a_step_that_is_too_long():
    text = "one two three\nab"
    assert parts(text, segment(text, longest=8)) == ["one two ", "three", "ab"]
    assert parts("abcdefg", segment("abcdefg", longest=3)) == ["abc", "def", "g"]
    with pytest.raises(ScorecraftError, match="step 0 has 13 characters, more than longest=8"):
        segment(text, longest=8, too_long="raise")
    assert segment(text, longest=13, too_long="raise") == segment(text)
    with pytest.raises(ScorecraftError, match="limit of 1"):
        segment(text, longest=0)
    with pytest.raises(ScorecraftError, match="'split' or 'raise'"):
        segment(text, longest=3, too_long="cut")


def test_a_cut_keeps_what_is_shown_as_one_character_together():
    text = "aae\u0301b"  # a, a, e with an accent
    assert parts(text, segment(text, longest=3)) == ["aa", "e\u0301b"]
    family = "xx👩\u200d👧"
    assert parts(family, segment(family, longest=4)) == ["xx", "👩\u200d👧"]
    thumb = "xx👍🏽"
    assert parts(thumb, segment(thumb, longest=3)) == ["xx", "👍🏽"]
    assert [len(part) for part in parts("a" + "\u0301" * 5, segment("a" + "\u0301" * 5, longest=2))] == [2, 2, 2]


def test_steps_can_cover_the_text():
    text = "\n\na\n\nb\n"
    assert segment(text, cover=True) == [(0, 5), (5, 7)]
    assert segment("\n", cover=True) == []
    assert parts(text, segment(text, cover=True, longest=2)) == ["\n\n", "a\n", "\n", "b\n"]


@given(
    st.text("aA. \n,é\u0301好。🎉👩\u200d<b>/", max_size=60),
    st.sampled_from(["line", "blank-line", "delimiter", "sentence", "tag", "tool-call"]),
    st.one_of(st.none(), st.integers(1, 9)),
)
def test_spans_are_in_order_and_cover_what_they_should(text, by, longest):
    spans = segment(text, by=by, longest=longest)
    assert all(isinstance(span, Span) and 0 <= span.start < span.end <= len(text) for span in spans)
    assert all(before.end <= after.start for before, after in pairwise(spans))
    assert longest is None or all(span.end - span.start <= longest for span in spans)
    whole = segment(text, by=by)
    assert "".join(parts(text, spans)) == "".join(parts(text, whole))
    covered = segment(text, by=by, longest=longest, cover=True)
    assert "".join(parts(text, covered)) == (text if whole else "")


def shown_as_one(text, place):
    return unicodedata.combining(text[place]) or "\u200d" in text[place - 1 : place + 1]


@given(st.text("ab \u0301\u200d", min_size=1, max_size=30), st.integers(1, 8))
def test_a_cut_inside_what_is_shown_as_one_is_the_last_resort(text, longest):
    for span in segment(text, by=lambda text: [(0, len(text))], longest=longest)[:-1]:
        if shown_as_one(text, span.end):
            places = range(span.start + max(1, longest // 2), span.start + longest + 1)
            assert span.end == places[-1]
            assert all(shown_as_one(text, place) for place in places)
