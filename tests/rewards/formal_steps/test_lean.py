"""The Lean prover against a process that plays a dialogue in the REPL's protocol."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.formal_steps import LeanReplProver, LeanStatement, PortfolioProver, parse_claim
from scorecraft.rewards.formal_steps.lean_repl import forbidden_word, foreign_axioms, is_complete, passes, whole_answer

HERE = Path(__file__).parent
COMMAND = [sys.executable, str(HERE / "scripted_repl.py"), str(HERE / "lean_dialogue.json")]
SUM = parse_claim("show 2 + 2 = 4")
OPENED = "theorem step : (((2 : Z) + (2 : Z)) = (4 : Z)) := by".replace("Z", "\N{DOUBLE-STRUCK CAPITAL Z}")


@pytest.fixture
def lean():
    made = []

    def make(*replies, **options):
        given = {"proofs": lambda theorem, attempts: replies} if replies else {}
        made.append(LeanReplProver(COMMAND, **given, **options))
        return made[-1]

    yield make
    for prover in made:
        prover.close()


def test_a_statement_is_checked_and_proved(lean):
    prover = lean()
    assert prover.check(SUM).status == "well-formed"
    found = prover.prove(SUM)
    assert found.status == "proved"
    assert found.evidence["proof"] == f"{OPENED}\n  norm_num"
    assert prover.prove(parse_claim("show 2 + 2 = 5")).status == "unknown"
    assert PortfolioProver((prover,)).prove(LeanStatement("theorem t : 2 = 3 := by sorry")).status == "unknown"


def test_models_proofs_are_tried_once_each(lean):
    asked = []

    def proofs(theorem, attempts):
        asked.append((theorem, attempts))
        return ["rfl", "rfl", "  norm_num"]

    prover = LeanReplProver(COMMAND, proofs=proofs)
    assert prover.prove(SUM, attempts=2).status == "unknown"  # only the first two count
    assert prover.prove(SUM).status == "proved"
    assert asked[1] == (OPENED + " ", 16)
    prover.close()


@pytest.mark.parametrize(
    "proof",
    [
        "sorry", "exact sorryAx _", "admit", "native_decide", "exact by_a_helper", "exact by_nothing",
        "exact with_a_gap", "norm_num\naxiom cheat : False", "norm_num\n#eval IO.println 1",
        "macro_rules | `(tactic| norm_num) => `(tactic| trivial)", "run_tac pure ()",
    ],
)  # fmt: skip
def test_what_gets_round_a_proof_does_not_count(lean, proof):
    assert lean(proof).prove(SUM).status == "unknown"


def test_the_published_check_takes_a_proof_that_says_sorry(lean):
    assert lean("sorry", compat="safe").prove(SUM).status == "proved"
    assert lean("exact by_a_helper", compat="safe").prove(SUM).status == "proved"
    assert lean("exact nonsense", compat="safe").prove(SUM).status == "unknown"


def test_time_out_and_break_down(lean):
    slow = lean("exact slow", "norm_num")
    assert slow.prove(SUM, 0.5).status == "proved"  # the REPL is started again after it was killed
    fatal = lean("exact fatal")
    found = fatal.prove(SUM)
    assert found.status == "unsupported"
    assert "breaks down" in fatal.disabled


def test_a_prover_without_lean_is_disabled_with_a_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = LeanReplProver()
    assert "'lean' is not on the path" in missing.disabled
    assert missing.check(SUM).reason == missing.disabled
    assert (missing.check(SUM).status, missing.prove(SUM).status) == ("unsupported", "unsupported")
    for program in ("lean", "lake"):
        (tmp_path / program).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / program).chmod(0o755)
    assert "no folder" in LeanReplProver().disabled
    # Lean is there, the REPL is not.
    without = LeanReplProver(folder=str(tmp_path))
    assert without.disabled == ""
    assert without.check(SUM).status == "unsupported"
    assert "breaks down" in without.disabled


def test_a_header_that_fails_is_the_reason(lean):
    broken = lean(header="import Broken")
    assert broken.check(SUM).status == "unsupported"
    assert "'import Broken' fails: unknown module prefix" in broken.disabled


def test_statements_are_refused_before_lean_sees_them(lean):
    prover = lean()
    for text, said in (
        ("example : True := by sorry", "begins with 'theorem'"),
        ("theorem a : True := by trivial", "ends in sorry"),
        ("axiom a : False\ntheorem b : False := by sorry", "begins with 'theorem'"),
        ("theorem a : True := trivial\naxiom c : False\ntheorem b : False := by sorry", "'axiom' has no place"),
    ):
        assert prover.check(LeanStatement(text)).status == "error"
        assert said in prover.check(LeanStatement(text)).reason
        assert prover.prove(LeanStatement(text)).status == "error"
    two = LeanStatement("theorem two : True ∧ True := ⟨sorry, by sorry")
    assert lean(compat="safe").check(two).status == "error"
    assert prover.check(LeanStatement("theorem e : 1 := by sorry")).status == "error"


def test_divisors_and_hypotheses_are_looked_at(lean):
    prover = lean()
    assert prover.check(parse_claim("vars x y : Real; assume x/y = 2; show x = 2*y")).status == "ill-defined"
    guarded = parse_claim("vars x y : Real; assume y != 0, x/y = 2; show x = 2*y")
    assert prover.check(guarded).status == "well-formed"
    assert prover.check(parse_claim("vars x : Real; assume x = 1, x = 2; show x = 3")).status == "vacuous"
    assert prover.check(parse_claim("show 1/0 = 1")).status == "ill-defined"
    # In Lean 1/0 = 0, and the published check has no objection.
    assert lean(compat="safe").check(parse_claim("show 1/0 = 1")).status == "well-formed"


def test_answers_by_hand():
    assert whole_answer(b'{"env": 0}\n\n')
    assert not whole_answer(b'{"messages":\n [{"data": "a}"}')
    warned = {"env": 1, "messages": [{"severity": "warning", "data": "unused variable"}]}
    assert is_complete(warned)
    assert not is_complete({"env": 1, "sorries": [{}]})
    assert passes({"env": 1, "sorries": [{}]})
    assert not passes({"message": "unknown environment"})
    assert foreign_axioms({"messages": [{"data": "'t' does not depend on any axioms"}]}) == set()
    assert foreign_axioms({"messages": [{"data": "'t' depends on axioms: [sorryAx, propext]"}]}) == {"sorryAx"}
    assert foreign_axioms({"messages": []}) is None
    assert forbidden_word("exact Classical.em p") == ""
    with pytest.raises(ScorecraftError, match="unknown compat 'loose'"):
        inspect.unwrap(LeanReplProver.__init__)(object.__new__(LeanReplProver), COMMAND, compat="loose")
