"""The worker process: used again, limited in time and memory, replaced where it ends, and quiet."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.sampling.tool_worker import ToolWorker, shared_worker, stop_workers
from scorecraft.sampling.toolbox import ToolBox

TOOLS = str(Path(__file__).with_name("tool_file.py"))
NAMES = (
    "add", "echo", "fail", "process", "hang", "spin", "alarm", "hungry", "die", "leave", "noisy", "long", "later",
)  # fmt: skip


@pytest.fixture(scope="module")
def patient():
    """A worker whose calls have time even where the machine is busy."""
    with ToolWorker(TOOLS, NAMES, seconds=60.0, memory_mb=512) as worker:
        yield worker


@pytest.fixture
def hurried():
    with ToolWorker(TOOLS, NAMES, seconds=1.0, memory_mb=512) as worker:
        yield worker


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and was not asked for its end by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(*pids: int) -> bool:
    for _ in range(500):
        if not any(map(alive, pids)):
            return True
        time.sleep(0.01)
    return False


def run(worker, name, longest=500, **arguments):
    return worker.run(name, arguments, longest)


def test_the_tools_are_known_by_their_signatures(patient):
    spec = patient.tools["add"]
    assert (spec.name, spec.description, spec.schema["required"]) == ("add", "Add two integers.", ["a"])
    assert set(patient.tools) == set(NAMES)


def test_calls_share_one_process(patient):
    assert run(patient, "add", a=1).text == "11"
    first = run(patient, "process").text
    assert (first, first) == (run(patient, "process").text, str(patient.pid))
    assert int(first) != os.getpid()
    assert run(patient, "later", number=7).text == "7"
    assert run(patient, "echo", text="ä\n\u2028\x00🛠").text == "ä\n\u2028\x00🛠"


def test_a_box_over_it_answers_every_mistake_and_goes_on(patient):
    box = ToolBox(patient.tools, patient.run)
    before = patient.pid
    for body, outcome in (
        ('{"name": "add", "arguments": {"a": "1"}}', "bad-arguments"),
        ('{"name": "not_a_function"}', "unknown-tool"),
        ('{"name": "fail", "arguments": {"text": "luck"}}', "raised"),
        ('{"name": "leave"}', "raised"),
        ('{"name": "add"', "malformed"),
        ('{"name": "add", "arguments": {"a": 1}}', "ok"),
    ):
        done = box.call(f"<tool_call>{body}</tool_call>")
        assert done.outcome == outcome
        assert done.text.startswith("error: ") == (outcome != "ok")
    assert patient.pid == before


def test_a_hanging_call_is_killed_and_the_next_gets_a_new_process(hurried):
    first = int(run(hurried, "process").text)
    started = time.monotonic()
    done = run(hurried, "hang")
    assert time.monotonic() - started >= 1.0
    assert (done.outcome, done.text) == (
        "timeout", "error: 'hang' took longer than 1 s and was stopped; ask for less",
    )  # fmt: skip
    assert gone(first)
    assert hurried.pid is None
    assert run(hurried, "add", a=1).text == "11"
    assert hurried.pid not in (None, first)


def test_what_ignores_signals_and_what_it_started_end_too(hurried, tmp_path):
    assert run(hurried, "spin", path=str(tmp_path / "pids")).outcome == "timeout"
    own, child = map(int, (tmp_path / "pids").read_text().split())
    assert own != child
    assert gone(own, child)


ORPHAN = """
import sys
from scorecraft.sampling.tool_worker import ToolWorker
worker = ToolWorker(sys.argv[1], ["alarm", "hang"], seconds=0.5, memory_mb=512)
assert worker.run("alarm", {}, 99).text == "set"
print(worker.pid, flush=True)
worker._sent({"name": "hang", "arguments": "{}", "seconds": 0.5, "max_characters": 99}).receive(60)
"""


def test_a_call_ends_where_nobody_is_left_to_end_it():
    with subprocess.Popen([sys.executable, "-c", ORPHAN, TOOLS], stdout=subprocess.PIPE, text=True) as client:
        pid = int(client.stdout.readline())
        assert alive(pid)
        client.kill()
    assert gone(pid)


def test_memory_has_a_limit(hurried):
    run(hurried, "add", a=1)
    first = hurried.pid
    done = run(hurried, "hungry")
    assert (done.outcome, done.text) == (
        "raised", "error: 'hungry' ran out of its 512 MB of memory and was stopped; ask for less",
    )  # fmt: skip
    assert gone(first)
    assert run(hurried, "add", a=1).text == "11"


def test_a_process_that_ends_is_replaced(patient):
    done = run(patient, "die")
    assert (done.outcome, done.text) == ("raised", "error: the process of 'die' ended before it answered")
    assert run(patient, "add", a=1).text == "11"
    # Between two calls.
    before = patient.pid
    os.kill(before, signal.SIGKILL)
    assert gone(before)
    assert run(patient, "add", a=2).text == "12"
    assert patient.pid != before


def test_what_a_tool_prints_reads_or_leaves_behind_disturbs_nothing(patient):
    assert run(patient, "noisy", count=300_000).text == "read ''"
    assert run(patient, "alarm").text == "set"
    before = patient.pid
    time.sleep(1.1)
    assert run(patient, "add", a=3).text == "13"
    assert patient.pid == before


def test_long_texts_pass_and_results_are_cut_in_the_process(patient):
    text = "ä" * 1_000_000
    assert run(patient, "echo", longest=2_000_000, text=text).text == text
    assert run(patient, "long", longest=100, count=10**8).text == "x" * 62 + "... (cut, 100000000 characters in all)"


def test_an_interrupt_leaves_no_reply_for_the_next_call(hurried, monkeypatch):
    run(hurried, "add", a=1)

    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(hurried._process, "receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(hurried, "add", a=1)
    assert run(hurried, "add", a=2).text == "12"


def test_a_given_schema_is_used():
    pytest.importorskip("jsonschema")
    schema = {"type": "object", "properties": {"a": {"type": "integer", "maximum": 5}}, "required": ["a"]}
    with ToolWorker(TOOLS, ["add"], {"add": schema}, seconds=60.0) as worker:
        assert dict(worker.tools["add"].schema) == schema
        assert run(worker, "add", a=5).text == "15"
        assert "a: 6 is greater than the maximum of 5" in run(worker, "add", a=6).text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def ad(a: int): ...", "has no function 'add'; did you mean 'ad'"),
        ("x = 1\n1 / 0", r"cannot be run: ZeroDivisionError: division by zero \(line 2\)"),
        ("def add(:", "cannot be run: SyntaxError"),
        ("import sys; sys.exit(1)", "cannot be run: SystemExit: 1"),
        ("import os; os._exit(1)", "ended before it was loaded; memory_mb 512 may be too little"),
        ("x = bytearray(10**10)", "cannot be run: MemoryError"),
        ("def add(*a): ...", "tool 'add': .* cannot be given by name"),
    ],
)
def test_a_file_that_gives_no_tools_is_named(tmp_path, source, message):
    file = tmp_path / "mine.py"
    file.write_text(source)
    worker = ToolWorker(str(file), ["add"], memory_mb=512)
    with pytest.raises(ScorecraftError, match=message):
        _ = worker.tools
    assert worker.pid is None


def test_what_is_wrong_before_the_file_is_run(tmp_path):
    with pytest.raises(ScorecraftError, match=r"no file '.*none\.py'; expected a Python file that holds 'add', 'sub'"):
        ToolWorker(str(tmp_path / "none.py"), ["add", "sub"])
    with pytest.raises(ScorecraftError, match="a schema is given for 'sub'"):
        ToolWorker(TOOLS, ["add"], {"sub": {}})
    (tmp_path / "text.txt").write_text("def add(): ...")
    with pytest.raises(ScorecraftError, match="not a Python file"):
        _ = ToolWorker(str(tmp_path / "text.txt"), ["add"]).tools


def shared(path):
    return shared_worker(str(path), ["add"], {}, seconds=60.0, memory_mb=512)


def test_a_shared_worker_lasts_until_its_file_changes(tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    shutil.copy(TOOLS, file)
    first = shared(file)
    monkeypatch.chdir(tmp_path)
    assert shared("mine.py") is first
    assert run(first, "add", a=1).text == "11"
    pid = first.pid
    file.write_text("def add(a: int): return -a")
    os.utime(file, ns=(1, 1))
    second = shared(file)
    assert second is not first
    assert gone(pid)
    assert run(second, "add", a=1).text == "-1"
    pid = second.pid
    stop_workers()
    assert gone(pid)


def in_a_fork(path, results):
    worker = shared(path)
    results.put((run(worker, "add", a=1).text, worker.pid))
    worker.stop()


def test_a_fork_has_a_worker_of_its_own():
    worker = shared(TOOLS)
    run(worker, "add", a=1)
    processes = multiprocessing.get_context("fork")
    results = processes.SimpleQueue()
    child = processes.Process(target=in_a_fork, args=(TOOLS, results))
    child.start()
    text, pid = results.get()
    child.join()
    assert text == "11"
    assert pid != worker.pid
    assert run(worker, "add", a=2).text == "12"
