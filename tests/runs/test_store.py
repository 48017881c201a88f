"""The store reads back what was written, and is whole after kills and full disks."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem
from scorecraft.rollouts import Rollouts
from scorecraft.runs import RunStore, environment


def make_rollouts(count=3):
    tokens = torch.arange(count * 4).reshape(count, 4)
    lengths = torch.full((count,), 4)
    return Rollouts(
        tokens=tokens,
        mask=torch.ones(count, 4, dtype=torch.bool),
        logprobs=-torch.rand(count, 4),
        entropies=torch.rand(count, 4),
        steps=torch.zeros(count, 4, dtype=torch.int64),
        turns=torch.zeros(count, 4, dtype=torch.int64),
        lengths=lengths,
        group=torch.zeros(count, dtype=torch.int64),
        truncated=torch.zeros(count, dtype=torch.bool),
        texts=tuple(f"text {row}" for row in range(count)),
        notes=tuple({} for _ in range(count)),
        prompt_tokens=torch.zeros(1, 2, dtype=torch.int64),
        prompt_lengths=torch.tensor([2]),
        problems=(Problem("2 + 2 = ?", "4"),),
    )


def fill(directory):
    (directory / "model.bin").write_bytes(b"weights")


@pytest.fixture
def store(tmp_path):
    return RunStore.create(tmp_path / "run", "seed: 0\n", {"torch": "2.13"})


def test_what_is_written_is_read_back(store):
    store.append_metrics({"step": 1, "reward": float("nan")})
    store.append_evaluation({"step": 0, "accuracy": 0.5})
    store.save_token_texts({5: "é", 3: "<"})
    store.save_token_texts({7: "\n"})
    again = RunStore.open(store.directory)
    assert again.recipe_yaml == "seed: 0\n"
    assert again.versions == {"torch": "2.13"}
    assert again.read_metrics() == [{"step": 1, "reward": None}]
    assert again.read_evaluations() == [{"step": 0, "accuracy": 0.5}]
    assert again.token_texts() == {3: "<", 5: "é", 7: "\n"}


def test_an_empty_run_reads_as_empty(store):
    assert store.read_metrics() == store.read_evaluations() == []
    assert store.checkpoints() == store.rollout_steps() == []
    assert store.load_checkpoint() is None
    assert store.read_rollouts().num_rows == 0
    assert store.token_texts() == {}


def test_a_run_is_not_made_over_another(store):
    with pytest.raises(ScorecraftError, match=r"--resume, or choose another --run"):
        RunStore.create(store.directory, "seed: 1\n", {})
    assert store.recipe_yaml == "seed: 0\n"


def test_a_creation_that_was_killed_can_be_repeated(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "versions.json").write_text("{")
    (tmp_path / "run" / ".tmp-1-recipe.yaml").write_text("se")
    with pytest.raises(ScorecraftError, match=r"not a run, it has no recipe\.yaml"):
        RunStore.open(tmp_path / "run")
    RunStore.create(tmp_path / "run", "seed: 0\n", {"a": 1})
    assert RunStore.open(tmp_path / "run").versions == {"a": 1}
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.name != ".lock") == [
        "citations.bib",
        "recipe.yaml",
        "versions.json",
    ]


def test_places_that_cannot_be_runs_are_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ScorecraftError, match="a file is there"):
        RunStore.create(tmp_path / "file", "", {})
    with pytest.raises(ScorecraftError, match="a file is there"):
        RunStore.create(tmp_path / "file" / "run", "", {})
    with pytest.raises(ScorecraftError, match="no such directory"):
        RunStore.open(tmp_path / "absent")


def test_rollouts_keep_their_extra_columns(store):
    rollouts = make_rollouts()
    store.save_rollouts(
        10,
        rollouts,
        {"reward": [1.0, None, 0.5], "correct": [True, None, False], "advantage": [[0.5] * 4, [0.0] * 4, [-0.5] * 4]},
    )
    store.save_rollouts(2, make_rollouts(1), {"reward": [None], "correct": [None], "advantage": [[0.0, 0.0, 0.0, 0.0]]})
    assert store.rollout_steps() == [2, 10]
    table = store.read_rollouts(10)
    assert table.column("reward").to_pylist() == [1.0, None, 0.5]
    assert table.column("correct").to_pylist() == [True, None, False]
    assert table.column("text").to_pylist() == ["text 0", "text 1", "text 2"]
    everything = store.read_rollouts()
    assert everything.column("training_step").to_pylist() == [2, 10, 10, 10]
    assert everything.column("advantage").to_pylist()[3] == [-0.5] * 4
    assert torch.equal(torch.tensor(table.column("logprobs").to_pylist()), rollouts.logprobs)


def test_mistakes_around_rollouts_are_named(store):
    with pytest.raises(ScorecraftError, match="column 'reward': expected 3 values, got 2"):
        store.save_rollouts(1, make_rollouts(), {"reward": [1.0, 2.0]})
    assert store.rollout_steps() == []
    with pytest.raises(ScorecraftError, match="no rollouts of step 4; saved steps: none"):
        store.read_rollouts(4)
    store.save_rollouts(1, make_rollouts())
    store.rollouts_path(1).write_bytes(b"PAR1 torn")
    with pytest.raises(ScorecraftError, match="not a readable Parquet file"):
        store.read_rollouts(1)


def test_going_back_to_a_step_drops_all_that_came_later(store):
    for step in (1, 2, 3):
        store.append_metrics({"step": step})
        store.append_evaluation({"step": step})
        store.save_rollouts(step, make_rollouts(1))
        store.save_checkpoint(step, fill, keep=9)
    store.truncate_after(2)
    assert [row["step"] for row in store.read_metrics()] == [1, 2]
    assert [row["step"] for row in store.read_evaluations()] == [1, 2]
    assert store.rollout_steps() == [1, 2]
    assert store.checkpoints() == [1, 2]


def test_leftovers_go_on_opening_but_not_under_a_live_writer(store):
    store.save_checkpoint(1, fill)
    leftovers = [store.directory / ".tmp-9-metrics.jsonl", store.directory / "checkpoints" / ".tmp-9-step-000002"]
    leftovers[0].write_text("x")
    leftovers[1].mkdir()
    (leftovers[1] / "model.bin").write_text("half")
    with store.lock():
        leftovers[0].write_text("x")
        RunStore.open(store.directory)
        assert leftovers[0].exists()
    RunStore.open(store.directory)
    assert not any(path.exists() for path in leftovers)
    assert store.checkpoints() == [1]


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from scorecraft.runs import RunStore
store = RunStore.open(sys.argv[1])
with store.lock():
    loaded = store.load_checkpoint()
    step = loaded[0] if loaded else 0
    store.truncate_after(step)
    print("ready", flush=True)
    while True:
        step += 1
        store.append_metrics({"step": step, "text": "x" * 3000})
        store.save_token_texts({step: "t"})
        def write(directory):
            (directory / "a.bin").write_bytes(bytes([step % 256]) * 300_000)
            (directory / "b.bin").write_bytes(bytes([step % 256]) * 1000)
        store.save_checkpoint(step, write, keep=2)
"""


def test_a_killed_writer_never_leaves_a_store_that_does_not_open(store):
    chance = random.Random(7)
    before = 0
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(store.directory)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()

        opened = RunStore.open(store.directory)
        assert not list(store.directory.rglob(".tmp-*"))
        # No ScorecraftWarning either: pytest turns it into an error.
        loaded = opened.load_checkpoint()
        step = loaded[0] if loaded else 0
        assert step >= before
        if loaded:
            assert (loaded[1] / "a.bin").read_bytes() == bytes([step % 256]) * 300_000
        steps = [row["step"] for row in opened.read_metrics()]
        assert steps in (list(range(1, step + 1)), list(range(1, step + 2)))
        assert set(opened.token_texts()) >= set(range(1, step + 1))
        before = step
    assert before > 0


FILL_UP = """
import resource, signal, sys
from pathlib import Path
from scorecraft.errors import ScorecraftError
from scorecraft.runs import RunStore
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
store = RunStore.create(Path(sys.argv[1]), "seed: 0", {})
store.append_metrics({"step": 1})
store.save_checkpoint(1, lambda d: (d / "w.bin").write_bytes(b"w" * 1000) and None)

def expect_error(what, action):
    try:
        action()
    except ScorecraftError as error:
        assert "no room left" in str(error) and "intact" in str(error), error
        print(what)

big = 2_000_000
expect_error("checkpoint", lambda: store.save_checkpoint(2, lambda d: (d / "w.bin").write_bytes(b"w" * big) and None))
expect_error("metrics", lambda: store.append_metrics({"step": 2, "x": "y" * big}))
expect_error("tokens", lambda: store.save_token_texts({1: "y" * big}))

from safetensors.torch import save_file
import torch
expect_error("tensors", lambda: store.save_checkpoint(2, lambda d: save_file({"w": torch.ones(big)}, d / "w.safe")))

store.append_metrics({"step": 2})
again = RunStore.open(store.directory)
assert [row["step"] for row in again.read_metrics()] == [1, 2]
assert again.checkpoints() == [1] and again.load_checkpoint()[0] == 1
assert not list(store.directory.rglob(".tmp-*"))
print("intact")
"""
EXPECTED = ["checkpoint", "metrics", "tokens", "tensors", "intact"]


def test_a_limit_on_file_sizes_leaves_the_store_intact(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FILL_UP, str(tmp_path / "run"), "limit"], capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.returncode) == (EXPECTED, 0), done.stderr


def test_a_full_disk_leaves_the_store_intact(tmp_path):
    mount = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"', str(tmp_path)]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here (it takes root)")
    done = subprocess.run(
        [*mount, sys.executable, "-c", FILL_UP, str(tmp_path / "run"), "disk"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.returncode) == (EXPECTED, 0), done.stderr


def test_the_environment_names_packages_and_machine_but_nobody(tmp_path):
    found = environment(["numpy", "no-such-package"], tmp_path)
    assert list(found["packages"]) == ["numpy"]
    assert found["python"].startswith("3.")
    assert set(found["machine"]) == {"system", "architecture", "processor", "cores"}
    assert "commit" not in found


def test_some_steps_and_columns_can_be_read(store):
    rollouts = make_rollouts()
    for step in (10, 20, 30):
        store.save_rollouts(step, rollouts, {"reward": [float(step)] * len(rollouts)})
    table = store.read_rollouts([10, 30], ["reward"])
    assert table.column_names == ["training_step", "reward"]
    assert table["training_step"].to_pylist() == [10] * len(rollouts) + [30] * len(rollouts)
    assert table["reward"].to_pylist() == [10.0] * len(rollouts) + [30.0] * len(rollouts)
    with pytest.raises(ScorecraftError, match="no rollouts of step 25, 40"):
        store.read_rollouts([10, 40, 25])
    with pytest.raises(ScorecraftError, match="no saved rollout has a column 'rewrad'"):
        store.read_rollouts([10], ["rewrad"])
