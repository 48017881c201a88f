from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation import by_sentence


def sentences(text, **options):
    return [text[start:end] for start, end in by_sentence(text, **options)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 3.5 m. Then it is 4.", ["It is 3.5 m.", "Then it is 4."]),
        ("so x = 3. then y = 4.", ["so x = 3.", "then y = 4."]),
        ("Use e.g. 3 or i.e. Four. Good.", ["Use e.g. 3 or i.e. Four.", "Good."]),
        ("Dr. Smith et al. (2020) wrote it. Yes.", ["Dr. Smith et al. (2020) wrote it.", "Yes."]),
        ("See Fig. 3 and Eq. (4). No. That is wrong.", ["See Fig. 3 and Eq. (4).", "No.", "That is wrong."]),
        ("It is No. 5. Done.", ["It is No. 5.", "Done."]),
        ("Apples etc. are fruit. Apples etc. Then more.", ["Apples etc. are fruit.", "Apples etc.", "Then more."]),
        ("At 5 a.m. we left the U.S. border. Fine.", ["At 5 a.m. we left the U.S. border.", "Fine."]),
        ("J. R. R. Tolkien met George W. Bush. Really?", ["J. R. R. Tolkien met George W. Bush.", "Really?"]),
        ("The answer is B. So we stop.", ["The answer is B.", "So we stop."]),
        ("It is Option B. So we stop.", ["It is Option B.", "So we stop."]),
        ("Wait... let me see. Hmm... So 4.", ["Wait... let me see.", "Hmm...", "So 4."]),
        ("Wait… no. Wait… No.", ["Wait… no.", "Wait…", "No."]),
        ("It is 1, 2, ... 9. Ok", ["It is 1, 2, ... 9.", "Ok"]),
        ("What?! Really?? Yes!", ["What?!", "Really??", "Yes!"]),
        ("5! = 120 and 1 + 2 + ... + n. Good", ["5! = 120 and 1 + 2 + ... + n.", "Good"]),
        ("It is 5! * 2 or so. Ok", ["It is 5! * 2 or so.", "Ok"]),
        ("今天很好。明天呢\uff1f好\uff01ok", ["今天很好。", "明天呢\uff1f", "好\uff01", "ok"]),
        ("「はい。」彼は。そう", ["「はい。」", "彼は。", "そう"]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ('He said "Why?" and left. Ok.', ['He said "Why?" and left.', "Ok."]),
        ('He said "Stop. Then he left. End', ['He said "Stop.', "Then he left.", "End"]),  # never closed
        ("(It is so.) **Yes.** Then $x = 3.$ Next", ["(It is so.)", "**Yes.**", "Then $x = 3.$", "Next"]),
        ("1. First add. 2. Then stop.", ["1. First add.", "2. Then stop."]),
        ("Step 1. Add them.\n- a. Item\n**Step 12.** Stop.", ["Step 1. Add them.", "- a. Item", "**Step 12.** Stop."]),
        ("call f.g.h(x) in node.js now. Ok.", ["call f.g.h(x) in node.js now.", "Ok."]),
        ("x = 3\ny = 4\n\n", ["x = 3", "y = 4"]),
        ("  Yes.   No.  ", ["Yes.", "No."]),
        ("Yes. ... No.", ["Yes.", "No."]),  # marks alone are no sentence
        ("Is it? 🎉. Yes", ["Is it?", "🎉.", "Yes"]),
    ],
)  # fmt: skip
def test_sentences(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize("text", ["", "  ", "...", " . \n ?! \n", "。。。", '".'])
def test_no_sentence_gives_an_empty_list(text):
    assert sentences(text) == []


def test_wrapped_text_goes_on_over_a_line_break():
    text = "This is\nwrapped. Next\none\n\nNew"
    assert sentences(text, lines=False) == ["This is\nwrapped.", "Next\none", "New"]
    assert sentences("Do:\n1. Add\n2. Stop", lines=False) == ["Do:\n1. Add\n2. Stop"]


def test_further_abbreviations_never_end_a_sentence():
    assert sentences("See Anm. Drei. Ok.") == ["See Anm.", "Drei.", "Ok."]
    assert sentences("See Anm. Drei. Ok.", abbreviations=["anm."]) == ["See Anm. Drei.", "Ok."]
    for bad in ("anm", ["."], [""]):
        with pytest.raises(ScorecraftError, match="abbreviations: expected a list"):
            sentences("a", abbreviations=bad)


@given(st.text("aA1 .!?…\n\"'([。」eg*_é\u0301🎉-", max_size=60), st.booleans())
def test_sentences_are_in_order_trimmed_and_leave_only_marks_out(text, lines):
    spans = by_sentence(text, lines=lines)
    assert all(before.end <= after.start for before, after in pairwise(spans))
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    rest = "".join(text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    assert not any(character.isalnum() for character in rest)


@given(st.lists(st.sampled_from(["It is 3.5.", "Why?!", "Good…", "So we go on."]), max_size=8))
def test_whole_sentences_are_found_again(written):
    assert sentences(" ".join(written)) == written


def test_a_long_text_of_marks_takes_linear_time():
    assert len(by_sentence("So 3. " * 50_000)) == 50_000
    assert len(by_sentence("A. " * 50_000)) == 1  # initials, as far as anyone can tell
    assert by_sentence("." * 200_000) == []
