"""Verdicts on answers whose truth is known by hand: ordinary forms, near misses, and hostile ones."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.verify import Options, Ruling, verify, verify_many

RIGHT = [
    ("#### 1,234", "1234"), ("The answer is 3.50.", "3.5"), ("\\boxed{\\frac{3}{4}}", "0.75"), ("#### 75%", "75"),
    ("so \\boxed{\\frac12}", "1/2"), ("#### $42", "42"), ("the answer is (B)", "B"), ("\\boxed{(1, 2)}", "(1,2)"),
    ("\\boxed{2\\sqrt{3}}", "\\sqrt{12}"), ("\\boxed{x^2-1}", "(x-1)(x+1)"), ("\\boxed{[0,1)}", "[0, 1)"),
    ("#### 6.02e23", "6.02 \\times 10^{23}"), ("\\boxed{-5}", "-5"), ("#### 007", "7"),
    ("\\boxed{\\{1, 2\\}}", "\\{2, 1\\}"), ("\\boxed{y=2x+1}", "y = 1 + 2x"),
]  # fmt: skip
WRONG = [
    ("#### 1,235", "1234"), ("#### -5", "5"), ("\\boxed{\\frac{4}{3}}", "3/4"), ("the answer is (C)", "B"),
    ("\\boxed{(2, 1)}", "(1,2)"), ("\\boxed{[0,1]}", "[0,1)"), ("\\boxed{x^2+1}", "(x-1)(x+1)"),
    ("\\boxed{\\sqrt{12.1}}", "2\\sqrt{3}"), ("#### 12345", "1234"), ("100 or 7 #### 7", "100"),
]  # fmt: skip


@pytest.mark.parametrize(("completion", "truth"), RIGHT)
def test_the_same_value_in_another_form_is_right(completion, truth):
    assert verify(completion, truth).verdict is Ruling.CORRECT


@pytest.mark.parametrize(("completion", "truth"), WRONG)
def test_another_value_is_wrong(completion, truth):
    assert verify(completion, truth).verdict is Ruling.WRONG


@pytest.mark.parametrize(
    "completion",
    [
        "\\boxed{9^{9^{9^{9}}}}", "\\boxed{" + "(" * 100_000 + "}", "#### " + "9" * 100_000, "\x00\x1b[2J#### \x07",
        "\\boxed{__import__('os').system('touch pwned')}", "\\boxed{" + "\\frac{1}{1+" * 2000 + "1" + "}" * 2000 + "}",
        "", "####", "\\boxed{}", "% \\boxed{4}", "<!-- #### 4 -->",
    ],
)  # fmt: skip
def test_hostile_answers_never_score_hang_or_run(completion, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = verify(completion, "4", seconds=2.0)
    assert found.verdict is not Ruling.CORRECT
    assert found.score == 0
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=60))
def test_no_text_raises(text):
    assert verify(f"\\boxed{{{text}", "4", loose=False).verdict in Ruling
    assert verify(text, "17.25", kind="numeric").verdict in Ruling


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_whole_numbers_are_the_same_where_they_are(a, b):
    assert verify(f"#### {a:,}", str(b)).correct == (a == b)


def test_tolerances_are_taken_from_the_true_value():
    assert verify("#### 10.4", "10", absolute=0.5).correct
    assert not verify("#### 10.6", "10", absolute=0.5).correct
    assert verify("#### 101", "100", relative=0.01).correct
    assert not verify("#### 102", "100", relative=0.01).correct


def test_it_works_off_the_main_thread_where_math_verify_itself_raises():
    found = []
    thread = threading.Thread(target=lambda: found.append(verify("\\boxed{\\sin^2 x + \\cos^2 x}", "1")))
    thread.start()
    thread.join()
    assert found[0].verdict in (Ruling.CORRECT, Ruling.WRONG)


def test_what_cannot_be_read_says_why_and_is_no_wrong_answer():
    found = verify("I do not know.", "4", loose=False)
    assert found.verdict is Ruling.UNPARSED
    assert found.reason


def test_mistakes_are_named():
    with pytest.raises(ScorecraftError, match="seconds must be above 0"):
        Options(seconds=0.0)
    with pytest.raises(ScorecraftError, match="1 completions, but 2 true answers"):
        verify_many(["a"], ["b", "c"])
    with pytest.raises(ScorecraftError, match="not a regular expression"):
        verify("a", "(", kind="regex")
    with pytest.raises(ScorecraftError, match="run_code"):
        verify("print(1)", "assert True", kind="code")


def test_importing_it_loads_no_computer_algebra():
    code = "import sys, scorecraft.rewards.verify; print([m for m in ('sympy', 'math_verify') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
