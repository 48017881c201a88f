from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from scorecraft.cli.listing import type_name
from scorecraft.cli.main import app
from scorecraft.cli.measuring import parse_k
from scorecraft.cli.training import free_directory, split_arguments
from scorecraft.errors import ScorecraftError
from scorecraft.recipes import ready
from scorecraft.recipes.recipe import Recipe
from scorecraft.runs import is_run


def refused(runner, *arguments):
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, ScorecraftError)
    return str(result.exception)


def test_a_whole_run_from_training_to_reading_completions(runner, tiny_arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = runner.invoke(app, ["train", *tiny_arguments])
    assert trained.exit_code == 0, trained.output
    assert "step 2/2" in trained.output
    assert (tmp_path / "runs/default/report.html").is_file()
    assert Recipe.from_yaml(tmp_path / "runs/default/recipe.yaml").steps == 2

    again = runner.invoke(app, ["train", "--run", "runs/default", "--resume", "--json"])
    assert again.exit_code == 0, again.output
    events = [json.loads(line) for line in again.stdout.splitlines() if line.startswith("{")]
    assert events[-1]["event"] == "finish"
    assert events[-1]["steps"] == 2

    measured = runner.invoke(app, ["eval", "runs/default", "--problems", "3", "--samples", "2", "--k", "1,2", "--json"])
    assert measured.exit_code == 0, measured.output
    metrics = json.loads(measured.stdout)
    assert metrics["problems"] == 3
    assert 0 <= metrics["pass@1"] <= metrics["pass@2"] <= 1

    shown = runner.invoke(app, ["generate", "runs/default", "--count", "2"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("score ") == 2
    own = runner.invoke(app, ["generate", "runs/default", "--prompt", "1+2=?\\n", "--samples", "2"])
    assert own.exit_code == 0, own.output
    assert own.stdout.startswith("\n1+2=?\n")
    assert "score " not in own.output

    page = runner.invoke(app, ["report", "runs/default", "--out", "page.html"])
    assert page.exit_code == 0, page.output
    assert (tmp_path / "page.html").is_file()
    assert "holds a run already" in refused(runner, "train", *tiny_arguments, "--run", "runs/default")


def test_the_task_of_a_recipe_file_is_measured(runner, policy_folder, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("task: {multiple-choice: {options: 3}}\n")
    result = runner.invoke(app, ["eval", str(policy_folder), "--task", str(file), "--problems", "2"])
    assert result.exit_code == 0, result.output
    assert f"{policy_folder}" in result.output or "tiny" in result.output
    assert "on multiple-choice: 2 problems, 1 samples each, temperature 1" in result.output


@pytest.mark.parametrize(
    ("given", "name", "overrides"),
    [
        ([], None, []),
        (["steps=3"], None, ["steps=3"]),
        (["hacked"], "hacked", []),
        (["hacked", "steps=3", "seed=1"], "hacked", ["steps=3", "seed=1"]),
    ],
)
def test_the_recipe_may_be_left_out_before_overrides(given, name, overrides):
    assert split_arguments(given) == (name, overrides)


def test_a_second_word_that_is_no_override_is_refused():
    with pytest.raises(ScorecraftError, match="expected key=value"):
        split_arguments(["hacked", "steps"])


def test_runs_do_not_overwrite_each_other(tmp_path):
    assert free_directory(tmp_path / "runs", "a") == tmp_path / "runs" / "a"
    for name in ("a", "a-2"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert free_directory(tmp_path / "runs", "a") == tmp_path / "runs" / "a-3"


def test_resume_says_which_run_it_needs(runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(runner, "train", "--resume") == "--resume needs --run DIR; there are no runs here"
    (tmp_path / "runs/x").mkdir(parents=True)
    (tmp_path / "runs/x/recipe.yaml").write_text("steps: 1")
    assert "runs here: runs/x" in refused(runner, "train", "--resume", "--run", "runs/y")


def test_a_mistake_in_the_recipe_is_told_before_anything_is_written(runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "did you mean 'steps'?" in refused(runner, "train", "step=3")
    assert not is_run(tmp_path / "runs/default")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "values"), [("1", (1,)), ("4, 1,4", (1, 4))])
def test_the_ks_of_pass_at_k(text, values):
    assert parse_k(text) == values


@pytest.mark.parametrize("text", ["", "0", "1,x", "-1", "1.5"])
def test_ks_that_are_none_are_refused(text):
    with pytest.raises(ScorecraftError, match="whole numbers"):
        parse_k(text)


def test_pass_at_k_needs_k_samples(runner):
    assert "at least 4 samples" in refused(runner, "eval", "tunnel-tiny", "--k", "4", "--samples", "2")


def test_parts_lists_options_with_types_and_defaults(runner):
    result = runner.invoke(app, ["parts", "objective"])
    assert result.exit_code == 0
    assert "      low: number = 0.2\n" in result.output
    assert "reward:" not in result.output
    data = json.loads(runner.invoke(app, ["parts", "--json"]).stdout)
    assert set(data) == {
        "task",
        "sampling",
        "reward",
        "transform",
        "combination",
        "credit",
        "advantage",
        "objective",
        "optimizer",
    }
    function = next(part for part in data["reward"] if part["name"] == "function")
    path = next(option for option in function["options"] if option["name"] == "path")
    assert path == {"name": "path", "type": "text", "required": True, "default": None}
    assert "did you mean 'reward'?" in refused(runner, "parts", "rewards")


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (float, "number"), (int | None, "whole number | null"), (Literal["a", "b"], "a | b"), (bool, "true | false"),
        (tuple[int, int], "list of 2 whole numbers"), (tuple[str, ...], "list of texts"), (dict[str, int], "mapping"),
        (Annotated[float, Field(ge=0)], "number"), (Path, "path"), (list[Literal["x"]], "list of x"),
    ],
)  # fmt: skip
def test_types_are_named_for_people(annotation, text):
    assert type_name(annotation) == text


def test_tasks_are_shown_with_an_example_and_options(runner):
    listed = runner.invoke(app, ["tasks"])
    assert listed.exit_code == 0
    assert "chain-arithmetic " in listed.output
    one = runner.invoke(app, ["tasks", "chain-arithmetic"])
    assert "verdict on each step" in one.output
    assert "    largest: whole number = 20\n" in one.output
    data = json.loads(runner.invoke(app, ["tasks", "chain-arithmetic", "--json"]).stdout)[0]
    assert data["steps"][-1] == {"text": data["gold"].splitlines()[-1], "label": "correct"}
    assert "did you mean 'confidence'?" in refused(runner, "tasks", "confidense")


def test_new_copies_a_ready_recipe_and_overwrites_nothing(runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "hacked\n" in runner.invoke(app, ["new"]).output
    assert runner.invoke(app, ["new", "default", "--to", "mine.yaml"]).exit_code == 0
    assert (tmp_path / "mine.yaml").read_text() == ready.text("default")
    assert "exists already" in refused(runner, "new", "hacked", "--to", "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == ready.text("default")
    assert "cannot be written" in refused(runner, "new", "hacked", "--to", "absent/mine.yaml")


def test_every_command_teaches_with_an_example(runner):
    for command in ("train", "eval", "generate", "report", "tasks", "parts", "new"):
        assert f"  scorecraft {command}" in runner.invoke(app, [command, "--help"]).output


def test_lint_tells_what_does_not_go_together_with_its_source(runner):
    clean = runner.invoke(app, ["lint", "default"])
    assert clean.exit_code == 0
    assert "survive one another" in clean.output
    found = runner.invoke(app, ["lint", "hacked"])
    assert found.exit_code == 1
    assert "source: Stop Summation, 2025" in found.output
    data = json.loads(runner.invoke(app, ["lint", "default", "sampling.group_size=1", "--json"]).output)
    assert [(finding["kind"], finding["where"]) for finding in data] == [
        ("missing", ["advantage 'group-standardized'"])
    ]


def test_methods_and_citations(runner):
    rows = json.loads(runner.invoke(app, ["methods", "--json"]).output)
    assert len(rows) == 57
    assert {"slug", "functions", "verdict", "claim", "area"} <= set(rows[0])
    credit = json.loads(runner.invoke(app, ["methods", "--area", "credit", "--json"]).output)
    assert {row["area"] for row in credit} == {"credit"}
    assert "did you mean 'credit'" in str(runner.invoke(app, ["methods", "--area", "credits"]).exception)
    assert runner.invoke(app, ["cite", "rlcr"]).output.startswith("@misc{rlcr,")
    assert runner.invoke(app, ["cite", "default"]).output.count("@misc") == 3
    assert "no recipe and no method 'rlcx'" in str(runner.invoke(app, ["cite", "rlcx"]).exception)
