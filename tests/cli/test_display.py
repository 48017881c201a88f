from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from scorecraft.cli.display import JsonDisplay, LiveDisplay, PlainDisplay, QuietDisplay, choose_display
from scorecraft.recipes.display import TrainingSummary
from scorecraft.recipes.recipe import Recipe

BEFORE = {"step": 0, "accuracy": 0.33, "accuracy_low": 0.275, "accuracy_high": 0.39, "length": 20.0, "problems": 256.0}
AFTER = {"step": 40, "accuracy": 0.61, "accuracy_low": 0.549, "accuracy_high": 0.668, "length": 24.5, "problems": 256.0}
SUMMARY = TrainingSummary(Path("runs/x"), 40, 140.0, BEFORE, AFTER, {"reward": 0.66}, Path("runs/x/report.html"))


def terminal(*, live=False):
    return Console(file=io.StringIO(), force_terminal=live, width=100, highlight=False, markup=False)


def play(display):
    with display:
        display.phase("warm start", 1, 4)
        display.phase("warm start", 4, 4)
        display.start(Recipe(), Path("runs/x"), 0, 40)
        display.evaluation(0, BEFORE)
        for step in range(1, 41):
            display.step({"step": float(step), "reward": step / 40, "accuracy": 0.5, "entropy": math.nan})
        display.message("a checkpoint was damaged \x1b[31m", "warning")
        display.evaluation(40, AFTER)
        display.finish(SUMMARY)


def test_plain_lines_tell_the_run_from_beginning_to_end():
    console = terminal()
    play(PlainDisplay(console))
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "warm start 1/4"
    assert lines[1] == "tunnel-tiny on chain-arithmetic, reward correct, 40 steps -> runs/x"
    assert lines[2] == "held out after step 0:  accuracy 33.0 %  [27.5, 39.0]  length 20"
    steps = [line for line in lines if line.startswith("step ")]
    assert len(steps) == 21  # the first, and every second of 40
    assert steps[0].startswith("step 1/40  reward 0.025  true accuracy 50.0 %")
    assert steps[-1].endswith("0 s left")
    assert "warning: a checkpoint was damaged [31m" in lines


def test_the_end_shows_held_out_figures_before_and_after_and_the_report():
    console = terminal()
    play(PlainDisplay(console))
    text = console.file.getvalue()
    row = next(line.split() for line in text.splitlines() if line.startswith("accuracy"))
    assert row == ["accuracy", "33.0", "%", "[27.5,", "39.0]", "61.0", "%", "[54.9,", "66.8]", "+28.0", "points"]
    length = next(line.split() for line in text.splitlines() if line.startswith("length"))
    assert length == ["length", "20", "24.5", "+4.5"]
    assert "problems" not in text.partition("held-out problems, 95 % intervals")[2]
    assert "40 steps in 2 min 20 s, reward 0.66 in the last step" in text
    assert text.rstrip().endswith("report: runs/x/report.html")


def test_the_live_panel_ends_with_its_last_state_and_leaves_the_cursor_on():
    console = terminal(live=True)
    display = LiveDisplay(console)
    play(display)
    text = console.file.getvalue()
    assert "40/40" in text
    assert "█" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") >= 1
    display.close()


def test_the_live_panel_gives_the_terminal_back_when_training_fails():
    console = terminal(live=True)

    def fail():
        with LiveDisplay(console) as display:
            display.start(Recipe(), Path("runs/x"), 0, 4)
            display.step({"step": 1.0})
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError):
        fail()
    text = console.file.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_json_is_one_object_a_line_with_null_for_nan(capsys):
    play(JsonDisplay())
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events[:4]] == ["phase", "phase", "start", "evaluation"]
    assert Recipe(**events[2]["recipe"]) == Recipe()
    assert events[4] == {"event": "step", "step": 1.0, "reward": 0.025, "accuracy": 0.5, "entropy": None}
    assert events[-1]["event"] == "finish"
    assert events[-1]["after"]["accuracy"] == 0.61
    assert events[-1]["report"] == "runs/x/report.html"


def test_quiet_says_warnings_only(capsys):
    play(QuietDisplay())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("warning: a checkpoint was damaged")


def test_a_run_without_evaluation_and_a_resumed_one_are_told_too():
    console = terminal()
    with PlainDisplay(console) as display:
        display.start(Recipe(), Path("runs/x"), 10, 12)
        display.step({"step": 11.0})
        display.finish(TrainingSummary(Path("runs/x"), 12, 3.0, {}, {}, {}, Path("r.html")))
    text = console.file.getvalue()
    assert "steps 11 to 12" in text
    assert "12 steps in 3 s\n" in text
    assert "held-out" not in text


def test_the_display_fits_the_place(capsys):
    assert isinstance(choose_display(quiet=False, json=True), JsonDisplay)
    assert isinstance(choose_display(quiet=True, json=False), QuietDisplay)
    assert type(choose_display(quiet=False, json=False)) is PlainDisplay
