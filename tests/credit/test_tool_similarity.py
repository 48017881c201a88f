"""Similarity of tool calls: values by hand, one call against many, and arguments that cannot be read."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.tool_similarity import (
    multiset_jaccard,
    read_arguments,
    similarity_matrices,
    similarity_matrix,
    tool_similarity,
)
from scorecraft.errors import ScorecraftError


def call(tool, **arguments):
    return {"name": tool, "arguments": arguments}


PREDS = [call("search", q="a"), call("search", q="a"), call("calc", x=1)]
GOLDS = [call("search", q="a", k=3), call("calc", x=2)]


def test_values_by_hand():
    # Half of the names, one right of two: (1 + 1/2 + 1) / 4. All names, none right of one: (1 + 1 + 0) / 3.
    found = similarity_matrix(PREDS, GOLDS)
    torch.testing.assert_close(found, torch.tensor([[0.625, 0.0], [0.625, 0.0], [0.0, 2 / 3]], dtype=torch.float64))
    assert tool_similarity(PREDS[0], GOLDS[0]) == 0.625
    assert tool_similarity(PREDS[2], GOLDS[1]) == pytest.approx(2 / 3)
    assert tool_similarity(PREDS[0], GOLDS[1]) == 0.0


def test_tools_are_compared_without_case_and_parameters_with_it():
    assert tool_similarity(call("Search", q="a"), call("sEARCH", q="a")) == 1.0
    # No name in common: (1 + 0 + 0) / 3.
    assert tool_similarity(call("search", Q="a"), call("search", q="a")) == pytest.approx(1 / 3)


def test_without_parameters():
    assert tool_similarity(call("now"), call("now")) == 1.0
    # One side empty: J = 0, so 1/2 and 1/3.
    assert tool_similarity(call("now", zone="UTC"), call("now")) == 0.5
    assert tool_similarity(call("now"), call("now", zone="UTC")) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("made", "expected", "same"),
    [
        (1, 1.0, True),
        (True, 1, True),
        ("1", 1, False),
        (None, None, True),
        ([1, {"a": [2]}], [1.0, {"a": [2]}], True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ([], {}, False),
        (math.nan, math.nan, False),
        ([math.nan], [math.nan], False),
    ],
)
def test_values_are_equal_as_json_is(made, expected, same):
    value = 1.0 if same else 2 / 3
    assert tool_similarity(call("t", x=made), call("t", x=expected)) == pytest.approx(value)
    assert similarity_matrix([call("t", x=made)], [call("t", x=expected)]).item() == pytest.approx(value)


def test_parameters_too_many_only_lower_the_names():
    # J = 1/3 and the one value right: (1 + 1/3 + 1) / 3.
    assert tool_similarity(call("t", x=1, y=2, z=3), call("t", x=1)) == pytest.approx(7 / 9)


def test_arguments_as_text():
    assert read_arguments('{"x": 1}') == ({"x": 1}, False)
    for text in ("{x: 1}", "", "[1, 2]", "null", '"x"', "[" * 100_000, "1" * 10_000):
        assert read_arguments(text) == ({}, True)
    assert tool_similarity({"name": "t", "arguments": '{"x": 1}'}, call("t", x=1)) == 1.0
    unread = {"name": "t", "arguments": "{x: 1"}
    assert tool_similarity(unread, call("t", x=1)) == pytest.approx(1 / 3)
    found = similarity_matrices([[unread, call("t", x=1)], [call("t")]], [[call("t", x=1)]] * 2)
    assert found.malformed.tolist() == [[True, False], [False, False]]
    torch.testing.assert_close(found.values[0, :, 0], torch.tensor([1 / 3, 1.0], dtype=torch.float64))


def test_values_nested_too_deeply_are_like_nothing():
    deep = inner = []
    for _ in range(5000):
        inner.append([])
        inner = inner[0]
    assert tool_similarity(call("t", x=deep), call("t", x=deep)) == pytest.approx(2 / 3)


def test_lists_of_names_count_repetitions():
    # {a, a, b} and {a, b, b}: two in common of four.
    assert multiset_jaccard(["a", "a", "b"], ["b", "a", "b"]) == 0.5
    assert multiset_jaccard([], []) == 1.0
    assert multiset_jaccard(["a"], []) == 0.0


def test_many_traces_are_padded():
    shared = [call("t", x=1), call("u", y=2, z=3)]
    found = similarity_matrices([[call("t", x=1)], [], [call("v"), call("u", y=2)]], [shared, shared, []])
    assert found.calls.tolist() == [1, 0, 2]
    assert found.golds.tolist() == [2, 2, 0]
    assert found.parameters.tolist() == [[1, 2], [1, 2], [0, 0]]
    assert found.values.tolist() == [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0]] * 2, [[0.0, 0.0]] * 2]
    assert similarity_matrices([], []).values.shape == (0, 0, 0)
    assert similarity_matrices([[], []], [[], []]).values.shape == (2, 0, 0)
    assert similarity_matrix([call("t", x=1)], []).shape == (1, 0)
    assert similarity_matrix([], [call("t", x=1)]).shape == (0, 1)


values = st.one_of(st.integers(0, 2), st.sampled_from(["0", "a", 0.5, None, True]), st.lists(st.integers(0, 1)))
calls = st.lists(
    st.builds(
        lambda name, arguments: {"name": name, "arguments": arguments},
        st.sampled_from(["t", "T", "u"]),
        st.dictionaries(st.sampled_from("xyz"), values),
    ),
    max_size=4,
)


@given(st.lists(st.tuples(calls, calls), max_size=4))
def test_a_batch_is_what_its_calls_are(traces):
    found = similarity_matrices([made for made, _ in traces], [expected for _, expected in traces])
    for row, (made, expected) in enumerate(traces):
        for i, one in enumerate(made):
            for j, other in enumerate(expected):
                assert found.values[row, i, j].item() == pytest.approx(tool_similarity(one, other), abs=1e-12)
    beyond = torch.ones_like(found.values, dtype=torch.bool)
    for row, (made, expected) in enumerate(traces):
        beyond[row, : len(made), : len(expected)] = False
    assert found.values[beyond].eq(0).all()


@given(calls)
def test_it_lies_between_0_and_1_and_is_1_for_the_same(made):
    found = similarity_matrix(made, made)
    assert found.diagonal().eq(1).all()
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"arguments": {}}, "needs a name"),
        ({"name": 5, "arguments": {}}, "needs a name"),
        ({"name": "t"}, "needs a name and arguments"),
        (call("t", x={1, 2}), "expected JSON values"),
    ],
)
def test_bad_calls_are_named(bad, said):
    plain = inspect.unwrap(tool_similarity)
    with pytest.raises(ScorecraftError, match=said):
        plain(bad, call("t", x=1) if "name" in bad else bad)
    with pytest.raises(ScorecraftError, match=said):
        inspect.unwrap(similarity_matrices)([[bad]], [[call("t", x=1)]])


def test_every_trace_needs_golden_calls():
    with pytest.raises(ScorecraftError, match="2 traces, but 1 lists"):
        similarity_matrices([[], []], [[]])
