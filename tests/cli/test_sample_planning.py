"""`plan-samples` as a user meets it: three plans beside each other, a file of one, a population, what is refused."""

from __future__ import annotations

import json

import pytest
import typer

from scorecraft.cli.sample_planning import plan_samples
from scorecraft.errors import ScorecraftError

app = typer.Typer(rich_markup_mode=None)
app.command()(plan_samples)


def run(runner, *arguments):
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.replace("\n", " ")


def test_the_command(runner, tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text("prompt,correct,samples\neasy,8,8\nhard,1,8\n")
    said = run(runner, "--pass-rate", path, "--target", "0.9")
    assert "2 prompts, mean pass rate 0.562, with what so few samples leave open" in said
    assert "naive: 3 samples a prompt" in said
    out = tmp_path / "plan.csv"
    run(runner, "--pass-rate", path, "--target", "0.9", "--goal", "mean", "--out", out)
    lines = out.read_text().splitlines()
    assert lines[0] == "prompt,pass_rate,samples,success"
    easy, hard = (int(line.split(",")[2]) for line in lines[1:])
    assert hard > easy >= 1
    found = json.loads(run(runner, "--pass-rate", path, "--json"))
    assert set(found["plans"]) == {"each", "alike", "mean"}
    assert "15,234 draws" in run(runner, "--good", 312, "--of", 3**13)
    found = json.loads(run(runner, "--good", 312, "--of", 3**13, "--json"))
    assert found["methods"][0] == {"method": "exact", "tips": 15234, "relative_error": 0.0, "valid": True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either"),
        (["--good", "3"], "belong together"),
        (["--pass-rate", "x.csv", "--good", "3"], "give either"),
        (["--pass-rate", "x.csv", "--out", "y.csv"], "say with --goal"),
    ],
)
def test_options_that_do_not_go_together_are_told(runner, arguments, message):
    with pytest.raises(ScorecraftError, match=message):
        runner.invoke(app, arguments, catch_exceptions=False)
