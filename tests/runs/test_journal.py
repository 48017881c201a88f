"""A journal keeps whole lines only, whatever happened to its last one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.runs.journal import Journal


def test_rows_come_back_in_order(tmp_path):
    journal = Journal(tmp_path / "m.jsonl")
    journal.append({"step": 1, "reward": 0.25})
    journal.append({"step": 2, "reward": 0.5, "note": "zeile\nzwei ü"})
    assert journal.rows() == [{"step": 1, "reward": 0.25}, {"step": 2, "reward": 0.5, "note": "zeile\nzwei ü"}]
    assert len((tmp_path / "m.jsonl").read_bytes().split(b"\n")) == 3


def test_numbers_that_json_has_not_become_null(tmp_path):
    journal = Journal(tmp_path / "m.jsonl")
    journal.append({"step": 1, "a": float("nan"), "b": [float("inf"), 1.0], "c": {"d": float("-inf")}})
    assert journal.rows() == [{"step": 1, "a": None, "b": [None, 1.0], "c": {"d": None}}]


def test_scalars_of_torch_and_numpy_are_unwrapped(tmp_path):
    journal = Journal(tmp_path / "m.jsonl")
    journal.append({"step": 1, "a": torch.tensor(0.5), "b": np.float32(0.25), "c": np.int64(3), "d": np.bool_(True)})
    assert journal.rows() == [{"step": 1, "a": 0.5, "b": 0.25, "c": 3, "d": True}]


@pytest.mark.parametrize("row", [{}, {"step": None}, {"step": "1"}, {"step": 1.5}])
def test_a_row_without_a_step_is_refused_and_writes_nothing(tmp_path, row):
    journal = Journal(tmp_path / "m.jsonl")
    with pytest.raises(ScorecraftError, match="whole number under 'step'"):
        journal.append(row)
    assert not (tmp_path / "m.jsonl").exists()


def test_a_file_cut_at_any_byte_reads_as_its_whole_lines_and_is_mended_by_the_next_append(tmp_path):
    path = tmp_path / "m.jsonl"
    rows = [{"step": step, "text": "ü" * step} for step in (1, 2, 3)]
    whole = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        survivors = rows[: whole[:cut].count(b"\n")]
        assert Journal(path).rows() == survivors
        Journal(path).append({"step": 9})
        assert Journal(path).rows() == [*survivors, {"step": 9}]


def test_the_end_of_whole_lines_is_found_behind_a_long_torn_line(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2, "x": "' + b"y" * 300_000)
    Journal(path).append({"step": 2})
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'


def test_an_unreadable_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n\0\0\0\n[1]\n{"step": 3}\n')
    with pytest.warns(ScorecraftWarning) as caught:
        rows = Journal(path).rows()
    assert rows == [{"step": 1}, {"step": 3}]
    assert ["line 2" in str(w.message) or "line 3" in str(w.message) for w in caught] == [True, True]


@given(steps=st.lists(st.integers(0, 20), max_size=8), cut=st.integers(-1, 21))
def test_drop_after_keeps_exactly_the_earlier_steps(tmp_path_factory, steps, cut):
    journal = Journal(tmp_path_factory.mktemp("journal") / "m.jsonl", sync_every=100)
    for step in steps:
        journal.append({"step": step})
    journal.drop_after(cut)
    assert [row["step"] for row in journal.rows()] == [step for step in steps if step <= cut]
