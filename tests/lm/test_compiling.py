"""The loops are compiled once, elsewhere, with a word about it, and use as many threads as torch."""

import json
import os
import subprocess
import sys

import numba
import pytest
import torch

from scorecraft.lm import compiling
from scorecraft.lm.compiling import NAME, compile_loops
from scorecraft.lm.threads import fixed_threads


def test_it_is_told_the_first_time_only(tmp_path, monkeypatch):
    monkeypatch.setenv("SCORECRAFT_CACHE", str(tmp_path))
    told = []
    compile_loops("cpu", "float32", lambda *step: told.append(step))
    assert told == [(NAME, 0, 3), (NAME, 1, 3), (NAME, 2, 3), (NAME, 3, 3)]
    compile_loops("cpu", "float32", lambda *step: pytest.fail("it was told again"))


def test_a_policy_that_does_not_use_the_loops_waits_for_none(tmp_path, monkeypatch):
    monkeypatch.setenv("SCORECRAFT_CACHE", str(tmp_path))
    compile_loops("cpu", "bfloat16", lambda *step: pytest.fail("it was compiled"))
    compile_loops("cuda", "float32", lambda *step: pytest.fail("it was compiled"))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_a_warning_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SCORECRAFT_CACHE", str(tmp_path))
    monkeypatch.setattr(compiling.sys, "executable", "/bin/false")
    with pytest.warns(match="could not be made ready"):
        compile_loops("cpu", "float32")
    assert not list(tmp_path.rglob("*"))


TRAIN = """\
import json, sys
from pathlib import Path
from scorecraft.recipes.recipe import Recipe
from scorecraft.recipes.train import train
train(Recipe(
    policy={"tunnel-tiny": {}}, steps=2, prompts_per_step=2, evaluate={"every": 1, "problems": 4}, epochs=2,
    minibatches=2, kl={"coefficient": 0.1}, objective={"clipped-surrogate": {"entropy_coefficient": 0.01}},
), Path(sys.argv[1]))
from scorecraft.lm import kernels
loops = [loop for loop in vars(kernels).values() if hasattr(loop, "stats") and loop.signatures]
print(json.dumps([sum(sum(getattr(loop.stats, what).values()) for loop in loops)
                  for what in ("cache_hits", "cache_misses")]))
"""


@pytest.mark.parametrize("fresh", [True, False])
def test_a_training_run_compiles_nothing_itself(tmp_path, fresh):
    # What a process has compiled itself may round differently from what it reads from the cache.
    own = {"SCORECRAFT_CACHE": str(tmp_path / "cache"), "NUMBA_CACHE_DIR": str(tmp_path / "numba")} if fresh else {}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path / "run")],
        check=True, capture_output=True, text=True, env={**os.environ, **own},
    )  # fmt: skip
    hits, misses = json.loads(done.stdout.splitlines()[-1])
    assert hits > 0
    assert misses == 0


def test_compiled_loops_use_torchs_threads_and_give_them_back():
    before = torch.get_num_threads()
    with fixed_threads(1):
        assert (torch.get_num_threads(), numba.get_num_threads()) == (1, 1)
    assert torch.get_num_threads() == before
    assert numba.get_num_threads() == min(before, numba.config.NUMBA_NUM_THREADS)
