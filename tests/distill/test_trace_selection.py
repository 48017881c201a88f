"""Records, one trace for each prompt, the order of teachers, and what is refused or warned of."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from scorecraft.distill.rank_surprisal import TokenScores, dataset_rsr
from scorecraft.distill.trace_selection import (
    TraceRecord,
    lowest_per_group,
    rank_teachers,
    select_traces,
    trace_record,
)
from scorecraft.errors import ScorecraftError, ScorecraftWarning


def scored(rank, surprisal, **fields):
    scores = TokenScores(torch.tensor(rank, dtype=torch.int32), torch.tensor(surprisal))
    return trace_record(scores, **{"row": 1, "id": "x", "student": "small@1", **fields})


def test_a_record_by_hand():
    record = scored([1, 2, 150, 101], [0.5, 1.5, 8.0, 2.0], teacher="t")
    assert record.tokens == 4
    assert record.average_rank == pytest.approx(203 / 4)
    assert record.average_surprisal == pytest.approx(3.0)
    assert record.rsr == pytest.approx(203 / 12)
    assert record.clipped == 0.5
    assert TraceRecord.from_data(record.as_data()) == record


def test_a_certain_text_is_flagged_and_comes_back():
    record = scored([1, 1], [0.0, 0.0])
    assert record.degenerate
    assert record.as_data()["rsr"] is None
    assert math.isinf(TraceRecord.from_data(record.as_data()).rsr)
    with pytest.raises(ScorecraftError, match="it lacks row, id"):
        TraceRecord.from_data({"tokens": 3})


def test_the_lowest_of_each_group():
    assert lowest_per_group(["a", "b", "a", "b", "c"], [2.0, 1.0, 1.5, 1.0, math.inf]) == [2, 1, 4]
    with pytest.raises(ScorecraftError, match="2 groups, but 1 scores"):
        lowest_per_group(["a", "b"], [1.0])
    with pytest.raises(ScorecraftError, match="score 1 is NaN"):
        lowest_per_group(["a", "a"], [1.0, math.nan])


def test_one_trace_for_each_prompt():
    rows = [
        scored([3], [1.0], group="a", id="3"),
        scored([2], [1.0], group="a", id="2"),
        scored([1], [0.0], group="a", id="certain"),
        scored([9], [1.0], group="b", id="9"),
    ]
    assert [row.id for row in select_traces(rows)] == ["2", "9"]


def test_the_students_own_text_brings_a_warning():
    with pytest.warns(ScorecraftWarning, match="1 traces .*'x'"):
        select_traces([scored([3], [1.0], teacher="small"), scored([3], [1.0], teacher="big")])
    with pytest.warns(ScorecraftWarning, match="token for token"):
        select_traces([scored([1] * 8, [1.0] * 8)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        select_traces([scored([1] * 7, [1.0] * 7), scored([1] * 8 + [2], [1.0] * 9)])


def test_what_is_not_comparable_is_refused():
    one = scored([3], [1.0])
    for other, said in ((replace(one, student="small@2"), "student"), (replace(one, rank_clip=50), "rank clip")):
        for use in (select_traces, rank_teachers):
            with pytest.raises(ScorecraftError, match=f"more than one {said}"):
                use([one, other])


def test_teachers_by_the_ratio_of_means():
    rows = [
        scored([1, 2, 150], [0.5, 1.5, 8.0], teacher="first"),
        scored([1, 1], [0.1, 0.3], teacher="first"),
        scored([3], [1.0], teacher="second"),
    ]
    best, worst = rank_teachers(rows)
    assert (best.teacher, worst.teacher) == ("second", "first")
    assert best.rsr == best.low == best.high == pytest.approx(3.0)
    assert worst.rsr == pytest.approx(10.0)
    # A resample of two traces is one of them twice, or both.
    assert worst.low == pytest.approx(5.0)
    assert worst.high == pytest.approx(10.3)
    assert (worst.traces, worst.average_tokens) == (2, 2.5)


def test_teachers_by_some_of_their_traces():
    random = np.random.default_rng(0)
    rows = [scored([int(random.integers(1, 9))], [1.0], teacher="t", row=row) for row in range(50)]
    some = rank_teachers(rows, 10)[0]
    assert some.traces == 10
    assert some == rank_teachers(rows, 10)[0]
    assert some.rsr != rank_teachers(rows, 10, seed=1)[0].rsr
    pairs = [(torch.tensor([int(row.average_rank)]), torch.tensor([row.average_surprisal])) for row in rows]
    assert rank_teachers(rows, None)[0].rsr == pytest.approx(dataset_rsr(pairs))


def test_no_traces_are_refused():
    with pytest.raises(ScorecraftError, match="got none"):
        rank_teachers([])
    with pytest.raises(ScorecraftError, match="n=0"):
        rank_teachers([scored([1], [1.0])], 0)
    assert select_traces([]) == []
