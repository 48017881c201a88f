"""`detect` as a user meets it: methods, fit, score with truth and a picture, JSON, and what is refused."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from scorecraft.cli.detecting import app
from scorecraft.errors import ScorecraftError


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    np.save(tmp_path / "train.npy", (6 + random.normal(size=(400, 5))).astype(np.float32))
    mixed = np.concatenate((6 + random.normal(size=(100, 5)), random.normal(size=(40, 5)) - 6)).astype(np.float32)
    np.savez(tmp_path / "mixed.npz", x=mixed, outside=np.r_[np.zeros(100, int), np.ones(40, int)])
    return tmp_path


def run(runner, *arguments):
    result = runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_fit_then_score_with_truth_and_a_picture(runner, folder):
    said = run(runner, "fit", folder / "train.npy", "--method", "knn", "--set", "k=3", "--out", folder / "d")
    assert "learned from 320 rows, threshold of 80 held out" in said
    said = run(runner, "score", folder / "mixed.npz", "--detector", folder / "d", "--picture", folder / "s.svg")
    assert "140 rows" in said
    assert "AUROC 1.0000" in said
    assert "outside and flagged 1.0000" in said
    text = "".join(ElementTree.parse(folder / "s.svg").getroot().itertext())
    assert "outside: 40" in text
    assert "threshold" in text
    lines = (folder / "mixed.npz.scores.csv").read_text().splitlines()
    assert lines[0] == "row,name,score,outside"
    assert len(lines) == 141


def test_json(runner, folder):
    found = json.loads(run(runner, "fit", folder / "train.npy", "--out", folder / "d", "--json"))
    assert (found["method"], found["learned_from"], found["held_out"]) == ("energy", 0, 400)
    found = json.loads(
        run(runner, "score", folder / "mixed.npz", "--detector", folder / "d", "--out", folder / "s.csv", "--json")
    )
    assert found["rows"] == 140
    assert set(found["auroc"]) == {"estimate", "low", "high"}


def test_methods_are_listed(runner):
    assert "knn reads features" in run(runner, "methods")
    assert "mahalanobis" in {row["name"] for row in json.loads(run(runner, "methods", "--json"))}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "k"], "expected NAME=VALUE"),
        (["--size", "32"], "expected HEIGHTxWIDTH"),
        (["--weights", "w.safetensors"], "there is no model to take them"),
        (["--method", "nn"], "no method 'nn'"),
    ],
)
def test_bad_options_are_told(runner, folder, arguments, message):
    with pytest.raises(ScorecraftError, match=message):
        runner.invoke(
            app, ["fit", str(folder / "train.npy"), "--out", str(folder / "d"), *arguments], catch_exceptions=False
        )
