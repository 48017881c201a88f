import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation import by_tool_call

ONE, TWO = "<tool_call>a</tool_call>", "<tool_call>b</tool_call>"


def calls(text, **options):
    return [text[start:end] for start, end in by_tool_call(text, **options)]


def test_calls_with_and_without_their_markers():
    text = f"x {ONE}\n{TWO} y"
    assert calls(text) == [ONE, TWO]
    assert calls(text, content=True) == ["a", "b"]
    assert calls(text, between=True) == ["x ", ONE, TWO, " y"]
    assert calls(text, content=True, between=True) == ["x ", "a", "b", " y"]


@pytest.mark.parametrize("text", ["", "nothing", "</tool_call>", "a</tool_call>b", "<tool_call"])
def test_without_a_call_there_is_no_step(text):
    assert calls(text) == []


def test_a_call_that_is_not_closed():
    text = f"x<tool_call>a {TWO}<tool_call>c"
    assert calls(text) == ["<tool_call>a ", TWO, "<tool_call>c"]
    assert calls(text, unclosed="drop") == [TWO]
    assert calls(text, unclosed="end") == [f"<tool_call>a {TWO}", "<tool_call>c"]
    assert calls(text, unclosed="drop", between=True) == ["x<tool_call>a ", TWO, "<tool_call>c"]


def test_an_empty_call_has_markers_but_no_content():
    text = "<tool_call></tool_call>"
    assert calls(text) == [text]
    assert calls(text, content=True) == []


def test_other_markers():
    assert calls("so [add(1, 2)] = 3 [x", start="[", end="]") == ["[add(1, 2)]", "[x"]
    assert calls("a ```b``` c ```d", start="```", end="```", content=True) == ["b", "d"]
    text = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nho<|im_end|>"
    assert calls(text, start="<|im_start|>assistant\n", end="<|im_end|>", content=True) == ["ho"]


@pytest.mark.parametrize("options", [{"start": ""}, {"end": ""}, {"unclosed": "never"}])
def test_bad_options_are_refused(options):
    with pytest.raises(ScorecraftError, match="tool-call: expected"):
        by_tool_call("a", **options)


@given(
    st.lists(st.sampled_from(["[", "]", "a", "é", "🎉"]), max_size=20).map("".join),
    st.sampled_from(["next", "end", "drop"]),
)
def test_calls_and_what_is_between_them_are_the_whole_text(text, unclosed):
    options = {"start": "[", "end": "]", "unclosed": unclosed}
    assert "".join(calls(text, between=True, **options)) == text
    for call in calls(text, **options):
        assert call.startswith("[")
        assert call.find("]") in (-1, len(call) - 1)
