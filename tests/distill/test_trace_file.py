"""Files of traces: what is written, a stop at any place, and files that are not what they were."""

from __future__ import annotations

import copy
import fcntl
import json
from dataclasses import replace

import pytest
import torch

from scorecraft.distill import trace_file
from scorecraft.distill.trace_encoding import TraceColumns
from scorecraft.distill.trace_file import (
    count_rows,
    read_records,
    rows_per_teacher,
    score_trace_file,
    write_rows,
)
from scorecraft.distill.trace_scoring import ScoringSettings, TraceScorer, score_traces
from scorecraft.errors import ScorecraftError

ROWS = [
    {"prompt": f"{a} plus 3?", "completion": f"{'Take it and add. ' * (a % 4)}It is {a + 3}.", "teacher": "xy"[a % 2]}
    for a in range(10)
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def scorer(gpt2, gpt2_tokenizer):
    return TraceScorer(gpt2, gpt2_tokenizer, ScoringSettings(tokens_per_batch=100), name="tiny")


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(trace_file, "ROWS_AT_ONCE", 3)


def test_records_are_those_of_the_rows(file, scorer, gpt2, gpt2_tokenizer, tmp_path, small_windows):
    told = []
    found = score_trace_file(file, tmp_path / "out.jsonl", scorer, progress=lambda *own: told.append(own))
    wanted = score_traces(gpt2, gpt2_tokenizer, ROWS, scorer.settings, name="tiny")
    assert [record.row for record in found.records] == list(range(1, 11))
    for record, own in zip(found.records, wanted, strict=True):
        assert record.rsr == pytest.approx(own.rsr, rel=1e-4)
        assert record.average_surprisal == pytest.approx(own.average_surprisal, rel=1e-4)
        assert replace(record, rsr=0.0, average_surprisal=0.0) == replace(own, rsr=0.0, average_surprisal=0.0)
    assert told == [(0, 10), (3, 10), (6, 10), (9, 10), (10, 10)]
    assert read_records(tmp_path / "out.jsonl") == found


def test_a_stopped_run_goes_on_and_ends_the_same(file, scorer, tmp_path, small_windows):
    whole, stopped = tmp_path / "whole.jsonl", tmp_path / "stopped.jsonl"
    score_trace_file(file, whole, scorer)

    def stop(done, total):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_trace_file(file, stopped, scorer, progress=stop)
    assert count_rows(stopped) == 6
    told = []
    score_trace_file(file, stopped, scorer, progress=lambda *own: told.append(own))
    assert told[0] == (6, 10)
    assert stopped.read_bytes() == whole.read_bytes()
    # Once all is there, nothing is computed again.
    told.clear()
    score_trace_file(file, stopped, scorer, progress=lambda *own: told.append(own))
    assert told == [(10, 10), (10, 10)]


@pytest.mark.parametrize("lost", [1, 20, 400])
def test_a_line_that_a_kill_cut_off_is_scored_again(file, scorer, tmp_path, small_windows, lost):
    out = tmp_path / "out.jsonl"
    score_trace_file(file, out, scorer)
    whole = out.read_bytes()
    out.write_bytes(whole[:-lost])
    found = score_trace_file(file, out, scorer)
    assert len(found.records) == 10
    assert sorted(out.read_text().splitlines()) == sorted(whole.decode().splitlines())


def test_rows_that_cannot_be_scored_are_kept_with_the_reason(file, scorer, tmp_path):
    with file.open("a") as stream:
        stream.write('\nnot json\n["a list"]\n{"prompt": "x", "completion": ""}\n')
    out = tmp_path / "out.jsonl"
    found = score_trace_file(file, out, scorer)
    assert [(one.row, one.reason.split()[0]) for one in found.dropped] == [(12, "not"), (13, "expected"), (14, "no")]
    assert len(found.records) == 10
    assert score_trace_file(file, out, scorer) == found


def test_rows_that_are_added_later_are_scored_too(file, scorer, tmp_path):
    out = tmp_path / "out.jsonl"
    assert len(score_trace_file(file, out, scorer, rows={2, 5}).records) == 2
    with file.open("a") as stream:
        stream.write(json.dumps(ROWS[0]) + "\n")
    assert [record.row for record in score_trace_file(file, out, scorer).records] == list(range(1, 12))


def test_a_changed_file_another_student_and_other_settings_are_noticed(file, scorer, gpt2, gpt2_tokenizer, tmp_path):
    out = tmp_path / "out.jsonl"
    score_trace_file(file, out, scorer)
    other = copy.deepcopy(gpt2)
    with torch.no_grad():
        other.transformer.ln_f.bias[0] += 1.0
    for scorer_now in (
        TraceScorer(other, gpt2_tokenizer, scorer.settings, name="tiny"),
        TraceScorer(gpt2, gpt2_tokenizer, ScoringSettings(rank_clip=50), name="tiny"),
    ):
        with pytest.raises(ScorecraftError, match=r"another student or other settings \(tiny@"):
            score_trace_file(file, out, scorer_now)
    # How many tokens go through at a time changes nothing that is recorded.
    score_trace_file(file, out, TraceScorer(gpt2, gpt2_tokenizer, ScoringSettings(tokens_per_batch=7), name="tiny"))
    file.write_text(file.read_text().replace("4 plus 3?", "4 plus 4?"))
    with pytest.raises(ScorecraftError, match=r"traces\.jsonl:5: this row is not the one"):
        score_trace_file(file, out, scorer)


def test_two_writers_are_refused_and_so_is_a_file_of_something_else(file, scorer, tmp_path):
    out = tmp_path / "out.jsonl"
    with out.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ScorecraftError, match="another process is writing"):
            score_trace_file(file, out, scorer)
    with pytest.raises(ScorecraftError, match="not the records of scored traces"):
        score_trace_file(file, file, scorer)
    assert count_rows(file) == 10
    with pytest.raises(ScorecraftError, match="no such file"):
        score_trace_file(tmp_path / "none.jsonl", out, scorer)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ScorecraftError, match="no rows"):
        score_trace_file(tmp_path / "empty.jsonl", out, scorer)


def test_some_rows_of_each_teacher(file):
    chosen = rows_per_teacher(file, 2)
    assert len(chosen) == 4
    assert sorted(ROWS[row - 1]["teacher"] for row in chosen) == ["x", "x", "y", "y"]
    assert chosen == rows_per_teacher(file, 2)
    assert any(rows_per_teacher(file, 2, seed=seed) != chosen for seed in range(1, 5))
    assert rows_per_teacher(file, 99, columns=TraceColumns(teacher="prompt")) == set(range(1, 11))
    with pytest.raises(ScorecraftError, match="at least 1 row"):
        rows_per_teacher(file, 0)


def test_chosen_rows_are_written_as_they_are(file, tmp_path):
    out = tmp_path / "best.jsonl"
    assert write_rows(file, {2, 9}, out) == 2
    assert [json.loads(line) for line in out.read_text().splitlines()] == [ROWS[1], ROWS[8]]
    assert list(tmp_path.glob(".tmp-*")) == []
