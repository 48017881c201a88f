"""Which tokens are the response: through a template, as plain text, cut off; and rows of every form."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from jaxtyping import TypeCheckError

from scorecraft.distill.trace_encoding import TraceColumns, encode_trace, read_trace
from scorecraft.errors import ScorecraftError

CHAT = {
    "messages": [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "assistant"},
        {"role": "assistant", "content": "Two plus three"},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": " is five. "},
    ]
}


def response(encoded, tokenizer):
    return tokenizer.decode([token for token, own in zip(encoded.tokens, encoded.response, strict=True) if own])


def test_the_response_is_what_the_assistant_says_with_the_ends_of_its_turns(gpt2_tokenizer):
    encoded = encode_trace(read_trace(CHAT), gpt2_tokenizer)
    assert response(encoded, gpt2_tokenizer) == "Two plus three<|end|> is five. <|end|>"
    assert gpt2_tokenizer.decode(encoded.tokens) == gpt2_tokenizer.apply_chat_template(CHAT["messages"], tokenize=False)
    without = encode_trace(read_trace(CHAT), gpt2_tokenizer, turn_end=False)
    assert response(without, gpt2_tokenizer) == "Two plus three is five. "


def test_a_prompts_own_answers_are_not_the_response(gpt2_tokenizer):
    row = {"prompt": CHAT["messages"][:4], "completion": CHAT["messages"][4:]}
    assert response(encode_trace(read_trace(row), gpt2_tokenizer), gpt2_tokenizer) == " is five. <|end|>"
    row = {"question": "Two plus three?", "response": "five"}
    encoded = encode_trace(read_trace(row), gpt2_tokenizer)
    assert response(encoded, gpt2_tokenizer) == "five<|end|>"
    assert "<|start|>user\nTwo plus three?" in gpt2_tokenizer.decode(encoded.tokens)


def test_plain_text_ends_with_the_end_of_sequence(gpt2_tokenizer, tunnel):
    row = {"prompt": "Two plus", "completion": " three"}
    encoded = encode_trace(read_trace(row), gpt2_tokenizer, chat="never")
    assert gpt2_tokenizer.decode(encoded.tokens) == "Two plus three<|endoftext|>"
    assert response(encoded, gpt2_tokenizer) == " three<|endoftext|>"
    # The tunnel's tokenizer opens a text with <bos>, and has one token a character.
    encoded = encode_trace(read_trace({"prompt": "1+2=?\n", "completion": "#3"}), tunnel.tokenizer)
    assert encoded.response == (False,) * 7 + (True,) * 3
    assert encoded.tokens[0] == tunnel.tokenizer.bos_token_id


def test_a_first_token_has_nothing_before_it(gpt2_tokenizer):
    encoded = encode_trace(read_trace({"completion": "Two"}), gpt2_tokenizer, chat="never")
    assert encoded.response[0] is False
    assert encoded.response[-1] is True


def test_a_long_trace_is_cut_at_its_end(gpt2_tokenizer):
    whole = encode_trace(read_trace(CHAT), gpt2_tokenizer)
    assert not whole.truncated
    cut = encode_trace(read_trace(CHAT), gpt2_tokenizer, max_length=len(whole.tokens) - 5)
    assert cut.truncated
    assert cut.tokens == whole.tokens[:-5]
    assert cut.response == whole.response[:-5]


def test_names_groups_and_teachers():
    row = {"prompt": "p", "completion": "c", "teacher": "big", "id": 7, "kind": "k", "other": "o"}
    trace = read_trace(row, number=3)
    assert (trace.id, trace.teacher) == ("7", "big")
    assert trace.group == read_trace({"problem": "p", "response": "d"}).group
    assert trace.group != read_trace({"prompt": "q", "completion": "c"}).group
    named = read_trace(row, TraceColumns(response="other", teacher="kind", group="kind"))
    assert (named.messages[-1]["content"], named.teacher, named.group) == ("o", "k", "k")
    assert read_trace({"messages": CHAT["messages"]}, number=3).id == "3"
    # Equal prompts in either form belong together.
    chat = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}]
    assert read_trace({"messages": chat}).group == trace.group


@pytest.mark.parametrize(
    ("row", "columns", "said"),
    [
        ({"prompt": "p"}, None, "no response among the columns prompt"),
        ({}, None, "none"),
        ({"messages": []}, None, "list of messages"),
        ({"messages": [{"content": "x"}]}, None, "'role'"),
        ({"messages": [{"role": "assistant", "content": 3}]}, None, "as content, got 3"),
        ({"messages": [{"role": "user", "content": "x"}]}, None, "no message of the assistant"),
        ({"completion": 3}, None, "got 3"),
        ({"completion": "c"}, TraceColumns(teacher="techer"), "--teacher-column"),
    ],
)
def test_rows_of_another_form_are_named(row, columns, said):
    with pytest.raises(ScorecraftError, match=said):
        read_trace(row, columns)


def test_what_a_tokenizer_cannot_do_is_said(gpt2_tokenizer, tunnel):
    trace = read_trace(CHAT)
    with pytest.raises(ScorecraftError, match="several turns need a chat template"):
        encode_trace(trace, tunnel.tokenizer)
    with pytest.raises(ScorecraftError, match="no chat template"):
        encode_trace(trace, tunnel.tokenizer, chat="always")
    with pytest.raises((ScorecraftError, TypeCheckError), match=r"did you mean 'never'|Type-check error"):
        encode_trace(trace, gpt2_tokenizer, chat="nevr")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ScorecraftError, match="not a fast tokenizer"):
        encode_trace(trace, SimpleNamespace(is_fast=False))


def test_a_template_that_drops_a_turn_is_refused(gpt2_tokenizer):
    import copy

    other = copy.deepcopy(gpt2_tokenizer)
    other.chat_template = "{{ messages[0].content }}<|start|>{{ messages[-1].content }}<|end|>"
    with pytest.raises(ScorecraftError, match="message 1: the template does not write its content"):
        encode_trace(read_trace(CHAT), other)
