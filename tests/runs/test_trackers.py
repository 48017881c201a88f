"""Metrics reach the trackers' own files, and a tracker that fails ends nothing."""

from __future__ import annotations

import json
import time

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.runs import trackers
from scorecraft.runs.trackers import Tracker, Trackers, check_trackers, run_id

RECIPE = {"policy": "tunnel-tiny", "reward": {"correct": {"weight": 1.0}}}
ROWS = [{"step": 1, "reward": 0.25, "kl": float("nan")}, {"step": 2, "reward": 0.5, "kl": 0.125}]


def no_warning(text):
    raise AssertionError(text)


def log_all(names, folder, rows, start=0):
    opened = Trackers(names, folder, RECIPE, start, no_warning)
    for row in rows:
        opened.log(row, row["step"])
    opened.log({"step": rows[-1]["step"], "accuracy": 0.75}, rows[-1]["step"], "held-out/")
    opened.finish()


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return {name: [(e.step, e.value) for e in found.Scalars(name)] for name in found.Tags()["scalars"]}


def test_tensorboard_reads_back_what_was_logged_and_a_resume_replaces_what_it_repeats(tmp_path):
    log_all(["tensorboard"], tmp_path, ROWS)
    assert scalars(tmp_path) == {"reward": [(1, 0.25), (2, 0.5)], "kl": [(2, 0.125)], "held-out/accuracy": [(2, 0.75)]}
    log_all(["tensorboard"], tmp_path, [{"step": 2, "reward": 1.0}, {"step": 3, "reward": 2.0}], start=1)
    assert scalars(tmp_path)["reward"] == [(1, 0.25), (2, 1.0), (3, 2.0)]


def test_weights_and_biases_keeps_the_run_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    log_all(["wandb"], tmp_path, ROWS)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    assert folder.name.endswith(run_id(tmp_path))
    (kept,) = folder.glob("*.wandb")
    # W&B's own process writes the file, and may still be at it.
    for _ in range(300):
        content = kept.read_bytes()
        if b"held-out/accuracy" in content and b"tunnel-tiny" in content:
            return
        time.sleep(0.1)
    raise AssertionError(f"the metrics are not in {kept}: {content[:200]!r}")


def test_trackio_keeps_the_run_on_this_machine(tmp_path, monkeypatch):
    import subprocess
    import sys

    # In a process of its own, since trackio reads its folder when it is imported.
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    program = (
        "import sys, json; from pathlib import Path; from scorecraft.runs.trackers import Trackers\n"
        "t = Trackers(['trackio'], Path(sys.argv[1]), json.loads(sys.argv[2]), 0, lambda text: sys.exit(text))\n"
        "t.log({'step': 1, 'reward': 0.25}, 1)\nt.log({'step': 2, 'reward': 0.5}, 2)\nt.finish()\n"
        "from trackio.sqlite_storage import SQLiteStorage as S\n"
        "(run,) = S.get_runs('scorecraft')\n"
        "print('FOUND', json.dumps([[row['step'], row['reward']] for row in S.get_logs('scorecraft', run)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), json.dumps(RECIPE)], capture_output=True, text=True, check=False
    )
    assert "FOUND [[1, 0.25], [2, 0.5]]" in done.stdout, done.stdout + done.stderr


class Broken(Tracker):
    def __init__(self, directory, recipe, step):
        del directory, recipe, step

    def log(self, metrics, step):
        raise ConnectionError("no route\nto host")

    def finish(self):
        raise AssertionError("left out before")


def test_a_tracker_that_fails_is_warned_about_once_and_left_out(tmp_path, monkeypatch):
    monkeypatch.setitem(trackers.TRACKERS, "broken", Broken)
    said = []
    opened = Trackers(["broken", "tensorboard"], tmp_path, RECIPE, 0, said.append)
    opened.log(ROWS[0], 1)
    opened.log(ROWS[1], 2)
    opened.finish()
    assert len(said) == 1
    assert "tracker 'broken' stopped working (ConnectionError: no route)" in said[0]
    assert scalars(tmp_path)["reward"] == [(1, 0.25), (2, 0.5)]


def test_mistakes_are_named(monkeypatch):
    with pytest.raises(ScorecraftError, match=r"unknown tracker 'tensorbord'.*tensorboard"):
        check_trackers(["tensorbord"])
    with pytest.raises(ScorecraftError, match="given twice"):
        check_trackers(["tensorboard", "tensorboard"])
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ScorecraftError, match=r"pip install 'scorecraft\[trackers\]'"):
        check_trackers(["wandb"])
