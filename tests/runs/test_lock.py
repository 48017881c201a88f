"""One writer at a time; a dead one is no obstacle."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.runs.lock import exclusive

HOLD = """
import sys, time
from pathlib import Path
from scorecraft.runs.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def start_holder(path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_process_is_told_the_pid_of_the_first_and_may_go_on_after_its_death(tmp_path):
    holder = start_holder(tmp_path / ".lock")
    try:
        with (
            pytest.raises(ScorecraftError, match=rf"process {holder.pid} is writing this run"),
            exclusive(tmp_path / ".lock"),
        ):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with exclusive(tmp_path / ".lock"):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_the_same_process_cannot_take_it_twice(tmp_path):
    with (
        exclusive(tmp_path / ".lock"),
        pytest.raises(ScorecraftError, match=str(os.getpid())),
        exclusive(tmp_path / ".lock"),
    ):
        pass
    with exclusive(tmp_path / ".lock"):
        pass


def test_the_lock_is_given_back_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path / ".lock"):
        _ = 1 / 0
    with exclusive(tmp_path / ".lock"):
        pass


FORK_AND_DIE = """
import os, sys, time
from pathlib import Path
from scorecraft.runs.lock import exclusive
with exclusive(Path(sys.argv[1])):
    child = os.fork()
    if child == 0:
        time.sleep(600)
    print(child, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_a_forked_worker_that_outlives_a_killed_run_does_not_keep_its_lock(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", FORK_AND_DIE, str(tmp_path / ".lock")], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    try:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        os.kill(child, 0)
        for _ in range(200):  # The child closes its copy just after the fork, which may be a moment from now.
            try:
                with exclusive(tmp_path / ".lock"):
                    break
            except ScorecraftError:
                time.sleep(0.05)
        else:
            pytest.fail("the worker still holds the lock")
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()
