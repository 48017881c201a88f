"""`gossip` as a user meets it: check, attack, fix and params, and what is refused."""

from __future__ import annotations

import json

import pytest

from scorecraft.cli.gossip import app
from scorecraft.errors import ScorecraftError


def run(runner, *arguments, code=0):
    result = runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def test_check_tells_safe_from_unsafe(runner, tmp_path):
    said = run(runner, "check", "filecoin", code=1).replace("\n", " ").replace("  ", " ")
    assert "NOT SAFE" in said
    assert "it forwards 1 invalid message in BLOCKS" in said
    assert "the other topics lift it to 17.5" in said
    said = run(runner, "check", "two-topics", "--backend", "smt", "--backend", "closed_form")
    assert "two-topics: 2 topics; safe" in said
    assert "in none" in said
    found = json.loads(run(runner, "check", "ethereum-paper", "--subnets", 3, "--semantics", "acl2s", "--json", code=1))
    assert {one["property"]: one["holds"] for one in found["verdicts"]} == {
        "P1": False, "P2": False, "P3": True, "P4": True, "silent": True,
    }  # fmt: skip
    assert found["verdicts"][0]["witness"]["topic"] == "SUB1"


def test_params_are_a_start_for_ones_own(runner, tmp_path):
    assert "lighthouse" in run(runner, "params").splitlines()
    path = tmp_path / "mine.json"
    values = json.loads(run(runner, "params", "two-topics"))
    values["topics"]["ONE"]["invalid_message_deliveries_weight"] = -1
    path.write_text(json.dumps(values))
    assert "it forwards 1 invalid message in ONE" in run(runner, "check", path, code=1).replace("\n", " ").replace(
        "  ", " "
    )


def test_attack_writes_events_and_a_page(runner, tmp_path):
    page, events = tmp_path / "a.html", tmp_path / "e.jsonl"
    said = run(
        runner, "attack", "ethereum-paper", "--topics", 3, "--semantics", "acl2s", "--page", page, "--events", events,
    ).replace("\n", " ").replace("  ", " ")  # fmt: skip
    assert "attacked: SUB1, SUB2, SUB3" in said
    assert "49 of 50 heartbeats" in said
    assert "never pruned" in said
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    # 50 heartbeats, and 20 messages in each of 11 topics before each.
    assert len(lines) == 50 * (1 + 20 * 11)
    assert lines[-1] == ["victim", "HBM", 18]
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "<script" not in text
    found = json.loads(run(runner, "attack", "two-topics", "--topic", "ONE", "--beats", 3, "--json"))
    assert found["sustained"] is False
    assert found["attacked"] == ["ONE"]


def test_attack_is_played_in_a_network_too(runner, tmp_path):
    said = run(runner, "attack", "ethereum-paper", "--topics", 2, "--nodes", 20, "--beats", 4)
    assert "100% of their scores are above zero" in said.replace("\n", " ").replace("  ", " ")
    edges = tmp_path / "edges.csv"
    edges.write_text("0,1\n0,2\n1,2\n")
    found = json.loads(run(runner, "attack", "two-topics", "--topic", "ONE", "--edges", edges, "--json"))
    assert found["network"]["below_zero"] == 1
    with pytest.raises(ScorecraftError, match="either --nodes or --edges"):
        runner.invoke(app, ["attack", "two-topics", "--nodes", "20", "--edges", str(edges)], catch_exceptions=False)


def test_fix_proves_and_writes_what_check_then_accepts(runner, tmp_path):
    out = tmp_path / "safe.json"
    said = run(runner, "fix", "ethereum-paper", "--subnets", 3, "--out", out)
    assert "proved by z3: P1, P2, P3, silent" in said
    assert "; safe" in run(runner, "check", out)
    said = run(runner, "fix", "filecoin").replace("\n", " ").replace("  ", " ")
    assert "does not count deliveries in the mesh" in said
    found = json.loads(run(runner, "fix", "two-topics", "--json"))
    assert found["changes"] == []
    assert "no weight has to change" in run(runner, "fix", "two-topics")


def test_what_is_wrong_is_told(runner, tmp_path):
    source = tmp_path / "scores.go"
    source.write_text("&pubsub.TopicScoreParams{\n TopicWeight: weight(),\n}\n")
    for arguments, said in (
        (["check", "filecion"], "neither a file nor a known name; did you mean 'filecoin'"),
        (["check", str(source)], "line 2: 'weight\\(\\)'"),
        (["check", str(tmp_path / "no.json")], "cannot be read"),
        (["attack", "two-topics", "--topic", "THREE"], "no topic 'THREE'"),
        (["attack", "two-topics", "--beat", "0"], "beat_s"),
        (["fix", "two-topics", "--out", "nowhere/x.json"], "there is no folder"),
    ):
        with pytest.raises(ScorecraftError, match=said):
            runner.invoke(app, arguments, catch_exceptions=False)
