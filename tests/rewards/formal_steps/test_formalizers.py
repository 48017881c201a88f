"""Claims from text: what is read, what is left alone, and what a model's answer becomes."""

from __future__ import annotations

import inspect
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.formal_steps import (
    Claim,
    EquationFormalizer,
    FormalizeError,
    LanguageModelFormalizer,
    LeanStatement,
    NoClaim,
    StepRecord,
    StepState,
    print_claim,
    split_steps,
)
from scorecraft.rewards.formal_steps.printer import print_formula
from scorecraft.rewards.formal_steps.written_relations import written_relations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 + 4 = 7", ["3 + 4 = 7"]),
        ("So 2 * 5 = 10 apples, and 10 - 3 = 7.", ["2*5 = 10", "10 - 3 = 7"]),
        ("12 \N{MULTIPLICATION SIGN} 3 = 36 and 36 ÷ 6 = 6", ["12*3 = 36", "36/6 = 6"]),
        ("5 x 3 = 15", ["5*3 = 15"]),
        ("$\\frac{3}{4} \\times 8 = 6$", ["(3/4)*8 = 6"]),
        ("\\boxed{2 \\cdot 3 = 6}", ["2*3 = 6"]),
        ("1,200 + 300 = 1,500 dollars", ["1200 + 300 = 1500"]),
        ("20% of 50 = 10", ["(20/100)*50 = 10"]),
        ("50% = 0.5", ["50/100 = 0.5"]),
        ("2(3+4) = 14", ["2*(3 + 4) = 14"]),
        ("3x + 4 = 19, so x = 5", ["3*x + 4 = 19", "x = 5"]),
        ("x = 12 + 7 = 19", ["x = 12 + 7 = 19"]),
        ("the total = 3 + 4 = 7", ["3 + 4 = 7"]),
        ("it gives 5 (3 + 2 = 5)", ["3 + 2 = 5"]),
        ("12 - 7 < 6 ≤ 2·3", ["12 - 7 < 6 <= 2*3"]),
        ("75 + 76 ≡ 7 (mod 16)", ["75 + 76 == 7 mod 16"]),
        ("- 3 + 4 = 7", ["3 + 4 = 7"]),
        ("1. 3 + 4 = 7", ["3 + 4 = 7"]),
        ("Step 2: 3 + 4 = 7", ["3 + 4 = 7"]),
        ("12+7=19\n19-3=16", ["12 + 7 = 19", "19 - 3 = 16"]),
        ("let speed = 60 / 2; speed * 3 = 90", ["speed = 60/2", "speed*3 = 90"]),
        ("7 - 2 = 5 - so we are done", ["7 - 2 = 5"]),
        ("it is -3 + 5 = 2", ["-3 + 5 = 2"]),
        # What may mean something else is not read.
        ("3 apples + 4 apples = 7 apples", []),
        ("5 apples - 3 = 2", []),
        ("5 apples + 4 = 9", []),
        ("twice 3 + 4 = 10", []),
        ("17 / 5 = 3 remainder 2", []),
        ("17/5 = 3 R 2", []),
        ("2 + 2 = 4 dozen", []),
        ("5 km / 2 h = 2.5", []),
        ("6/2(1+2) = 9", []),
        ("f(x) = 3 + x", []),
        ("4! = 24", []),
        ("2 + 3 = 4!", []),
        ("3 < 5", []),
        ("2^3^2 = 512", []),
        ("sqrt 4 + 1 = 3", []),
        ("if a == b: return 3 + 4", []),
    ],
)
def test_what_is_read(text, expected):
    assert [print_formula(formula) for formula in written_relations(text)] == expected


@given(st.text(alphabet="0123456789+-*/^()=<>%., xyzoflet$\\{}\n|!", max_size=120))
def test_any_text_is_read_without_an_error(text):
    for formula in written_relations(text):
        assert print_formula(formula)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 200_000 + "=", "1=" * 300_000, "1 + " * 200_000 + "= 2", "let " * 200_000, "9" * 500_000 + " + 1 = 2",
        "{" * 99_999, "- " * 300_000 + "1 = 1", "\\frac{1}{" * 100_000, "5%" * 100_000 + "=5",
    ],
)  # fmt: skip
def test_hostile_text_is_read_in_reasonable_time(text):
    assert len(written_relations(text)) <= 32
    EquationFormalizer().formalize(text, [], text)


def record(step, state=StepState.SUCCESS_OF_PROOF):
    return StepRecord(step, state)


def claim_of(step, previous=(), question="", **options):
    found = EquationFormalizer(**options).formalize(question, list(previous), step)
    return print_claim(found) if isinstance(found, Claim) else type(found)


def test_ground_relations_are_all_claimed():
    assert claim_of("2 + 3 = 5, then 5 * 4 = 20") == "show 2 + 3 = 5 and 5*4 = 20"
    assert claim_of("We are done.") is NoClaim


def test_a_new_variable_is_defined_and_then_known():
    assert claim_of("x = 12 + 7") is NoClaim
    assert claim_of("x = 12 + 7 = 20") == "show 12 + 7 = 20"
    defined = [record("x = 12 + 7", StepState.NO_VERIFICATION_REQUIRED)]
    assert claim_of("x = 19", defined) == "vars x : Real; assume x = 12 + 7; show x = 19"
    # A definition stands whatever became of the rest of its step.
    failed = [record("x = 12 + 7 = 20", StepState.FAILURE_OF_PROOF)]
    assert claim_of("x = 19", failed) == "vars x : Real; assume x = 12 + 7; show x = 19"


def test_only_what_was_proved_and_is_connected_is_assumed():
    before = [
        record("x = 2 + 1", StepState.NO_VERIFICATION_REQUIRED),
        record("x = 4", StepState.FAILURE_OF_PROOF),
        record("y = 2x", StepState.NO_VERIFICATION_REQUIRED),
        record("z = 5 + 5", StepState.NO_VERIFICATION_REQUIRED),
        record("x = 3"),
    ]
    assert claim_of("y = 6", before) == "vars x y : Real; assume x = 2 + 1, y = 2*x, x = 3; show y = 6"


def test_the_question_is_assumed():
    asked = "Solve 3x + 4 = 19 for x."
    assert claim_of("3x = 15", question=asked) == "vars x : Real; assume 3*x + 4 = 19; show 3*x = 15"


def test_an_identity_is_claimed_although_its_variables_are_new():
    assert claim_of("(a + 1)^2 = a^2 + 2a + 1") == "vars a : Real; show (a + 1)^2 = a^2 + 2*a + 1"
    assert claim_of("(a + 1)^2 = a^2 + 1") is NoClaim


def test_a_growing_solution_is_read_as_from_the_start():
    steps = [
        record("x = 1 + 1", StepState.NO_VERIFICATION_REQUIRED), record("x = 2"),
        record("y = x + 1", StepState.NO_VERIFICATION_REQUIRED),
    ]  # fmt: skip
    kept = EquationFormalizer()
    for length in range(len(steps) + 1):
        fresh = EquationFormalizer().formalize("q", steps[:length], "y = 3")
        assert kept.formalize("q", steps[:length], "y = 3") == fresh
    other = [record("x = 5 + 5", StepState.NO_VERIFICATION_REQUIRED)]
    assert kept.formalize("q", other, "x = 10") == EquationFormalizer().formalize("q", other, "x = 10")


def test_rounding_is_asked_for():
    assert claim_of("10/3 = 3.33") == "show 10/3 = 3.33"
    # Half a unit of the last place: 1/200.
    assert claim_of("10/3 = 3.33", rounding=True) == "show abs(10/3 - 3.33) <= 0.005"
    assert claim_of("10/2 = 5", rounding=True) == "show 10/2 = 5"


def test_a_models_answer():
    asked = []

    def formalizer(reply, language="claim"):
        return LanguageModelFormalizer(lambda prompt: asked.append(prompt) or reply, language)

    found = formalizer("```\nClaim: show 2 + 2 = 4\n```").formalize("2 + 2?", [record("Let us add.")], "It is 4.")
    assert print_claim(found) == "show 2 + 2 = 4"
    assert all(part in asked[0] for part in ("Question: 2 + 2?", "Let us add.", "Step: It is 4.", "Always formalise"))
    assert isinstance(formalizer("This is FALSE here").formalize("", [], ""), NoClaim)
    error = formalizer("show 2 + = 4").formalize("", [], "")
    assert isinstance(error, FormalizeError)
    assert (error.fault, error.position) == ("parse", 9)
    assert formalizer("show 2^99 = 4").formalize("", [], "").fault == "unsupported"
    assert formalizer("x" * 10**6).formalize("", [], "").fault == "unsupported"
    theorem = "theorem t : 1 = 1 := by sorry"
    assert formalizer(f"```lean\n{theorem}\n```", "lean").formalize("", [], "") == LeanStatement(theorem)
    assert "Lean 4 theorem" in asked[-1]
    assert formalizer("", "lean").formalize("", [], "").fault == "parse"
    with pytest.raises(ScorecraftError, match="unknown language 'coq'"):
        inspect.unwrap(LanguageModelFormalizer.__init__)(object.__new__(LanguageModelFormalizer), str, "coq")


def test_steps():
    assert split_steps("a\n\n b \n") == ["a", "b"]
    assert split_steps("  \n ") == []
    replies = iter(["no list", json.dumps(["changed"]), 'Here: ["a b", "c"]'])
    assert split_steps("a  b\nc", lambda prompt: next(replies)) == ["a b", "c"]
    assert split_steps("a b\nc", lambda prompt: "[1, 2]") == ["a b", "c"]
    assert split_steps("a\nb", lambda prompt: "[" * 100_000) == ["a", "b"]
