"""Where thoughts are cut, counted by hand, and which token holds a cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.thought_splitting import DEFAULT_MARKERS, find_thought, split_thought, token_positions
from scorecraft.errors import ScorecraftError

# "." at 15, 33 ("?") and 42; "Wait" at 17, "But" at 35, "So" at 44.
THOUGHT = "Add two and two. Wait, is it four? But yes. So done."
NEAR = {"min_first_chars": 10, "min_gap_chars": 5}


def test_cuts_by_hand():
    assert split_thought(THOUGHT, **NEAR, think_tags=("", "</think>")) == [16, 34, 43]
    assert split_thought(THOUGHT, min_first_chars=20, min_gap_chars=5, think_tags=("", "</think>")) == [34, 43]
    # From the cut at 16 "But" is 19 away and "So" 28.
    assert split_thought(THOUGHT, min_first_chars=10, min_gap_chars=20, think_tags=("", "</think>")) == [16, 43]
    assert split_thought(THOUGHT, min_first_chars=10, min_gap_chars=29, think_tags=("", "</think>")) == [16]
    # As published, nothing within the first 1,000 characters.
    assert split_thought(THOUGHT, think_tags=("", "</think>")) == []


def test_offsets_count_from_the_start_of_the_text_and_stay_within_the_thought():
    text = f"Well. <think>{THOUGHT}</think> Wait. But no. So what."
    assert split_thought(text, **NEAR) == [13 + 16, 13 + 34, 13 + 43]
    assert [text[:cut][-1] for cut in split_thought(text, **NEAR)] == [".", "?", "."]
    # Not closed, it goes on to the end.
    assert split_thought("<think>" + THOUGHT, **NEAR) == [7 + 16, 7 + 34, 7 + 43]
    assert split_thought(THOUGHT, **NEAR) == []
    assert find_thought(text) == (13, 13 + len(THOUGHT), True)
    assert find_thought("<think>a</think>b</think>") == (7, 8, True)
    assert find_thought("<think>abc") == (7, 10, False)
    assert find_thought("abc", ("", "#")) == (0, 3, False)


def test_without_the_end_of_a_sentence_the_cut_is_at_the_word():
    free = {"min_first_chars": 0, "min_gap_chars": 0, "think_tags": ("", "#")}
    assert split_thought("one two wait three but four", **free) == [8, 19]
    # The period before the thought does not count.
    assert split_thought("no. <t>one wait", min_first_chars=0, think_tags=("<t>", "</t>")) == [11]
    # Both words follow the same sentence, which is cut at its start once.
    assert split_thought("one. two wait three but four", **free) == [4]


def test_the_longest_keyword_is_one_hit():
    cuts = {"min_first_chars": 0, "min_gap_chars": 0, "think_tags": ("", "#")}
    assert split_thought("aa but wait", **cuts) == [3]
    assert split_thought("aa but. wait", **cuts) == [3, 7]


@pytest.mark.parametrize(
    ("text", "published", "bounded"),
    [
        ("An attribute", [8], []),  # "but"
        ("They waited", [5], []),
        ("Sort these", [0], []),
        ("So it is", [0], [0]),
        ("also so so", [], []),  # "So" has a capital letter
        ("HMM: x", [0], [0]),
        ("hMM: x", [], []),
        ("LOOKING BACK", [], []),
    ],
)
def test_a_word_boundary_spares_words_within_words(text, published, bounded):
    free = {"min_first_chars": 0, "min_gap_chars": 0, "think_tags": ("", "#")}
    assert split_thought(text, **free) == published
    assert split_thought(text, **free, word_boundary=True) == bounded


def test_the_published_markers_are_all_there():
    # Five words in three spellings, nine phrases in two, and "So".
    assert len(DEFAULT_MARKERS) == len(set(DEFAULT_MARKERS)) == 5 * 3 + 9 * 2 + 1
    assert {"WAIT", "Let me double-check", "That's correct, but", "wait, but", "So"} <= set(DEFAULT_MARKERS)
    assert "so" not in DEFAULT_MARKERS


@given(
    st.lists(st.sampled_from(["wait", "But", "So", "x", ".", "\n", "However", "</think>", "attribute"]), max_size=40),
    st.integers(0, 30),
    st.integers(0, 30),
    st.booleans(),
)
def test_cuts_increase_and_lie_in_the_thought(words, first, gap, word_boundary):
    text = "Hi. <think>" + " ".join(words)
    thought = find_thought(text)
    cuts = split_thought(text, min_first_chars=first, min_gap_chars=gap, word_boundary=word_boundary)
    assert cuts == sorted(set(cuts))
    assert all(thought.start <= cut < thought.end for cut in cuts)
    # A keyword follows within the sentence that a cut opens.
    for cut in cuts:
        sentence = re.split(r"[.!?\n]", text[cut:])[0]
        assert any(word in sentence for word in ("wait", "But", "So", "However", "but"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: split_thought("x", keywords=[]), "list of keywords"),
        (lambda: split_thought("x", keywords="wait"), "list of keywords"),
        (lambda: split_thought("x", keywords=["a", ""]), "none of them empty"),
        (lambda: split_thought("x", min_gap_chars=-1), "at least 0"),
        (lambda: split_thought("x", think_tags=("<think>", "")), "closing tag"),
        (lambda: token_positions([-1], [(0, 1)]), "at least 0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_offsets_are_found_in_their_tokens():
    spans = [(0, 0), (0, 4), (4, 5), (6, 9)]  # a special token, and a character in no token
    found = token_positions([0, 3, 4, 5, 6, 8, 9], spans)
    assert found.tokens.tolist() == [1, 1, 2, 3, 3, 3, 4]
    assert found.moved == 2  # 5 to the next token, 9 behind the last
    assert token_positions([], spans).tokens.tolist() == []
    assert token_positions([2], []).tokens.tolist() == [0]
