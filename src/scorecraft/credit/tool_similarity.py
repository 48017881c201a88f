"""How much a tool call resembles another: by tool, names of parameters, and values."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError

_PLAIN = (str, int, bool, type(None))


class ToolCall(TypedDict):
    """A call: the tool's name, and its arguments by name, or as the JSON text that a model wrote."""

    name: str
    arguments: Mapping[str, Any] | str


class Arguments(NamedTuple):
    """Arguments by name; ``malformed`` where they could not be read, which leaves none."""

    values: Mapping[str, Any]
    malformed: bool


class Similarities(NamedTuple):
    """Similarity of every call of a trace to every golden one, padded with 0.

    calls, golds: how many there are. parameters: of every golden call. malformed: calls whose arguments are unreadable.
    """

    values: Float64[Tensor, "trace call gold"]
    calls: Int64[Tensor, " trace"]
    golds: Int64[Tensor, " trace"]
    parameters: Int64[Tensor, "trace gold"]
    malformed: Bool[Tensor, "trace call"]


def read_arguments(arguments: Mapping[str, Any] | str) -> Arguments:
    """Return a call's arguments; a text that is not a JSON object is malformed and gives none.

    Args:
        arguments: by name, or as JSON.
    """
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return Arguments({}, True)
    return Arguments(arguments, False) if isinstance(arguments, Mapping) else Arguments({}, True)


def multiset_jaccard(left: Sequence[str], right: Sequence[str]) -> float:
    """Return ``J = n / (len(left) + len(right) - n)``, n the names in common counted as often as both have them.

    Two empty lists are alike: 1.

    Args:
        left: names, repeated or not.
        right: names.
    """
    shared = (Counter(left) & Counter(right)).total()
    union = len(left) + len(right) - shared
    return shared / union if union else 1.0


@implements("turn-matching")
def tool_similarity(pred: ToolCall, gold: ToolCall) -> float:
    """Return ``S = (1 + J + C) / (2 + |A(gold)|)``, and 0 for calls of different tools.

    J is the Jaccard similarity of the parameter names and C the number of golden parameters whose value is equal: 1 is
    1.0, "1" is not 1, and NaN equals nothing. Names of tools are compared without regard to case. An exact match is 1;
    parameters too many only lower J.

    Args:
        pred: the call made.
        gold: the call expected.

    Raises `ScorecraftError` for a call without a name, or with a value that is no JSON value and has no hash.

    Source: MatchTIR, 2026, arXiv 2601.10712.
    """
    if _name(pred) != _name(gold):
        return 0.0
    made, expected = read_arguments(pred["arguments"]).values, read_arguments(gold["arguments"]).values
    correct = sum(key in made and _key(made[key]) == _key(value) for key, value in expected.items())
    return (1 + multiset_jaccard(list(made), list(expected)) + correct) / (2 + len(expected))


def similarity_matrix(preds: Sequence[ToolCall], golds: Sequence[ToolCall]) -> Float64[Tensor, "call gold"]:
    """Return `tool_similarity` of every call of a trace to every golden one.

    Args:
        preds: the calls made, in order.
        golds: the calls expected.
    """
    return similarity_matrices([preds], [golds]).values[0]


@implements("turn-matching")
def similarity_matrices(preds: Sequence[Sequence[ToolCall]], golds: Sequence[Sequence[ToolCall]]) -> Similarities:
    """Return `tool_similarity` of every call to every golden one, for many traces at once.

    Args:
        preds: the calls of every trace.
        golds: the golden calls of every trace; traces of one prompt may share one list, which is then read once.

    Raises `ScorecraftError` where there are not as many golden lists as traces; and as `tool_similarity`.
    """
    if len(preds) != len(golds):
        raise ScorecraftError(f"similarity_matrices: {len(preds)} traces, but {len(golds)} lists of golden calls")
    own = {id(trace): trace for trace in golds}
    place = {key: index for index, key in enumerate(own)}
    words = _Words({}, {}, {})
    expected = _encode(list(own.values()), words, learn=True)
    made = _encode(preds, words, learn=False)
    trace_of = np.array([place[id(trace)] for trace in golds], dtype=np.int64)
    # Calls of one tool, trace by trace.
    names, targets = made.names, expected.names[trace_of]
    trace, call, gold = np.nonzero((names[:, :, None] == targets[:, None, :]) & (names >= 0)[:, :, None])
    left, right = made.rows[trace, call], expected.rows[trace_of[trace], gold]
    values = np.zeros((*names.shape, targets.shape[1]))
    values[trace, call, gold] = _of_pairs(made, expected, left, right)
    parameters = np.where(targets >= 0, _take(expected.sizes, expected.rows[trace_of]), 0)
    return Similarities(
        torch.from_numpy(values),
        torch.from_numpy(made.counts),
        torch.from_numpy(expected.counts[trace_of]),
        torch.from_numpy(parameters),
        torch.from_numpy(_take(made.malformed, made.rows) & (made.rows >= 0)),
    )


class _Words(NamedTuple):
    """Numbers of the golden calls' tools, parameters, and parameters with their values."""

    tools: dict[str, int]
    parameters: dict[str, int]
    pairs: dict[tuple[str, Any], int]


class _Encoded(NamedTuple):
    """Calls in numbers: by trace and call the tool and the row of a flat table; by row sizes, parameters and pairs."""

    names: NDArray[np.int64]
    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    malformed: NDArray[np.bool_]
    parameters: NDArray[np.int64]
    pairs: NDArray[np.int64]


def _encode(traces: Sequence[Sequence[ToolCall]], words: _Words, *, learn: bool) -> _Encoded:
    """Number the calls; what no golden call has is -1 where nothing is learnt, and takes no place in the tables."""
    tools, parameters, pairs = words
    names: list[int] = []
    sizes: list[int] = []
    malformed: list[bool] = []
    rows: list[int] = []
    known: list[int] = []
    valued: list[int] = []
    for trace in traces:
        for call in trace:
            name = _name(call)
            arguments = call["arguments"]
            broken = False
            if type(arguments) is not dict:
                arguments, broken = read_arguments(arguments)
            if learn:
                names.append(tools.setdefault(name, len(tools)))
            else:
                names.append(tools.get(name, -1))
            for key, value in arguments.items():
                pair = (key, value if type(value) in _PLAIN else _key(value))
                if learn:
                    known.append(parameters.setdefault(key, len(parameters)))
                    valued.append(pairs.setdefault(pair, len(pairs)))
                    rows.append(len(sizes))
                elif key in parameters:
                    known.append(parameters[key])
                    valued.append(pairs.get(pair, -1))
                    rows.append(len(sizes))
            sizes.append(len(arguments))
            malformed.append(broken)
    counts = np.array([len(trace) for trace in traces], dtype=np.int64)
    there = np.arange(counts.max(initial=0)) < counts[:, None]
    table = np.full(there.shape, -1, dtype=np.int64)
    table[there] = np.arange(len(sizes))
    by_trace = np.full(there.shape, -1, dtype=np.int64)
    by_trace[there] = names
    size = np.array(sizes, dtype=np.int64)
    return _Encoded(by_trace, table, counts, size, np.array(malformed, dtype=np.bool_), *_padded(rows, known, valued))


def _padded(rows: list[int], known: list[int], valued: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return parameters and pairs as tables of a call a row, -1 where there is none."""
    row = np.array(rows, dtype=np.int64)
    per_row = np.bincount(row)
    column = np.arange(len(row)) - (per_row.cumsum() - per_row)[row]
    shape = (len(per_row), int(per_row.max(initial=0)))
    tables = (np.full(shape, -1, dtype=np.int64), np.full(shape, -1, dtype=np.int64))
    for table, values in zip(tables, (known, valued), strict=True):
        table[row, column] = values
    return tables


def _of_pairs(
    made: _Encoded, expected: _Encoded, left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the similarity of calls of one tool, given by their rows."""
    size, target = made.sizes[left], expected.sizes[right]
    shared = _in_common(made.parameters, expected.parameters, left, right)
    correct = _in_common(made.pairs, expected.pairs, left, right)
    union = size + target - shared
    jaccard = np.where(union > 0, shared / np.maximum(union, 1), 1.0)
    return (1 + jaccard + correct) / (2 + target)


def _in_common(
    ours: NDArray[np.int64], theirs: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return how many entries two rows have in common, for rows of no repetitions."""
    found = np.zeros(len(left), dtype=np.int64)
    columns = [_column(column, left) for column in ours.T]
    for other in theirs.T:
        target = _column(other, right)
        known = target >= 0
        for column in columns:
            found += (column == target) & known
    return found


def _column(column: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows of a column; calls after the last one that has parameters are not in it and have none."""
    return np.append(column, -1)[np.minimum(rows, len(column))]


def _take(values: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return ``values[rows]``, anything where the row is -1."""
    return values[np.maximum(rows, 0)] if len(values) else np.zeros(rows.shape, dtype=values.dtype)


def _name(call: ToolCall) -> str:
    name = call.get("name")
    if not isinstance(name, str) or "arguments" not in call:
        raise ScorecraftError(f"a tool call needs a name and arguments, got {call!r:.200}")
    return name.lower()


def _key(value: Any) -> Any:
    """Return something with a hash that is equal where two JSON values are."""
    try:
        return _frozen(value)
    except RecursionError:
        return object()  # nested too deeply to be compared: like nothing else
    except TypeError as error:
        raise ScorecraftError(
            f"an argument of a tool call is {type(value).__name__}; expected JSON values: texts, numbers, booleans, "
            "null, lists and objects"
        ) from error


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict, frozenset((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return list, tuple(_frozen(item) for item in value)
    if value != value:  # noqa: PLR0124 - NaN equals nothing, itself neither
        return object()
    hash(value)
    return value
