"""`metrics` as a user meets it: a table, a page, JSON, a comparison, memory that stays, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import typer

from scorecraft.cli.metrics import metrics
from scorecraft.errors import ScorecraftError

app = typer.Typer(rich_markup_mode=None)
app.command()(metrics)


@pytest.fixture
def file(tmp_path):
    random = np.random.default_rng(0)
    truth = random.random(400)
    table = pd.DataFrame({
        "y": (random.random(400) < truth).astype(int), "p": truth, "q": 0.5 + 0.4 * (truth - 0.5),
        "site": random.choice(["[bold]north", "south"], 400),
    })  # fmt: skip
    path = tmp_path / "t.csv"
    table.to_csv(path, index=False)
    return path


def run(runner, *arguments):
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_table_with_intervals_groups_and_a_comparison(runner, file):
    said = run(runner, file, "--label", "y", "--prob", "p", "--group", "site", "--against-prob", "q")
    for words in ("400 rows; label 'y', probability p", "Brier score", "ECE", "AUROC", "95 % interval", "groups, 2",
                  "[bold]north", "against q", "first", "slices are wrong beyond chance"):  # fmt: skip
        assert words in said


def test_json_has_all_of_it(runner, file):
    found = json.loads(
        run(runner, file, "--label", "y", "--prob", "p", "--group", "site", "--against-prob", "q", "--json")
    )
    assert found["rows"] == 400
    assert {"brier", "auroc", "mcc"} <= {one["name"] for one in found["metrics"]}
    assert {group["value"] for group in found["groups"]} == {"[bold]north", "south"}
    assert found["groups"][0]["metrics"][0]["name"] == "base_rate"
    assert [one["name"] for one in found["against"]["differences"]] == ["brier", "log_loss", "accuracy", "auroc"]
    assert found["against"]["differences"][0]["better"] == "first"


def test_a_page_is_written_and_nothing_else_is_overwritten(runner, file, tmp_path):
    page = tmp_path / "page.html"
    said = run(runner, file, "--label", "y", "--prob", "p", "--page", page)
    assert f"page: {page}" in said.replace("\n", "")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(ScorecraftError, match="this is a file of predictions"):
        runner.invoke(app, [str(file), "--label", "y", "--prob", "p", "--page", str(file)], catch_exceptions=False)
    nowhere = ["--page", str(tmp_path / "no/x.html")]
    with pytest.raises(ScorecraftError, match="there is no folder"):
        runner.invoke(app, [str(file), "--label", "y", "--prob", "p", *nowhere], catch_exceptions=False)


def test_a_file_of_three_million_rows_needs_little_more_memory_than_one_of_three_thousand(tmp_path):
    random = np.random.default_rng(0)
    peaks = []
    for rows in (3_000, 3_000_000):
        prob = random.random(rows, dtype=np.float32)
        path = tmp_path / f"{rows}.parquet"
        pd.DataFrame({"y": random.random(rows) < prob, "p": prob}).to_parquet(path, row_group_size=100_000)
        code = (
            "import resource, sys\nfrom pathlib import Path\n"
            "from scorecraft.metrics.file_metrics import Settings, measure_file\n"
            f"found = measure_file(Path({str(path)!r}), Settings('y', ['p'], exact_rows=100_000))\n"
            "assert 'torch' not in sys.modules\n"
            f"assert found.rows == {rows}\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) * 1024)
    # Kept as they are, three million rows would take several times this: 13 bytes each, and as much again to sort.
    assert peaks[1] - peaks[0] < 60e6
