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
    for missing in (LeanReplProver(), LeanReplProver(folder=str(tmp_path))):
        assert "'lean' is not on the path" in missing.disabled
        assert missing.check(SUM).reason == missing.disabled
        assert (missing.check(SUM).status, missing.prove(SUM).status) == ("unsupported", "unsupported")
    for program in ("lean", "lake"):
        (tmp_path / program).write_text("#!/bin/sh\nexit 4\n")
        (tmp_path / program).chmod(0o755)
    assert "no folder" in LeanReplProver(repl=True).disabled
    # Lean is there, and neither the REPL nor Lean itself works.
    for without in (LeanReplProver(folder=str(tmp_path)), LeanReplProver()):
        assert without.disabled == ""
        assert without.check(SUM).status == "unsupported"
        assert "breaks down" in without.disabled


@pytest.fixture
def recorded():
    """Return Lean by itself, without Mathlib, as `lean_tape.py` has recorded what it answered.

    Version 4.28.0-pre, commit 38f3c0c45b8d, in its build for WebAssembly; the folders of its search path are shortened.
    """

    def make(*proofs, **options):
        return LeanReplProver(
            [sys.executable, str(HERE / "lean_tape.py"), str(HERE / "lean_recorded.json")], repl=False,
            proofs=(lambda theorem, attempts: proofs) if proofs else None, **options,
        )  # fmt: skip

    return make


def test_lean_checks_statements(recorded):
    assert recorded().check(SUM).status == "well-formed"
    found = recorded().check(LeanStatement("theorem e : 1 := by sorry"))
    assert found.status == "error"
    assert "failed to synthesize" in found.reason


def test_lean_proves_what_holds_and_nothing_else(recorded):
    # That build takes every file for a module, in which Lean prints no axioms: without them nothing counts.
    assert recorded("omega").prove(SUM).status == "unknown"
    by_published_rule = recorded("omega", compat="safe").prove(SUM)
    assert by_published_rule.status == "proved"
    assert by_published_rule.evidence["proof"] == f"{OPENED}\n  omega"
    wrong = parse_claim("show 2 + 2 = 5")
    for tactic in ("omega", "decide", "norm_num", "exact (1", "exact nonsense"):
        assert recorded(tactic, compat="safe").prove(wrong).status == "unknown"
    # A proof that says sorry is no error to Lean, which the published check goes by.
    assert recorded("sorry", compat="safe").prove(wrong).status == "proved"
    assert recorded("sorry").prove(wrong).status == "unknown"


def test_lean_says_that_mathlib_is_not_there(recorded):
    prover = recorded("norm_num", header="import Mathlib")
    assert prover.prove(SUM).status == "unsupported"
    assert "'import Mathlib' fails: unknown module prefix 'Mathlib'" in prover.disabled


def test_lean_that_hangs_or_ends_is_told(tmp_path):
    for code, status in (("import time; time.sleep(60)", "error"), ("raise SystemExit(9)", "unsupported")):
        program = tmp_path / "lean.py"
        program.write_text(f"import sys\nif 'step' in sys.stdin.read():\n    {code}\n")
        prover = LeanReplProver([sys.executable, str(program)], repl=False, default_timeout_s=0.5)
        assert prover.check(SUM).status == status


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
