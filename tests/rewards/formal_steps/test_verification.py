"""The four states, scores by hand, the aggregator, and the reward part."""

from __future__ import annotations

import inspect
import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem
from scorecraft.recipes.lint import lint
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.formal_steps import (
    CheckResult,
    EquationFormalizer,
    ExactProver,
    FormalizeError,
    NoClaim,
    ProofResult,
    StepRecord,
    StepState,
    best_of_n,
    combine,
    parse_claim,
    prospective_score,
    rule_score,
    scan_alpha,
    step_state,
    verify_step,
    verify_trace,
)
from scorecraft.rewards.formal_steps.aggregation import (
    StateLSTM,
    class_weights,
    fit_aggregator,
    pad_states,
    retrospective_score,
)
from scorecraft.rewards.parts.formal_steps import FormalSteps
from scorecraft.rollouts_from_texts import rollouts_from_texts
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

FAILED, PROVED, UNNEEDED, UNFORMAL = StepState


class Replies:
    """A formaliser that gives its answers one after the other."""

    deterministic = False

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    def formalize(self, question, previous, step):
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


class Slow(ExactProver):
    def prove(self, claim, timeout_s=None, attempts=1):
        return ProofResult("unknown", {"reason": "timeout"})


def state_of(*answers, prover=None, **options):
    formalizer = Replies(*answers)
    found = verify_step("q", [], "s", formalizer, prover or ExactProver(), **options)
    return found.state, found.substatus, formalizer.asked


def test_the_state_machine():
    good, wrong = parse_claim("show 2 + 2 = 4"), parse_claim("show 2 + 2 = 5")
    vacuous, undefined = parse_claim("assume 1 = 2; show 2 + 2 = 4"), parse_claim("show 1/0 = 1")
    error = FormalizeError("parse", "no", 3)
    assert state_of(good) == (PROVED, "", 1)
    assert state_of(wrong) == (FAILED, "refuted", 1)
    assert state_of(NoClaim()) == (UNNEEDED, "", 1)
    assert state_of(error, good) == (PROVED, "", 2)
    assert state_of(error, NoClaim()) == (UNNEEDED, "", 2)
    assert state_of(error) == (UNFORMAL, "parse", 3)
    assert state_of(error, error, vacuous) == (UNFORMAL, "vacuous", 3)
    assert state_of(undefined, max_formalize=2) == (UNFORMAL, "ill-defined", 2)
    assert state_of(parse_claim("vars x : Real; show x = 1")) == (UNFORMAL, "unsupported", 3)
    assert state_of(wrong, prover=Slow()) == (FAILED, "unknown", 1)
    assert state_of(parse_claim("show 3 = 3")) == (UNNEEDED, "contentless", 1)
    assert state_of(parse_claim("show 3 = 3"), contentless_as="success") == (PROVED, "contentless", 1)
    # Contradictory hypotheses come before a goal that repeats one of them.
    assert state_of(parse_claim("assume 1 = 2; show 1 = 2")) == (UNFORMAL, "vacuous", 3)
    with pytest.raises(ScorecraftError, match="max_formalize"):
        state_of(good, max_formalize=0)


def test_a_rule_is_asked_once():
    formalizer = Replies(FormalizeError("parse", "no"))
    formalizer.deterministic = True
    found = verify_step("q", [], "s", formalizer, ExactProver())
    assert (found.attempts, formalizer.asked, found.reason) == (1, 1, "no")


def test_a_solution_step_by_step():
    records = verify_trace(
        "Tom has 12 pens and gets 7. How many boxes of 5 can he fill?",
        ["x = 12 + 7", "x = 19", "y = x - 4", "y = 14", "y / 5 = 3", "So 3 boxes."],
        EquationFormalizer(),
        ExactProver(),
    )
    assert [record.state for record in records] == [UNNEEDED, PROVED, UNNEEDED, FAILED, PROVED, UNNEEDED]
    assert records[3].refuted
    assert records[3].proof.model == {"x": "19", "y": "15"}
    assert records[1].goal_text == "x = 19"
    assert verify_trace("q", ["1 + 1 = 2"], EquationFormalizer(), ExactProver(), budget_s=-1.0) == []


def test_names_of_states():
    assert step_state("Success of Proof") is PROVED
    assert step_state("no-verification_required") is UNNEEDED
    with pytest.raises(ScorecraftError, match="did you mean 'FAILED_FORMALIZATION'"):
        step_state("failed formalisation")


def test_scores_by_hand():
    assert rule_score([1, 1, 2, 0]) == pytest.approx(3.5 / 6)
    assert rule_score([]) == 0.0
    refuted = StepRecord("s", FAILED, substatus="refuted")
    assert rule_score([StepRecord("s", PROVED), refuted]) == 0.0
    assert rule_score([StepRecord("s", PROVED), StepRecord("s", FAILED, substatus="unknown")]) == 0.5
    with pytest.raises(ScorecraftError, match="unknown step state 4"):
        rule_score([4])
    # sqrt(.9 * .4) = .6; .9^.3 .4^.7 = exp(.3 ln .9 + .7 ln .4) = .510170.
    assert combine(0.9, 0.4) == pytest.approx(0.6)
    assert combine(0.9, 0.4, 0.3) == pytest.approx(0.510170, abs=1e-6)
    assert (combine(0.9, 0.4, 0.0), combine(0.9, 0.4, 1.0)) == (0.4, 0.9)
    assert combine(0.0, 0.4, 0.0) == 0.0
    assert combine(0.9, 0.4, how="sum") == pytest.approx(0.65)
    assert (combine(0.9, 0.4, how="min"), combine(0.9, 0.4, how="max")) == (0.4, 0.9)
    assert combine(0.9, 0.4, how="mul") == pytest.approx(0.36)
    assert prospective_score([0.2, 0.4, 0.9]) == pytest.approx(0.5)


def test_the_first_of_equals_wins_and_the_last_as_published():
    assert best_of_n([0.1, 0.7, 0.7]) == 1
    assert best_of_n([0.1, 0.7, 0.7], compat="safe") == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: combine(0.5, math.nan), "the prospective score in"),
        (lambda: combine(1.5, 0.5), "the retrospective score in"),
        (lambda: combine(0.5, 0.5, -0.1), "alpha in"),
        (lambda: inspect.unwrap(combine)(0.5, 0.5, how="mean"), "unknown how 'mean'"),
        (lambda: prospective_score([]), "at least one"),
        (lambda: prospective_score([0.5, 2.0]), "a step score in"),
        (lambda: best_of_n([]), "expected scores"),
        (lambda: best_of_n([0.5, math.nan]), "expected scores"),
        (lambda: scan_alpha([0.5], [0.5], [True], []), "four columns"),
        (lambda: class_weights(torch.tensor([True, True])), "only one kind"),
        (lambda: fit_aggregator([[1], [1]], [True, True], [0, 1]), "only one kind"),
        (lambda: fit_aggregator([[1], [0]], [True, False], [0, 0]), "two problems"),
        (lambda: fit_aggregator([[1]], [True, False], [0, 1]), "one trace, label"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_alpha_is_the_middle_of_the_best():
    # Retro alone (alpha > 1/2) is right: .9^a .1^(1-a) > .1^a .9^(1-a) only there; 0.51 to 0.99 are 49 values.
    assert scan_alpha([0.9, 0.1], [0.1, 0.9], [True, False], ["p", "p"]) == pytest.approx(0.75)


def test_class_weights_by_hand():
    # p = .8: .5/.8 = .625, .5/.2 = 2.5.
    found = class_weights(torch.tensor([True] * 4 + [False]))
    torch.testing.assert_close(found, torch.tensor([0.625] * 4 + [2.5]))


def test_padding_never_leaks_and_no_steps_score_0():
    torch.manual_seed(0)
    model = StateLSTM(8)
    traces = [[1, 0, 2], [1], []]
    table, lengths = pad_states(traces)
    assert table.tolist() == [[1, 0, 2], [1, 0, 0], [0, 0, 0]]
    logits = model(table, lengths)
    alone = model(torch.tensor([[1]]), torch.tensor([1]))
    torch.testing.assert_close(logits[1:2], alone)
    other = table.clone()
    other[1, 1:] = 3
    torch.testing.assert_close(model(other, lengths), logits)
    one_hot = torch.nn.functional.one_hot(table, 4).float()
    torch.testing.assert_close(model(one_hot, lengths), logits)
    assert logits[2].item() == -math.inf
    assert model(torch.zeros(1, 0, dtype=torch.int64), torch.tensor([0])).sigmoid().item() == 0.0
    assert pad_states([])[0].shape == (0, 0)


def test_an_aggregator_learns_that_a_failed_proof_is_a_bad_sign():
    chance = random.Random(0)
    traces, labels, problems = [], [], []
    for problem in range(60):
        for _ in range(3):
            wrong = chance.random() < 0.3
            trace = [chance.choice([1, 1, 2]) for _ in range(chance.randint(2, 5))]
            if wrong:
                trace[chance.randrange(len(trace))] = 0
            traces.append(trace)
            labels.append(not wrong)
            problems.append(problem)
    fitted = fit_aggregator(traces, labels, problems, epochs=40, learning_rate=3e-3, seed=1)
    assert fitted([[1, 1, 2], [1, 0, 2]]).tolist()[0] > 0.7
    assert fitted([[1, 1, 2], [1, 0, 2]]).tolist()[1] < 0.3
    assert fitted([[]]).tolist() == [0.0]
    assert retrospective_score([1, 1], fitted) > retrospective_score([0, 1], fitted)
    assert retrospective_score([1, 1]) == 0.75
    assert len(fitted.held_out) == 12
    assert max(fitted.balanced_accuracy) == fitted.balanced_accuracy[fitted.epoch]
    again = fit_aggregator(traces, labels, problems, epochs=40, learning_rate=3e-3, seed=1)
    assert again.balanced_accuracy == fitted.balanced_accuracy


@given(st.lists(st.integers(0, 3), max_size=8))
def test_scores_stay_in_range(states):
    assert 0 <= rule_score(states) <= 1
    assert 0 <= combine(rule_score(states), 0.5) <= 1


def run_part(texts, prompt="What is it?", **options):
    rollouts = rollouts_from_texts([prompt], texts, [Problem(prompt, "1")], [0] * len(texts))
    return FormalSteps(**options)(rollouts, Context(task=ChainArithmetic(), generator=torch.Generator()))


def test_the_part_pays_steps():
    found = run_part(["12+7=19\n19-3=15\n\n#15", "Nothing here.", ""])
    assert found.steps is not None
    assert found.steps.tolist() == [[1, -1, 0], [0, 0, 0], [0, 0, 0]]
    assert found.step_mask is not None
    assert found.step_mask.tolist() == [[True, True, True], [True, False, False], [False, False, False]]
    assert found.values.tolist() == [0, 0, 0]
    assert found.metrics["refuted"].tolist() == pytest.approx([1 / 3, 0, 0])
    assert found.metrics["unneeded"].tolist() == pytest.approx([1 / 3, 1, 0])


def test_options_of_the_part():
    again = ["1+1=2\n1+1=2\n2+2=4"]
    assert run_part(again).values.tolist() == [2]
    assert run_part(again, once=False).values.tolist() == [3]
    assert run_part(again, once=False, mean=True).values.tolist() == pytest.approx([1])
    assert run_part(["1+1=3\nhm"], refuted=-2.0, unneeded=0.5).values.tolist() == [-1.5]
    assert run_part(["1/0=3\n2+2=4"], unformalized=-0.25).values.tolist() == [0.75]
    assert run_part(["1+1=2\n2+2=4"], most_steps=1).values.tolist() == [1]
    assert run_part(["10/3 = 3.33"], rounding=True).values.tolist() == [1]
    assert run_part(["3x = 15\nx = 5"], prompt="Solve 3x + 4 = 19.").values.tolist() == [2]
    # Two solutions, so that it takes a solver: x is 3 or -3.
    squares = {"prompt": "Let x^2 = 9 and x > 0."}
    assert run_part(["x = 3"], **squares).values.tolist() == [0]
    pytest.importorskip("z3")
    assert run_part(["x = 3"], prover="z3", **squares).values.tolist() == [1]
    assert run_part(["x = 4"], prover="best", **squares).values.tolist() == [-1]


def recipe(text):
    return Recipe.model_validate({"reward": {"formal-steps": text, "correct": {}}, "credit": "outcome"})


def test_a_sum_over_true_equations_can_be_farmed_and_a_mean_cannot():
    kinds = [finding.kind for finding in lint(recipe({}))]
    assert "danger" in kinds
    assert "danger" not in [finding.kind for finding in lint(recipe({"mean": True}))]


def test_the_check_result_is_what_it_says():
    assert CheckResult("well-formed") == CheckResult("well-formed", "")
