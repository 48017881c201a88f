"""`rank` as a user meets it: the table, the page, data for machines, what is refused."""

from __future__ import annotations

import json

import pytest
import typer

from scorecraft.cli.ranking import rank
from scorecraft.errors import ScorecraftError

app = typer.Typer(rich_markup_mode=None)
app.command()(rank)
TABLE = "model,mmlu,math,aime\nbig,90,80,30\nmiddle,85,60,20\nsmall,70,50,\n"
QUICK = ("--runs", "2000", "--resamples", "30")


def run(runner, *arguments):
    result = runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.replace("\n", " ")


def test_the_command(runner, tmp_path):
    path, page = tmp_path / "t.csv", tmp_path / "p.html"
    path.write_text(TABLE)
    said = run(runner, path, "--missing", "skip", "--page", page, *QUICK)
    assert "3 models, 3 benchmarks in this order: mmlu, math, aime" in said
    assert "1 scores are missing (small on aime): they sit that benchmark out" in said
    assert "First by Swiss rounds: big" in said
    assert "All methods put it first" in said
    assert "nobody leaves" in said
    assert page.read_text().startswith("<!doctype html>")
    found = json.loads(run(runner, path, "--missing", "loss", "--eliminate", 1, "--json", *QUICK))
    assert found["models"] == ["big", "middle", "small"]
    ranks = {one["method"]: one["rank"] for one in found["methods"]}
    assert ranks["borda"] == [1, 2, 3]
    assert found["missing"] == [{"benchmark": "aime", "model": "small"}]
    assert len(found["swiss_survival"][0]) == 3


def test_benchmarks_are_chosen_turned_and_shuffled(runner, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(TABLE)
    found = json.loads(
        run(runner, path, "--order", "math, mmlu", "--lower", "math", "--lower", "mmlu", "--json", *QUICK)
    )
    assert found["benchmarks"] == ["math", "mmlu"]
    assert {tuple(one["rank"]) for one in found["methods"] if one["method"] != "swiss"} == {(3, 2, 1)}
    # Of three, the first is left without an opponent once in each pairing, and so no better than the second.
    said = run(runner, path, "--order", "math,mmlu", *QUICK)
    assert "not told apart from" in said
    assert "in random order" in run(runner, path, "--missing", "skip", "--random-order", *QUICK)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "1 of 9 scores are missing"),
        (["--order", "mmlu,maths"], "did you mean 'math'"),
        (["--missing", "skip", "--page", "nowhere/p.html"], "there is no folder"),
        (["--missing", "skip", "--confidence", "1.5"], "confidence"),
    ],
)
def test_what_is_wrong_is_told(runner, tmp_path, arguments, message):
    path = tmp_path / "t.csv"
    path.write_text(TABLE)
    with pytest.raises(ScorecraftError, match=message):
        runner.invoke(app, [str(path), *QUICK, *arguments], catch_exceptions=False)
    with pytest.raises(ScorecraftError, match="the table itself"):
        runner.invoke(app, [str(path), "--page", str(path)], catch_exceptions=False)
