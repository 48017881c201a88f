"""The worker processes: hard limits on time and memory, and use from threads, forks and other processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest

from scorecraft.rewards.verify import Options, Ruling, verify, verify_many
from scorecraft.rewards.verify import front as front_module
from scorecraft.rewards.verify.pool import Job, Pool, Reply, pool

pytest.importorskip("math_verify", reason="math-verify is not installed")

# Asks for hours of backtracking.
SLOW = Job("pattern", "(a+)+b", "a" * 60)
QUICK = Job("pattern", "a+b", "aaab")
HARD = (r"It is $\boxed{\ln 8}$.", r"3\ln 2")


@pytest.fixture
def small():
    own = Pool(2, 512)
    yield own
    own.stop()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_is_used_again_and_again(small):
    assert [reply.same for reply in small.run([QUICK] * 5, 60.0)] == [True] * 5
    assert len(small._all) <= 2
    before = {worker.pid for worker in small._all}
    small.run([QUICK, Job("pattern", "a", "b")], 60.0)
    assert {worker.pid for worker in small._all} <= before | {worker.pid for worker in small._all}
    assert before <= {worker.pid for worker in small._all}


def test_what_takes_too_long_is_killed_and_the_rest_goes_on(small):
    replies = small.run([QUICK, SLOW, QUICK, QUICK], 0.5)
    assert [reply.failure for reply in replies] == ["", "timeout", "", ""]
    assert replies[1].same is None
    assert replies[1].message == "no verdict after 0.5 s"
    assert all(alive(worker.pid) for worker in small._all)


def test_memory_has_a_limit_and_a_used_worker_gets_a_second_try(small):
    # More than 512 MB, which a pattern's repetition asks for at once.
    hungry = Job("pattern", "(" * 3_000_000 + "a" + ")" * 3_000_000, "a")
    small.run([QUICK, QUICK], 60.0)
    (reply,) = small.run([hungry], 60.0)
    assert reply.failure in ("memory", "error")
    assert reply.same is None
    assert [reply.same for reply in small.run([QUICK] * 3, 60.0)] == [True] * 3


def test_a_worker_that_dies_is_replaced(small):
    small.run([QUICK], 60.0)
    (worker,) = small._all
    os.kill(worker.pid, signal.SIGKILL)
    assert small.run([QUICK], 60.0)[0].same is True


def test_the_algebra_system_decides_what_the_fast_path_leaves():
    found = verify(*HARD)
    assert (found.verdict, found.path) == (Ruling.CORRECT, "math-verify")
    assert found.values is not None
    wrong = verify(r"\boxed{\sin(x)\cos(x)}", r"\frac{\sin(2x)}{3}")
    assert wrong.verdict is Ruling.WRONG


def test_equal_questions_are_asked_once_and_remembered(monkeypatch):
    asked = []

    class Counting:
        def run(self, jobs, seconds):
            asked.extend(jobs)
            return [Reply(True, ("a", "b")) for _ in jobs]

    monkeypatch.setattr(front_module, "pool", lambda workers, memory: Counting())
    monkeypatch.setattr(front_module, "_remembered", {})
    pair = (r"\boxed{\ln 125}", r"3\ln 5")
    found = verify_many([pair[0]] * 4, [pair[1]] * 4)
    assert [one.correct for one in found] == [True] * 4
    assert len(asked) == 1
    assert verify(*pair).correct
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("reply", "verdict", "reason"),
    [
        (Reply(failure="timeout", message="no verdict after 5 s"), Ruling.TIMEOUT, "no verdict after 5 s"),
        (Reply(failure="memory", message="more than 9 MB"), Ruling.ERROR, "more than 9 MB"),
        (Reply(failure="error", message="KeyError: 1"), Ruling.ERROR, "KeyError: 1"),
        (Reply(failure="given", message="cannot"), Ruling.UNPARSED, "cannot"),
        (Reply(failure="truth", message="cannot"), Ruling.ERROR, "the true answer: cannot"),
    ],
)
def test_a_failure_is_never_a_silent_wrong(monkeypatch, reply, verdict, reason):
    class Failing:
        def run(self, jobs, seconds):
            return [reply for _ in jobs]

    monkeypatch.setattr(front_module, "pool", lambda workers, memory: Failing())
    monkeypatch.setattr(front_module, "_remembered", {})
    found = verify(*HARD)
    assert (found.verdict, found.reason, found.score) == (verdict, reason, 0.0)
    assert front_module._remembered == {}


def test_regular_expressions_match_the_whole_answer_in_a_worker():
    found = verify(r"\boxed{ab12}", r"[a-z]+\d+", kind="regex")
    assert (found.verdict, found.path) == (Ruling.CORRECT, "worker")
    assert verify(r"\boxed{ab12!}", r"[a-z]+\d+", kind="regex").verdict is Ruling.WRONG
    assert verify("a" * 60, "(a+)+b", kind="regex", seconds=0.5).verdict is Ruling.TIMEOUT


def test_threads_share_the_workers():
    results: list[bool] = []

    def work() -> None:
        results.append(verify(*HARD).correct)

    front_module._remembered.clear()
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 6
    assert len(pool(2, 1024)._all) <= 2


# A spawned process imports its script again, so the script is a file of its own.
IN_ANOTHER_PROCESS = r"""
import json
import multiprocessing
import sys

from scorecraft.rewards.verify import front
from scorecraft.rewards.verify.pool import pool


def work(answers):
    front._remembered.clear()
    correct = front.verify(r"It is $\boxed{\ln 8}$.", r"3\ln 2").correct
    answers.put((correct, [worker.pid for worker in pool(2, 1024)._all]))


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    answers = context.SimpleQueue()
    work(answers)
    here = answers.get()
    # A daemon may have no children by `multiprocessing`; ours are none of its.
    process = context.Process(target=work, args=(answers,), daemon=True)
    process.start()
    process.join()
    print(json.dumps([here, answers.get()]))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_each_process_has_workers_of_its_own(method, tmp_path):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    script = tmp_path / "script.py"
    script.write_text(IN_ANOTHER_PROCESS, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script), method], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (correct, workers), (correct_there, workers_there) = json.loads(done.stdout)
    assert correct
    assert correct_there
    assert workers
    assert workers_there
    assert not set(workers) & set(workers_there)


def test_the_module_loads_no_algebra_system_and_the_fast_path_none_either():
    program = (
        "import sys\n"
        "from scorecraft.rewards.verify import verify\n"
        "assert verify('so \\\\boxed{\\\\frac{1}{2}}', '0.5').correct\n"
        "print(sorted({'sympy', 'math_verify', 'latex2sympy2_extended'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_options_reach_the_pool(monkeypatch):
    made = []

    class Recording:
        def run(self, jobs, seconds):
            made.append(seconds)
            return [Reply(True) for _ in jobs]

    def recording(workers, memory):
        made.append((workers, memory))
        return Recording()

    monkeypatch.setattr(front_module, "pool", recording)
    monkeypatch.setattr(front_module, "_remembered", {})
    verify_many([HARD[0]], [HARD[1]], Options(workers=3, memory_mb=600, seconds=7.0))
    assert made == [(3, 600), 7.0]
