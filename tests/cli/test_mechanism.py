"""`mechanism` as a user meets it: an example, its solution to read and as data, what is refused."""

from __future__ import annotations

import json

import pytest

from scorecraft.cli.mechanism import app
from scorecraft.errors import ScorecraftError


def run(runner, *arguments):
    result = runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_the_example_to_a_mechanism(runner, tmp_path):
    game, out = tmp_path / "game.json", tmp_path / "mechanism.json"
    game.write_text(run(runner, "example"))
    said = run(runner, "solve", game, "--out", out)
    assert "0.577778" in said
    assert "0.533333" in said
    assert "0.4444" in said
    saved = json.loads(out.read_text())
    assert saved["value"] == pytest.approx(26 / 45)
    assert {tuple(one["efforts"].values()): one["probability"] for one in saved["recommendations"]} == {
        ("skip", "check"): pytest.approx(4 / 9),
        ("check", "skip"): pytest.approx(4 / 9),
        ("check", "check"): pytest.approx(1 / 9),
    }
    assert all(gain <= 1e-7 for gain in saved["largest_gain_from_deviating"].values())
    found = json.loads(run(runner, "solve", game, "--json", "--cap", "5"))
    assert found["mechanisms"]["correlated"]["value"] == pytest.approx(146 / 245)
    assert found["cap"] == 5
    only = json.loads(run(runner, "solve", game, "--json", "--kind", "point", "--individual-rationality"))
    assert list(only["mechanisms"]) == ["point"]


def test_what_is_wrong_is_told(runner, tmp_path):
    game = tmp_path / "game.json"
    game.write_text(run(runner, "example"))
    for arguments, said in (
        (["solve", str(tmp_path / "no.json")], "cannot be read"),
        (["solve", str(game), "--cap", "-1"], "cap is -1"),
        (["solve", str(game), "--out", "nowhere/m.json"], "there is no folder"),
    ):
        with pytest.raises(ScorecraftError, match=said):
            runner.invoke(app, arguments, catch_exceptions=False)
