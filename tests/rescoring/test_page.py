"""The command, its page, and that nothing a model wrote becomes markup."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from scorecraft.cli.main import app

ATTACK = "<script>window.pwned=1</script><img src=x onerror=alert(1)>"


def test_the_command_writes_tables_summary_and_page(write, correct, tmp_path):
    rows = [{"prompt": ATTACK, "completion": f"{ATTACK}\n#### {n}", "answer": "1"} for n in (1, 2)]
    path = write("a.jsonl", rows)
    done = CliRunner().invoke(app, ["score", str(path), "--reward", correct, "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert "2 rows, 1 groups" in done.output
    page = (tmp_path / "a.jsonl.scores/report.html").read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;window.pwned=1" in page
    summary = json.loads((tmp_path / "a.jsonl.scores/summary.json").read_text())
    assert summary["total"]["sum"] == 1
    again = CliRunner().invoke(app, ["score", str(path), "--reward", correct, "--json"])
    assert json.loads(again.stdout)["rows"] == 2


def test_a_file_without_answers_is_warned_of(write, correct):
    path = write("a.jsonl", [{"prompt": "p", "completion": "c"}])
    done = CliRunner().invoke(app, ["score", str(path), "--reward", correct, "--workers", "1"])
    assert "has no true answers" in done.output


def test_groups_are_drawn_by_their_means(write, correct, tmp_path):
    # Three prompts with 2, 1 and 0 of two right: means 1, 1/2 and 0, each the mean of one group.
    rows = [
        {"prompt": name, "completion": f"#### {n}", "answer": "1"}
        for name, given in (("a", (1, 1)), ("b", (1, 2)), ("c", (2, 2)))
        for n in given
    ]
    path = write("a.jsonl", rows)
    done = CliRunner().invoke(app, ["score", str(path), "--reward", correct, "--workers", "1"])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "a.jsonl.scores/report.html").read_text()
    assert "By group: mean total" in page
    assert page.count(": 1 groups</title>") == 3
    assert page.count(": 3 rows</title>") == 2
