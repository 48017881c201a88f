from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation import by_tag, find_tags


def contents(text, **options):
    return [text[start:end] for start, end in by_tag(text, **options)]


def outline(text, *arguments, **options):
    return [
        (tag.name, text[slice(*tag.content)], tag.closed, tag.depth) for tag in find_tags(text, *arguments, **options)
    ]


def test_contents_and_what_is_between():
    text = "x <think>a</think> y <answer>b</answer>"
    assert contents(text) == ["a", "b"]
    assert contents(text, between=True) == ["x ", "a", " y ", "b"]
    assert contents(text, names=["answer"]) == ["b"]
    assert contents(text, names=["answer"], between=True) == ["x <think>a</think> y ", "b"]


@pytest.mark.parametrize("text", ["", "nothing", "<think></think>", "</think>", "a < b and c > d", "if a<b and c>d"])
def test_without_content_there_is_no_step(text):
    assert contents(text) == []


def test_nested_tags():
    text = "<a>1<b>2<c>3</c></b>4</a>5"
    assert outline(text) == [("a", "1<b>2<c>3</c></b>4", True, 0), ("b", "2<c>3</c>", True, 1), ("c", "3", True, 2)]
    assert contents(text) == ["1<b>2<c>3</c></b>4"]
    assert contents(text, nested="inner") == ["1", "2", "3", "4"]
    assert contents(text, nested="inner", between=True) == ["1", "2", "3", "4", "5"]
    assert outline("<a>1<a>2</a>3</a>") == [("a", "1<a>2</a>3", True, 0), ("a", "2", True, 1)]


def test_attributes():
    text = """<step n="1 > 0" kind='x' size=3>a</step ><br/>"""
    first, second = find_tags(text)
    assert first.attributes == {"n": "1 > 0", "kind": "x", "size": "3"}
    assert (text[slice(*first.content)], first.end) == ("a", text.index("<br/>"))
    assert (second.name, second.closed, second.content.start) == ("br", True, second.content.end)


def test_tags_that_are_never_closed():
    assert outline("<think>a b") == [("think", "a b", False, 0)]
    assert outline("<step>1<step>2<step>3</step>") == [
        ("step", "1", False, 0),
        ("step", "2", False, 0),
        ("step", "3", True, 0),
    ]
    # It ends with the tag around it, and its end tag behind that is plain text.
    assert outline("<a>1<b>2</a>3</b>4") == [("a", "1<b>2", True, 0), ("b", "2", False, 1)]
    assert outline("<a>1<b>2</a>3", unclosed="drop") == [("a", "1<b>2", True, 0)]
    assert contents("<a>1<b>2", unclosed="drop", between=True) == ["<a>1<b>2"]
    # The next of its name ends what is open in it as well, but not from within a closed tag.
    assert outline("<s>1<b>2<s>3") == [("s", "1<b>2", False, 0), ("b", "2", False, 1), ("s", "3", False, 0)]
    assert outline("<s>1<w><s>2</s></w>3") == [
        ("s", "1<w><s>2</s></w>3", False, 0),
        ("w", "<s>2</s>", True, 1),
        ("s", "2", True, 2),
    ]


def test_a_tag_named_in_a_thought_does_not_hide_the_answer():
    text = "<think>put it in <answer> tags</think><answer>5</answer>"
    assert contents(text, names=["think", "answer"]) == ["put it in <answer> tags", "5"]


def test_a_text_that_begins_inside_a_tag():
    text = "a b</think> c"
    assert contents(text) == []
    assert contents(text, opened="think") == ["a b"]
    assert contents(text, opened="think", between=True) == ["a b", " c"]
    assert contents(text, names=["answer"], opened="think", nested="inner", between=True) == ["a b", " c"]
    assert contents("<think>a</think>", opened="think") == ["a"]


@pytest.mark.parametrize("options", [{"names": "think"}, {"names": [""]}, {"unclosed": "x"}, {"nested": "x"}])
def test_bad_options_are_refused(options):
    with pytest.raises(ScorecraftError, match="tag: expected"):
        by_tag("a", **options)


markup = st.sampled_from(["<a>", "</a>", "<b k='1'>", "</b>", "<c/>", "x", "é🎉", "<", " "])


@given(st.lists(markup, max_size=16).map("".join), st.sampled_from(["end", "drop"]), st.sampled_from([None, "a"]))
def test_tags_hold_each_other_or_are_apart(text, unclosed, opened):
    tags = find_tags(text, unclosed=unclosed, opened=opened)
    assert [tag.start for tag in tags] == sorted(tag.start for tag in tags)
    for place, tag in enumerate(tags):
        assert 0 <= tag.start <= tag.content.start <= tag.content.end <= tag.end <= len(text)
        assert tag.closed or (unclosed == "end" and tag.content.end == tag.end)
        held = [other for other in tags[:place] if tag.start < other.end]
        assert all(other.content.start <= tag.start and tag.end <= other.content.end for other in held)
        assert tag.depth == len(held)


@given(st.lists(markup, max_size=16).map("".join))
def test_the_pieces_of_both_readings_are_the_text_without_markup(text):
    plain = text
    for tag in reversed(find_tags(text, unclosed="drop")):
        for start, end in ((tag.content.end, tag.end), (tag.start, tag.content.start)):
            plain = plain[:start] + "\0" * (end - start) + plain[end:] if start < end else plain
    plain = "".join(character for character in plain if character not in "\0 ")
    inner = "".join(contents(text, nested="inner", between=True, unclosed="drop"))
    assert inner.replace(" ", "") == plain
    outer = by_tag(text, between=True)
    assert all(before.end <= after.start for before, after in pairwise(outer))


def test_many_unclosed_tags_take_linear_time():
    assert len(find_tags("".join(f"<t{place}>" for place in range(20_000)))) == 20_000
    assert find_tags("</a>" * 20_000 + "<a b='" * 20_000) == []
