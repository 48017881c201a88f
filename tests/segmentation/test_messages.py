import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.segmentation import by_message

TALK = [
    {"role": "user", "content": "user"},
    {"role": "assistant", "content": " ok é "},
    {"role": "user", "content": "?"},
]


def chat(messages):
    return "".join(f"<|{one['role']}|>{one['content'].strip()}<|end|>\n" for one in messages)


def test_a_template_makes_short_contents_unmistakable():
    text = chat(TALK)
    spans = by_message(text, messages=TALK, render=chat)
    assert [text[start:end] for start, end in spans] == ["user", "ok é", "?"]
    assert spans[0] == (len("<|user|>"), len("<|user|>user"))
    assert by_message(text, messages=TALK, render=chat, roles=["assistant"]) == [spans[1]]
    # Without the template the first "user" is the one in the header.
    assert by_message(text, messages=TALK)[0] == (2, 6)


def test_contents_are_found_in_order_without_a_template():
    text = "hello there\nhello you"
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hello you"}]
    assert by_message(text, messages=messages) == [(0, 5), (12, 21)]


def test_a_message_without_content_has_an_empty_span():
    messages = [TALK[0], {"role": "assistant", "content": None, "tool_calls": []}, TALK[2]]
    assert by_message("user?", messages=messages) == [(0, 4), (4, 4), (4, 5)]
    assert by_message("", messages=[]) == []


def test_contents_of_parts():
    def render(messages):
        return "".join(f"[{''.join(part.get('text', '<image>') for part in one['content'])}]" for one in messages)

    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a"}]}]
    assert by_message("[a]", messages=messages, render=render) == [(1, 2)]


def test_what_cannot_be_found_is_refused():
    with pytest.raises(ScorecraftError, match="message 1: its content"):
        by_message("user", messages=TALK)
    with pytest.raises(ScorecraftError, match=r"message 0: expected '<\|user\|>'"):
        by_message("user ok", messages=TALK, render=chat)
    with pytest.raises(ScorecraftError, match="message 0: its content"):
        by_message(chat(TALK).replace("user<", "a user<"), messages=TALK, render=chat)
    for template in (lambda messages: "nothing", lambda messages: chat(messages) + chat(messages)):
        with pytest.raises(ScorecraftError, match="message 0: the template"):
            by_message(chat(TALK), messages=TALK, render=template)
    with pytest.raises(ScorecraftError, match="message 0: expected a dictionary"):
        by_message("x", messages=[{"content": "x"}])
    with pytest.raises(ScorecraftError, match="message 0: expected a text"):
        by_message("x", messages=[{"role": "user", "content": 3}])
