"""Each format is known by its columns and read as its trainer writes it."""

from __future__ import annotations

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.rescoring.rows import Columns, find_format


def read(row, **columns):
    found = find_format(list(row), Columns(**columns))
    return found.name, found.read(row)


def test_plain_rows_by_their_usual_names_and_by_given_ones():
    name, row = read({"question": "1+1?", "response": "#### 2", "answer": 2})
    assert (name, row.prompt, row.completion, row.answer) == ("plain", "1+1?", "#### 2", "2")
    name, row = read({"a": "p", "b": "c", "d": "t", "e": 7}, prompt="a", completion="b", answer="d", group="e")
    assert (row.prompt, row.completion, row.answer, row.key) == ("p", "c", "t", 7)


def test_messages_have_the_completion_last():
    messages = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": [{"type": "text", "text": "2"}]}]
    name, row = read({"messages": messages, "answer": "2"})
    assert (name, row.prompt, row.completion, row.answer) == ("messages", "1+1?", "2", "2")
    with pytest.raises(ScorecraftError, match="assistant's message last"):
        read({"messages": messages[:1]})


def test_a_trl_row_is_grouped_by_step_and_prompt():
    row = {
        "step": 3,
        "prompt": [{"role": "user", "content": "Q"}],
        "completion": [{"role": "assistant", "content": "A"}],
    }
    name, found = read({**row, "my_reward": 0.5, "advantage": 0.1})
    assert name == "trl"
    assert (found.prompt, found.completion, found.key) == ("Q", "A", (3, "Q", "None"))


def test_a_verl_row_has_its_truth_under_gts():
    name, found = read({"input": "Q", "output": "A", "gts": "42", "score": 1.0, "step": 1})
    assert (name, found.prompt, found.completion, found.answer) == ("verl", "Q", "A", "42")


def test_a_verifiers_trace_is_read_through_its_nodes():
    row = {
        "task": {"data": {"idx": 5, "prompt": "Q", "answer": "42", "level": 3}},
        "nodes": [
            {"message": {"role": "user", "content": "Q"}, "sampled": False},
            {"message": {"role": "assistant", "content": "first"}, "sampled": True},
            {"message": {"role": "assistant", "content": "42"}, "sampled": True},
        ],
        "rewards": {}, "root_reply": None,
    }  # fmt: skip
    name, found = read(row)
    assert (name, found.prompt, found.completion, found.answer, found.key) == ("verifiers", "Q", "42", "42", 5)
    assert found.metadata == {"level": 3}


def test_what_cannot_be_found_is_named():
    with pytest.raises(ScorecraftError, match="no column 'promt'; did you mean 'prompt'"):
        find_format(["prompt", "completion"], Columns(prompt="promt"))
    with pytest.raises(ScorecraftError, match="no column of completions among a, b"):
        find_format(["a", "b"], Columns())
    with pytest.raises(ScorecraftError, match="is empty"):
        read({"prompt": "p", "completion": None})
