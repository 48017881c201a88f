"""Programs against tests: only when asked for, without network, files or processes, and with no way to forge a pass."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.verify import Options, Ruling, program_process, verify, verify_many

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "aarch64"),
    reason="programs run on Linux only",
)
SQUARE = "assert square(2) == 4\nassert square(-3) == 9"
DOUBLE = {"inputs": ["2\n", "5\n"], "outputs": ["4\n", "10"]}
RIGHT = "def square(x):\n    return x * x"


def run(program: str, tests=SQUARE, **options):
    return verify(f"Here it is:\n```python\n{program}\n```\n", tests, kind="code", run_code=True, **options)


def test_right_and_wrong():
    right = run(RIGHT)
    assert (right.verdict, right.score, right.path) == (Ruling.CORRECT, 1.0, "program")
    wrong = run("def square(x):\n    return x + x")
    assert (wrong.verdict, wrong.reason) == (Ruling.WRONG, "AssertionError")
    assert run("def cube(x):\n    return x").reason == "NameError: name 'square' is not defined"
    assert run("import nothing_of_the_kind").reason.startswith("ModuleNotFoundError: No module named")


def test_inputs_and_outputs_are_compared_outside():
    assert run("print(int(input()) * 2)", DOUBLE).correct
    assert run("import sys\nprint(int(input()) * 2)\nsys.exit(0)", DOUBLE).correct
    one_right = run("print(4)", DOUBLE)
    assert (one_right.verdict, one_right.reason) == (Ruling.WRONG, "test 2 of 2: another output than expected")
    crashed = run("print(int(input()) * 2, flush=True)\n1 / 0", DOUBLE)
    assert crashed.reason == "test 1 of 2: ZeroDivisionError: division by zero"
    assert run("print(int(input()) * 2, flush=True)\nimport os\nos._exit(3)", DOUBLE).verdict is Ruling.WRONG


# What each program means to do is in its name; none may pass, and none may stop the run.
EVERYWHERE = (
    "import os\nfor place in range(30):\n    try:\n        os.write(place, {})\n    except OSError:\n        pass\n"
)
FRAMES = "import sys\nframe = sys._getframe()\nwhile frame:\n    {}\n    frame = frame.f_back\n"
EVIL = "class Evil{}:\n    {}\ndef square(x):\n    return Evil()"
ALWAYS = "def __eq__(self, other): return True"
FORGERIES = {
    "print what success looks like": "print('{\"passed\": true}')\nprint('OK')",
    "leave with sys.exit": "import sys\nsys.exit(0)",
    "leave with os._exit": "import os\nos._exit(0)",
    "leave with SystemExit": "raise SystemExit",
    "leave with exit": "exit()",
    "leave when called": "import os\ndef square(x):\n    os._exit(0)",
    "exit when called": "def square(x):\n    raise SystemExit(0)",
    "stop the iteration": "def square(x):\n    raise StopIteration",
    "write a report everywhere": EVERYWHERE.format("b'{\"passed\": true}\\n'") + "os._exit(0)",
    "write a report and stay": EVERYWHERE.format("b'{\"passed\": true}\\n'") + "def square(x): return 1",
    "say that the machine refuses": EVERYWHERE.format("b'{\"refused\": \"no\"}\\n'") + "os._exit(0)",
    "answer before it is asked": EVERYWHERE.format("b'{\"value\": 4, \"state\": []}\\n' * 9") + "os._exit(0)",
    "send what is no message": EVERYWHERE.format("b'[[[\\n'"),
    "ask for what the tests have": EVERYWHERE.format(
        'b\'{"do": "get", "on": {"module": "os"}, "args": ["_exit"], "kwargs": {}}\\n\''
    ),
    "have the tests call something": EVERYWHERE.format(
        'b\'{"do": "call", "on": {"builtin": "exit"}, "args": [0], "kwargs": {}}\\n\''
    ),
    "empty the tests in a frame": FRAMES.format("frame.f_locals.get('request', {}).update(source='', tests='')"),
    "look for the tests in the frames": FRAMES.format("assert 'square(2)' in repr(frame.f_locals)"),
    "look for the tests in memory": "import gc\n"
    "found = [one for one in gc.get_objects() if type(one) is dict and 'square(-' + '3)' in str(one)[:9999]]\n"
    "def square(x):\n    return x * x if found else None",
    "replace compile": "import builtins\nbuiltins.compile = lambda *_, **__: 'pass'",
    "replace exec": "import builtins\nbuiltins.exec = lambda *_, **__: None",
    "replace AssertionError": "import builtins\nbuiltins.AssertionError = type('A', (), {})\ndef square(x): return 1",
    "replace the comparison": "import operator\noperator.eq = lambda *_: True\ndef square(x): return object()",
    "replace json": "import json\njson.dumps = lambda *_, **__: '{\"passed\": true}'\ndef square(x): return 1",
    "replace the runner": "import sys\nsys.modules['__main__']._tell = print\nsys.modules['builtins'].print = None",
    "skip lines with a trace": "import sys\ndef trace(frame, event, _):\n"
    "    if frame.f_code.co_filename == '<tests>':\n        frame.f_lineno = 2\n    return trace\n"
    "sys.settrace(trace)\ndef square(x): return 9",
    "swallow errors": "import sys\nsys.excepthook = lambda *_: None\ndef square(x): return 1",
    "leave at exit": "import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit",
    "leave in a thread": "import os, threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.05), os._exit(0))).start()\ntime.sleep(9)",
    "equal everything": EVIL.format("", f"__hash__ = object.__hash__\n    {ALWAYS}"),
    "equal everything as a number": EVIL.format("(int)", ALWAYS),
    "equal everything as a decimal": EVIL.format("(float)", ALWAYS),
    "be unequal to nothing": EVIL.format("", "def __ne__(self, other): return False"),
    "be a mock": "from unittest.mock import ANY\ndef square(x):\n    return ANY",
    "be a class that equals": "class square:\n    def __init__(self, x): pass\n    __eq__ = lambda *_: True",
    "fork without end": "import os\nwhile True:\n    os.fork()",
    "close everything": "import os\nos.closerange(0, 64)",
    "return what has no end": "import itertools\ndef square(x):\n    return itertools.count()",
    "return what holds itself": "def square(x):\n    made = []\n    made.append(made)\n    return made",
    "return what is nested deeply": "def square(x):\n    made = []\n    for _ in range(50_000):\n"
    "        made = [made]\n    return made",
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forgery_passes(name):
    # Forgeries that define a function have nothing to say where only the output counts.
    for tests in (SQUARE,) if "def square" in FORGERIES[name] else (SQUARE, DOUBLE):
        found = run(FORGERIES[name], tests, seconds=3.0, memory_mb=512)
        assert found.verdict in (Ruling.WRONG, Ruling.TIMEOUT), found
        assert found.score == 0.0
        assert found.reason


@pytest.mark.parametrize(
    ("tests", "evil"),
    [
        ("assert all(square(n) == n * n for n in range(5))", "all = lambda _: True"),
        ("assert isinstance(square(2), int) and square(2) == 4", "isinstance = lambda *_: True"),
        ("assert len(square(2)) == 4", "len = lambda _: 4"),
        ("assert sorted(square(2)) == [4]", "sorted = lambda _: [4]"),
        ("assert abs(square(2) - 4) < 1e-9", "abs = lambda _: 0"),
        ("assert 4 - square(2) == 0", ""),
        ("assert square(2) / 4 == 1", ""),
        ("assert square(2) in (4, 5)", ""),
        ("assert [square(2)] == [4]", ""),
        ("assert {'a': square(2)} == {'a': 4}", ""),
        ("assert max(square(2), 4) == 4 and not square(2) != 4", ""),
        ("assert square(2) <= 4 and square(2) >= 4", ""),
        ("assert math.isclose(square(2), 4)", "class math:\n    isclose = lambda *_: True"),
        ("import math\nassert math.isclose(square(2), 4)", "class math:\n    isclose = lambda *_: True"),
        ("assert round(square(2), 2) == 4.0", ""),
        ("assert float(square(2)) == 4.0", ""),
        ("def check(candidate):\n    assert candidate(2) == 4\ncheck(square)", "check = lambda candidate: None"),
        ("try:\n    square('a')\nexcept ValueError:\n    pass\nelse:\n    assert False", "ValueError = Exception"),
        ("for n in square(2): pass\nassert n == 4", ""),
    ],
)
def test_no_object_and_no_name_of_the_program_decides(tests, evil):
    true = ("eq", "lt", "le", "gt", "ge", "contains", "bool", "instancecheck")
    zero = ("sub", "rsub", "abs", "int", "index", "round", "len", "hash")
    body = [f"    def __{name}__(self, *_): return True" for name in true]
    body += [f"    def __{name}__(self, *_): return 0" for name in zero]
    body += ["    def __truediv__(self, _): return 1", "    def __float__(self): return 4.0"]
    body += ["    def __ne__(self, *_): return False", "    def __iter__(self): return iter([self])"]
    everything = "\n".join(["class Everything:", *body, "def square(x):", "    return Everything()", evil])
    assert run(everything, tests).verdict is Ruling.WRONG


def test_nothing_of_the_tests_is_within_reach_of_their_functions():
    tests = "secret = 42\nassert guess(lambda x: x + 1) == secret"
    assert run("def guess(f):\n    return f(41)", tests).correct
    for reach in ("f.__globals__['secret']", "f.__code__.co_consts[0]", "f.__class__", "f.__call__.__self__"):
        assert run(f"def guess(f):\n    return {reach}", tests).verdict is Ruling.WRONG
    assert "not for the program" in run("def guess(f):\n    return f.__globals__['secret']", tests).reason


NOT_ALLOWED = [
    "import socket\nsocket.socket()",
    "import socket\nsocket.socketpair()",
    "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:1')",
    "import subprocess\nsubprocess.run(['true'])",
    "import os\nos.fork()",
    "import os\nos.kill(os.getppid(), 9)",
    "import os\nos.execv('/bin/true', ['true'])",
    "open('here.txt', 'w')",
    "open('here.txt', 'a')",
    "import os\nos.open('here.txt', os.O_RDONLY | os.O_CREAT)",
    "import os\nos.unlink('here.txt')",
    "import os\nos.mkdir('here')",
    "import os\nos.rename('a', 'b')",
    "import os\nos.truncate('/etc/hostname', 0)",
    "import os\nos.chmod('.', 0)",
    "import os\nos.symlink('a', 'b')",
    "import fcntl, os\nfcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
    "import os\nos.listdir('/proc/self/fd')",
    "import ctypes\nlibrary = ctypes.CDLL(None, use_errno=True)\nassert library.socket(2, 1, 0) >= 0",
    "import ctypes\nlibrary = ctypes.CDLL(None, use_errno=True)\nassert library.ptrace(0, 0, 0, 0) == 0",
    "import ctypes\nlibrary = ctypes.CDLL(None, use_errno=True)\nassert library.unshare(0x10000000) == 0",
]
TRY = """
def said(act):
    try:
        exec(act, {})
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "done"
"""


def test_what_is_not_allowed_fails():
    tests = f"""
refused = "not permitted", "Permission denied", "AssertionError"
for act in {NOT_ALLOWED!r}:
    assert any(words in said(act) for words in refused), act
assert said("import os; os.getpid()") == "done"
"""
    found = run(TRY, tests)
    assert found.correct, found.reason


def test_files_and_the_environment_of_others_are_out_of_sight(tmp_path, monkeypatch):
    monkeypatch.setenv("A_TOKEN", "secret")
    answers = tmp_path / "answers.json"
    answers.write_text("4", encoding="utf-8")
    for path in (str(answers), f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/mem", "/etc/passwd", __file__):
        found = run(f"open({path!r}, 'rb').read(1)\n{RIGHT}")
        assert (found.verdict, found.reason.partition(":")[0]) == (Ruling.WRONG, "PermissionError")
    own = "import os\ndef own(): return 'A_TOKEN' in os.environ, os.listdir('.')"
    assert run(own, "assert own() == (False, [])").correct


def test_what_programs_need_is_there():
    useful = (
        "import math, json, random, itertools, collections, threading, time, decimal, zoneinfo, os\n"
        "found = []\nthread = threading.Thread(target=lambda: found.append(1))\nthread.start()\nthread.join()\n"
        "time.sleep(0.01)\nassert found == [1] and random.random() < 1 and os.cpu_count()\n"
        "if __name__ == '__main__':\n    def square(x):\n        return x ** 2"
    )
    assert run(useful).correct
    assert run("import numpy as np\ndef square(x):\n    return np.int64(x) ** 2").correct


USES = {
    "in place": ("def reverse(x):\n    x.reverse()", "x = [[1], 2]\nreverse(x)\nassert x == [2, [1]]"),
    "in place, further down": (
        "def put(x):\n    x['a'][0].add(5)\n    return x",
        "inner = {1}\nouter = {'a': (inner, 2)}\nassert put(outer) is outer and inner == {1, 5} == outer['a'][0]",
    ),
    "values": (
        "def same(*values, **named):\n    return values, named",
        "import fractions, decimal, datetime, collections\n"
        "values = (None, True, 2 ** 2000, -1.5, 1j, 'a\\ud800', b'b', [1], (2,), {3}, frozenset({4}), range(5),\n"
        "    fractions.Fraction(1, 3), decimal.Decimal('0.1'), datetime.date(2020, 2, 29), collections.deque([1]),\n"
        "    collections.Counter('aab'), float('inf'), {(1, 2): [3]}, int, len, ValueError)\n"
        "back, named = same(*values, key=[0])\n"
        "assert back == values and list(map(type, back)) == list(map(type, values)) and named == {'key': [0]}",
    ),
    "classes": (
        "class Stack:\n    made = 0\n    def __init__(self): self.items = []; Stack.made += 1\n"
        "    def push(self, x): self.items.append(x); return self\n    def __len__(self): return len(self.items)\n"
        "    def __getitem__(self, n): return self.items[n]\n    def __contains__(self, x): return x in self.items\n"
        "    def __eq__(self, other): return self.items == other.items\n"
        "    def __iter__(self): return iter(self.items)\n"
        "    def __add__(self, other):\n        both = Stack()\n        both.items = self.items + other.items\n"
        "        return both\n    def __enter__(self): return self\n    def __exit__(self, *_): self.items.clear()\n"
        "    def __str__(self): return 'stack'\n",
        "s = Stack()\ns.push(1).push([2])\nassert len(s) == 2 and s[1] == [2] and 1 in s and 3 not in s and s\n"
        "assert s.items == [1, [2]] and list(s) == [1, [2]] and Stack.made == 1 and isinstance(s, Stack)\n"
        "t = Stack()\nassert not t and t != s and s + t == s and str(s) == 'stack' and not isinstance(1, Stack)\n"
        "t.items = [5]\nassert t[0] == 5\nwith t as u:\n    assert u[0] == 5\nassert len(t) == 0",
    ),
    "errors": (
        "class Bad(ValueError): pass\nclass Worse(Bad): pass\n"
        "def fail(n):\n    if n == 1: raise KeyError('k')\n    if n == 2: raise Worse('w', 3)\n    return [][0]",
        "wanted = (1, KeyError, ('k',)), (2, Bad, ('w', 3)), (2, ValueError, ('w', 3)), (3, IndexError, 0)\n"
        "for n, kind, args in wanted:\n"
        "    try:\n        fail(n)\n    except kind as error:\n        assert args == 0 or error.args == args\n"
        "    else:\n        assert False\nassert issubclass(Worse, Bad)",
    ),
    "functions as arguments": (
        "def apply(f, x, key=None):\n    return sorted((f(one) for one in x), key=key)",
        "total = []\nassert apply(lambda n: total.append(n) or -n, [1, 2], key=abs) == [-1, -2] and total == [1, 2]\n"
        "assert apply(str, [2, 1]) == ['1', '2'] and apply(f=lambda n: n, x=[2, 1]) == [1, 2]",
    ),
    "errors of functions that are arguments": (
        "def safe(f):\n    try:\n        return f()\n    except ZeroDivisionError:\n        return 'zero'",
        "assert safe(lambda: 1 / 0) == 'zero'",
    ),
    "objects as arguments": (
        "def depth(node):\n    return 0 if node is None else 1 + max(depth(node.left), depth(node.right))\n"
        "def swap(node):\n    node.left, node.right = node.right, node.left\n    return node",
        "class Node:\n    def __init__(self, left=None, right=None): self.left, self.right = left, right\n"
        "tree = Node(Node(), Node(Node()))\nleft = tree.left\nassert depth(tree) == 3\n"
        "assert swap(tree) is tree and tree.right is left",
    ),
    "generators": (
        "def count():\n    n = 0\n    while True:\n        yield n\n        n += 1\n"
        "def total(values):\n    return sum(values)",
        "import itertools\nassert list(itertools.islice(count(), 3)) == [0, 1, 2]\n"
        "assert total(n for n in range(4)) == 6 and next(count()) == 0",
    ),
    "kinds of plain values": (
        "from collections import namedtuple, defaultdict\nfrom enum import IntEnum\n"
        "Point = namedtuple('Point', 'x y')\n"
        "class Color(IntEnum):\n    RED = 3\nclass Length(float): pass\n"
        "def point(): return Point(1, 2)\ndef counts():\n    d = defaultdict(int)\n    d['a'] += 1\n    return d\n"
        "def length(): return Length(2.5)",
        "import math\nassert point() == (1, 2) and (1, 2) == point() and point().y == 2 and point() != (2, 1)\n"
        "assert counts() == {'a': 1} and Color.RED == 3 and Color.RED is not None\n"
        "assert math.isclose(length(), 2.5) and abs(length() - 2.4) < 0.2 and round(length() * 2) == 5\n"
        "assert 2 < length() < 3 and point() in [(1, 2)] and {point(): 1}[(1, 2)] == 1 and f'{length()}' == '2.5'",
    ),
    "arrays": (
        "import numpy as np\ndef ones(n): return np.ones(n)\ndef mean(x): return np.mean(x)",
        "import numpy as np\nassert np.array_equal(ones(3), [1, 1, 1]) and ones(2).shape == (2,)\n"
        "assert mean(np.array([1.0, 2.0])) == 1.5",
    ),
    "variables": (
        "LIMIT = 5\ncalls = []\ndef call(): calls.append(1)",
        "assert LIMIT == 5 and calls == []\ncall()\nassert calls == [1]\n"
        "def inner():\n    return LIMIT + 1\nassert inner() == 6",
    ),
    "checks": (RIGHT, "def check(candidate):\n    assert candidate(3) == 9\ncheck(square)"),
    "libraries that only the program imports": (
        "import math as m\ndef root(x): return m.sqrt(x)",
        "assert m.isclose(root(2) ** 2, 2) and math.isclose(root(4), 2)",
    ),
    "data classes": (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass P:\n    x: int = 1",
        "assert P(2) == P(2) and P(2) != P() and P(2).x == 2 and len({P(1), P()}) == 1 and P(2) != 2",
    ),
    "what is printed": ("def say():\n    print('hello')", "say()"),
}  # fmt: skip


@pytest.mark.parametrize("name", USES)
def test_tests_use_what_the_program_defines_as_if_it_were_theirs(name):
    program, tests = USES[name]
    found = run(program, tests)
    assert found.correct, found.reason


def test_tests_run_to_their_end():
    program, tests = "\n".join(USES[name][0] for name in USES if name != "data classes"), USES["errors"][1]
    assert run(program, f"{tests}\nassert False, 'at the end'").reason == "AssertionError: at the end"
    assert run(program, f"{tests}\nraise SystemExit(0)").reason == "SystemExit: 0"


def test_a_name_of_a_builtin_is_the_builtin():
    assert run("def sum(a, b):\n    return a + b", "assert sum(10, 15) == 25").reason.startswith("TypeError")
    assert run("def sum(a):\n    return 0", "assert sum([1, 2]) == 3").correct


def test_limits():
    assert run("while True:\n    pass", seconds=0.5).verdict is Ruling.TIMEOUT
    assert run("import time\ntime.sleep(60)", seconds=0.5).verdict is Ruling.TIMEOUT
    assert run("import time\ntime.sleep(60)", DOUBLE, seconds=0.5).verdict is Ruling.TIMEOUT
    assert run("def square(x):\n    while True: pass", seconds=0.5).verdict is Ruling.TIMEOUT
    assert run("numbers = [0] * 10 ** 10", memory_mb=512).reason == "MemoryError"
    assert run("numbers = [0] * 10 ** 10", DOUBLE, memory_mb=512).reason == "test 1 of 2: MemoryError"
    assert "MemoryError" in run("def square(x):\n    return 'x' * 10 ** 9", memory_mb=512).reason
    flood = run("while True:\n    print('x' * 1000)", DOUBLE)
    assert flood.verdict is Ruling.WRONG
    assert "bytes of output" in flood.reason
    assert run("print('x' * 2_000_000)", DOUBLE).reason == "test 1 of 2: more than 1048576 bytes of output"


def test_threads_are_bounded_by_memory():
    start = "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    found = run(f"import threading, time\nwhile True:\n    {start}", seconds=3.0, memory_mb=512)
    assert found.verdict in (Ruling.WRONG, Ruling.TIMEOUT)


def test_no_process_is_left_behind():
    def children() -> set[str]:
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                status = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            if int(status[1]) == os.getpid():
                found.add(folder.name)
        return found

    before = children()
    for program in (RIGHT, "import os\nos._exit(0)", "while True: pass", "def f(:"):
        for tests in (SQUARE, DOUBLE):
            run(program, tests, seconds=0.3)
    assert children() <= before


def test_what_is_no_program_is_unparsed():
    assert verify("I cannot.", SQUARE, kind="code", run_code=True).verdict is Ruling.UNPARSED
    for tests in (SQUARE, DOUBLE):
        found = run("def square(", tests)
        assert (found.verdict, found.reason) == (Ruling.UNPARSED, "no Python program (SyntaxError)")
    assert run("\x00").verdict is Ruling.UNPARSED
    # The line that ends the last statement, and the one before the fence.
    assert run("x = 1\n" * 30_000).reason == "a program of 180001 characters"


@pytest.mark.parametrize(
    "source", ["(" * 90_000, "-" * 90_000 + "1", "a" + ".b" * 40_000, "[" * 90 + "]" * 90, "'\ud800'", "9" * 90_000]
)
def test_what_no_compiler_takes_stops_nothing(source):
    found = run(source)
    assert found.verdict in (Ruling.UNPARSED, Ruling.WRONG)
    assert found.reason


def test_many_at_once_keep_their_order():
    programs = [f"```python\ndef square(x):\n    return {body}\n```" for body in ("x * x", "x", "x ** 2", "-x")]
    found = verify_many(programs, [SQUARE] * 4, Options(kind="code", run_code=True))
    assert [one.correct for one in found] == [True, False, True, False]


@pytest.mark.parametrize(
    "tests", ["", "assert (", 5, {"inputs": ["1"], "outputs": []}, {"inputs": [1], "outputs": ["1"]}, {}]
)
def test_bad_tests_are_named(tests):
    with pytest.raises(ScorecraftError, match="tests"):
        run("x = 1", tests)


@pytest.mark.parametrize("tests", [SQUARE, DOUBLE])
def test_a_machine_that_cannot_isolate_is_an_error_of_its_own(tests, tmp_path, monkeypatch):
    folder = Path(program_process.__file__).parent
    for name in ("program_runner.py", "sandbox.py", "exchange.py"):
        (tmp_path / name).write_text((folder / name).read_text(encoding="utf-8"), encoding="utf-8")
    with (tmp_path / "sandbox.py").open("a", encoding="utf-8") as file:
        file.write("\n_CREATE_RULE_SET = 9999  # a kernel without Landlock\n")
    monkeypatch.setattr(program_process, "_RUNNER", tmp_path / "program_runner.py")
    with pytest.raises(ScorecraftError, match="cannot be run safely here: the kernel has no Landlock"):
        run(RIGHT, tests)


def test_a_machine_that_is_too_busy_to_start_gives_an_error(monkeypatch):
    monkeypatch.setattr(program_process, "START_SECONDS", 0.0)
    found = run(RIGHT)
    assert (found.verdict, found.reason) == (Ruling.ERROR, "no process for it started in 0 s")
