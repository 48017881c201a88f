"""`scorecraft compare`: all runs of all recipes and seeds, kept and gone on with, and one page of differences."""

from __future__ import annotations

import json

import pytest

from scorecraft.cli.compare import recipe_names, split_recipes
from scorecraft.cli.main import app
from scorecraft.errors import ScorecraftError
from scorecraft.runs import RunStore


@pytest.fixture
def compared(runner, tiny_arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "brief.yaml").write_text("reward:\n  correct: {}\n  brevity: {target: 4, weight: 0.5}\n")

    def run(*more, seeds="2"):
        return runner.invoke(app, ["compare", "default", "brief.yaml", "--seeds", seeds, *tiny_arguments, *more])

    return run


def test_every_recipe_is_trained_with_every_seed_and_their_differences_are_tabled(compared, tmp_path):
    done = compared()
    assert done.exit_code == 0, done.output
    folder = tmp_path / "runs/compare-default-brief"
    runs = {path.name: RunStore.open(path) for path in folder.iterdir() if path.is_dir()}
    assert sorted(runs) == ["brief-seed-0", "brief-seed-1", "default-seed-0", "default-seed-1"]
    assert all(store.checkpoints()[-1] == 2 for store in runs.values())
    # A warning belongs to the run it is about.
    warned = [line for line in done.output.splitlines() if line.startswith("warning: ")]
    assert warned
    assert all("-seed-" in line.split(": ")[1] for line in warned)
    rewards = {
        name: sum(row["reward"] for row in store.read_metrics()[-1:]) for name, store in runs.items()
    }  # the last twentieth of two steps is the last one
    differences = [rewards[f"brief-seed-{seed}"] - rewards[f"default-seed-{seed}"] for seed in (0, 1)]
    result = json.loads(compared("--json").stdout)
    (row,) = [row for row in result["rows"] if row["key"] == "reward"]
    assert row["differences"][0]["estimate"] == pytest.approx(sum(differences) / 2)
    assert "comparison" in (folder / "comparison.html").read_text()


def test_finished_runs_are_kept_and_seeds_can_be_added(compared, tmp_path):
    compared(seeds="1")
    metrics = tmp_path / "runs/compare-default-brief/default-seed-0/metrics.jsonl"
    before = metrics.read_bytes()
    added = compared(seeds="2")
    assert added.exit_code == 0, added.output
    assert "default-seed-0: finished before" in added.output
    assert metrics.read_bytes() == before
    refused = compared("optimizer.lr=0.5", seeds="2")
    assert isinstance(refused.exception, ScorecraftError)
    assert "there is a run of another recipe" in str(refused.exception)
    assert metrics.read_bytes() == before


def test_mistakes_are_named():
    with pytest.raises(ScorecraftError, match="two recipes or more, got default"):
        split_recipes(["default", "steps=3"])
    with pytest.raises(ScorecraftError, match="'a' is given twice"):
        split_recipes(["a", "a"])
    with pytest.raises(ScorecraftError, match="--first-seed"):
        split_recipes(["a", "b", "seed=3"])
    assert recipe_names(["x/a.yaml", "y/a.yaml", "b"]) == ["a", "a-2", "b"]


def test_the_same_recipe_under_two_names_is_refused(runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("steps: 3\n")
    result = runner.invoke(app, ["compare", "a.yaml", "b.yaml"])
    assert "there is nothing to compare" in str(result.exception)
