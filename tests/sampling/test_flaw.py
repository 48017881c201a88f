"""Flaws: slips by hand, what each rule refuses, and that whatever is planted in a real solution is a fair flaw."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.problem import Problem, StepLabel
from scorecraft.sampling.repair_from_flawed.asked_errors import AskedErrors, error_request
from scorecraft.sampling.repair_from_flawed.calculation_errors import (
    CALCULATION_SLIPS,
    CalculationErrors,
    inject_calculation,
)
from scorecraft.sampling.repair_from_flawed.flaw import Flaw, contains_answer, flaw_rates, strip_boxed, validate_flaw
from scorecraft.sampling.repair_from_flawed.injector import equation_checker, solution_steps, task_checker
from scorecraft.sampling.repair_from_flawed.reasoning_errors import (
    REASONING_SLIPS,
    ReasoningErrors,
    StructuredTrace,
    inject_reasoning,
)
from scorecraft.sampling.repair_from_flawed.written_sum import read_sum, value
from scorecraft.tasks.calculator import Calculator
from scorecraft.tasks.chain_arithmetic import ChainArithmetic
from scorecraft.tasks.rubric import Rubric

NOTHING = Problem("", "0")
checked = partial(equation_checker, NOTHING)


class Forced(Random):
    """Takes the choice of that number, whatever there is."""

    def __init__(self, place):
        super().__init__(0)
        self.place = place

    def choice(self, seq):
        return seq[self.place]


def all_slips(step, subkind):
    """Return everything that the slip can make of a step."""
    found, place = [], 0
    while True:
        try:
            flaw = inject_calculation(step, Forced(place), subkind)
        except IndexError:
            return set(found)
        if flaw is None:
            return set()
        found.append(flaw.text)
        place += 1


def flaw_of(text, original="12 + 7 = 19", step_index=0):
    return Flaw(text, "calculation", "digit", step_index, original)


# Calculation errors.


@pytest.mark.parametrize(
    ("step", "subkind", "expected"),
    [
        ("12 + 7 = 19", "digit", {"12 + 7 = 20", "12 + 7 = 18", "12 + 7 = 29", "12 + 7 = 9"}),
        ("12 + 7 = 19", "off_by_one", {"12 + 7 = 20", "12 + 7 = 18"}),
        # 5 - (-3) = 8; with either minus a plus it is 5 - 3.
        ("x = 5 - (-3) = 8", "sign", {"x = 5 - (-3) = 2"}),
        ("3x + 2x = 5x", "coefficient", {"3x + 2x = 6x", "3x + 2x = 4x"}),
        ("3x - 2x = 1x", "coefficient", {"3x - 2x = 2x"}),
        ("3x + 2x = 5x", "drop_term", {"3x + 2x = 3x"}),
        ("12-7+3=8", "sign", {"12-7+3=22", "12-7+3=2"}),
        ("12-7+3=8", "drop_term", {"12-7+3=15", "12-7+3=5"}),
        # 2 + 3 * 4: products first; 3 * 4 with a factor off by 1 is 16, 8, 15 or 9.
        ("2 + 3 * 4 = 14", "coefficient", {f"2 + 3 * 4 = {2 + p}" for p in (16, 8, 15, 9)}),
        ("2 + 3 * 4 = 14", "drop_term", {"2 + 3 * 4 = 2"}),
        ("2 + 3 * 4 = 14", "sign", {"2 + 3 * 4 = -10"}),
        # 13 / 4 and 12 / 5 are no whole numbers; 11 / 4 neither, and 12 / 3 = 4 is.
        ("12 / 4 = 3", "coefficient", {"12 / 4 = 4"}),
        ("so -5 + 3 = -2.", "sign", {"so -5 + 3 = -8.", "so -5 + 3 = 8."}),
        ("add 7: 12+7=19", "off_by_one", {"add 7: 12+7=20", "add 7: 12+7=18"}),
        ("12 + 7 = 19", "coefficient", set()),
        ("3 * 4 = 12", "sign", set()),
        ("12 + 7 = 20", "off_by_one", set()),  # not true to begin with
        ("#16", "off_by_one", set()),
        ("12 + 7", "off_by_one", set()),
        ("y = 19", "off_by_one", set()),
        ("3x + 2y = 5x", "coefficient", set()),
        ("12 + 7 = 19 - 3", "off_by_one", set()),
        ("1.5 + 2 = 3", "off_by_one", set()),
        ("4 / 0 = 4", "off_by_one", set()),
    ],
)
def test_slips_by_hand(step, subkind, expected):
    assert all_slips(step, subkind) == expected
    for text in expected:
        assert validate_flaw(Flaw(text, "calculation", subkind, 0, step), [step], "777", checked) == []


def test_the_first_choices():
    # Down, or up for a digit: what a forced draw gives.
    assert inject_calculation("12 + 7 = 19", Forced(0), "digit") == flaw_of("12 + 7 = 20")
    assert inject_calculation("12 + 7 = 19", Forced(1), "off_by_one").text == "12 + 7 = 18"
    assert inject_calculation("3x + 2x = 5x", Forced(0), "coefficient").text == "3x + 2x = 6x"


@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=4),
    st.lists(st.sampled_from("+-*"), min_size=3, max_size=3),
    st.sampled_from(CALCULATION_SLIPS),
    st.integers(0, 10**6),
)
def test_a_slip_changes_the_result_and_nothing_else(numbers, operators, subkind, seed):
    signs = "".join(operators[: len(numbers) - 1])
    first, *rest = (f"({n})" if n < 0 else str(n) for n in numbers)
    left = first + "".join(f" {sign} {n}" for sign, n in zip(signs, rest, strict=True))
    # Python's own precedence is the reference; the text is made here.
    true = eval(left)
    assert value(numbers, signs) == true
    flaw = inject_calculation(f"{left} = {true}", Random(seed), subkind)
    if flaw is not None:
        kept, _, result = flaw.text.rpartition(" = ")
        assert kept == left
        assert int(result) != true
        assert read_sum(flaw.text).true is False
        assert checked([flaw.text]) == [StepLabel.WRONG]


# Reasoning errors.


STEPS = ["12+7=19", "19-3=16", "16+4=20", "#20"]


@pytest.mark.parametrize(
    ("subkind", "expected"),
    [
        ("swap_operation", {(0, "12-7=5"), (1, "19+3=22"), (2, "16-4=12")}),
        # Exchanging operands matters to the minus alone, and the order of plus and minus not at all.
        ("wrong_order", {(1, "3-19=-16")}),
        ("ignore_case", {(0, "12-3=9"), (1, "19+4=23")}),
        ("wrong_formula", {(1, "7-3=4"), (2, "3+4=7")}),
        ("overgeneralise", {(1, "19+7=26"), (2, "16-3=13")}),
    ],
)
def test_reasoning_errors_by_hand(subkind, expected):
    trace = StructuredTrace.read(STEPS)
    found = {(f.step_index, f.text) for f in (inject_reasoning(trace, Random(s), subkind) for s in range(60))}
    assert found == expected
    assert [place for place, _ in trace.operations] == [0, 1, 2]
    first = inject_reasoning(trace, Random(0), subkind, at="first")
    assert first is None if subkind in ("wrong_order", "wrong_formula", "overgeneralise") else first.step_index == 0


def test_an_operation_done_too_early_matters_to_products():
    # 2+3, then times 4: (2 * 4) + 3 is 11 and not 20; 5 * 4 and 3 + 2 do not change by exchange.
    trace = StructuredTrace.read(["2+3=5", "5*4=20"])
    assert {inject_reasoning(trace, Random(s), "wrong_order").text for s in range(20)} == {"2*4=8"}
    # Nothing errs where there is nothing to err in.
    assert inject_reasoning(StructuredTrace.read(["#20", "so it is"]), Random(0), "swap_operation") is None
    assert inject_reasoning(StructuredTrace.read(["1+2=4"]), Random(0), "swap_operation") is None


def test_a_step_keeps_its_words_and_spaces():
    trace = StructuredTrace.read(["subtract 3: 19 - 3 = 16"])
    assert inject_reasoning(trace, Random(0), "swap_operation").text == "subtract 3: 19 + 3 = 22"
    for text in ("2*3+4=10", "(3+4=7", "x+3+4=7"):
        assert StructuredTrace.read([text]).operations == (), text


# What makes a flaw fair.


@pytest.mark.parametrize(
    ("text", "answer", "faults"),
    [
        ("12 + 7 = 20", "16", []),
        ("12 + 7 = 19", "16", ["identical"]),
        ("12  +  7 = 19", "16", ["identical"]),
        ("7 + 12 = 19", "16", ["not_refuted"]),
        ("twelve and seven are twenty", "16", ["not_refuted"]),
        ("12 + 7 = 20", "20", ["contains_answer"]),
        ("12 + 7 = 20", "0", []),
        ("12 + 7 = \\boxed{20}", "16", ["boxed"]),
        ("12 + 7 = 20, wait, that is a mistake", "16", ["self_reference"]),
        ("12 + 7 = 20 apples of \\boxed{16}: wrong", "16", ["contains_answer", "boxed", "self_reference"]),
    ],
)
def test_each_rule(text, answer, faults):
    assert validate_flaw(flaw_of(text), ["12 + 7 = 19"], answer, checked) == faults


def test_it_must_be_the_only_error_and_one_step():
    steps = ["12 + 7 = 20", "20 - 3 = 17"]
    later = flaw_of("20 - 3 = 18", "20 - 3 = 17", 1)
    assert validate_flaw(later, steps, "16", checked) == ["earlier_step_refuted"]
    task = ChainArithmetic()
    problem = task.problem("train", 0)
    gold = solution_steps(problem)
    labels = partial(task_checker(task), problem)
    two = flaw_of(f"{gold[0]}1\n{gold[1]}", gold[0])
    assert "not_one_step" in validate_flaw(two, gold, "0.5", labels)
    assert "not_one_step" in validate_flaw(flaw_of(" ", gold[0]), gold, "0.5", lambda steps: [])


def test_the_answer_as_a_word_or_anywhere():
    assert contains_answer("12 + 7 = 16", "6", match="substring")
    assert not contains_answer("12 + 7 = 16", "6")
    assert not contains_answer("it is 6.5", "6")
    assert contains_answer("it is 6.", "6")
    assert not contains_answer("12-7=5", "-7")
    assert contains_answer("so -7", "-7")
    assert contains_answer("x = \\frac{1}{2}", "\\frac{1}{2}")


def test_rates_of_a_set():
    rates = flaw_rates([[], ["boxed"], ["boxed", "not_refuted"], []])
    assert (rates["valid"], rates["boxed"], rates["not_refuted"], rates["identical"]) == (0.5, 0.5, 0.25, 0.0)
    with pytest.raises(ScorecraftError, match="no flaws"):
        flaw_rates([])


def test_bad_input_is_named():
    with pytest.raises(ScorecraftError, match="answer is empty"):
        validate_flaw(flaw_of("x"), ["y"], " ", checked)
    with pytest.raises(ScorecraftError, match="at step 3, but the solution has 1"):
        validate_flaw(flaw_of("x", "y", 3), ["y"], "1", checked)
    with pytest.raises(ScorecraftError, match="did you mean 'sign'"):
        inject_calculation("1+1=2", Random(0), "sing")
    with pytest.raises(ScorecraftError, match="did you mean 'wrong_order'"):
        inject_reasoning(StructuredTrace.read([]), Random(0), "wrong_oder")
    with pytest.raises(ScorecraftError, match="no true answer"):
        CalculationErrors().inject(Problem("p", ""), ["1+1=2"], "", Random(0))


# Real solutions.

TASKS = [
    ChainArithmetic(),
    ChainArithmetic(operators="+-*", spare_steps=0.5, unanswerable=0.3),
    Rubric(),
    Calculator(),
]


@given(st.sampled_from(TASKS), st.integers(0, 400), st.booleans(), st.integers(0, 10**6))
def test_what_is_planted_in_a_solution_is_its_only_error(task, index, calculation, seed):
    problem = task.problem("train", index)
    steps, checker = solution_steps(problem), task_checker(task)
    injector = CalculationErrors(checker) if calculation else ReasoningErrors(checker)
    flaw = injector.inject(problem, steps, problem.answer, Random(seed))
    assert flaw == injector.inject(problem, steps, problem.answer, Random(seed))
    if flaw is not None:
        assert flaw.kind == ("calculation" if calculation else "reasoning")
        assert flaw.original == steps[flaw.step_index]
        prefix = flaw.prefix(steps)
        assert prefix.endswith(flaw.text + "\n")
        labels = [verdict.label for verdict in task.check_steps(problem, prefix)]
        assert labels[-1] is StepLabel.WRONG
        assert StepLabel.WRONG not in labels[:-1]


def test_nearly_every_chain_admits_both_kinds_and_all_errors_occur():
    task = ChainArithmetic(operators="+-*", largest=20)
    checker, subkinds, none = task_checker(task), set(), 0
    for problem in task.problems("train", 0, 150):
        for injector in (CalculationErrors(checker), ReasoningErrors(checker)):
            flaw = injector.inject(problem, solution_steps(problem), problem.answer, Random(problem.key))
            none += flaw is None
            subkinds.add(flaw.subkind if flaw else None)
    assert subkinds - {None} == {*CALCULATION_SLIPS, *REASONING_SLIPS}
    assert none < 15


def test_only_the_first_step_where_that_is_asked_for():
    task = Rubric()
    problem = task.problem("train", 1)
    steps = solution_steps(problem)
    assert steps[0].startswith("find ")
    for injector in (
        CalculationErrors(task_checker(task), at="first"),
        ReasoningErrors(task_checker(task), at="first"),
    ):
        flaws = [injector.inject(problem, steps, problem.answer, Random(seed)) for seed in range(30)]
        assert {flaw.step_index for flaw in flaws if flaw} == {1}


def test_a_task_without_step_checker_has_its_equations_checked():
    class Plain:
        step_delimiter = "\n"

        def check_steps(self, problem, completion):
            return []

    labels = task_checker(Plain())(NOTHING, ["3+4=7", "so", "7+1=9", "3x + 2x = 6x"])
    assert labels == [StepLabel.CORRECT, StepLabel.OFF_TOPIC, StepLabel.WRONG, StepLabel.WRONG]


# Errors that a language model writes.


def test_boxes_are_taken_out():
    assert strip_boxed("so \\boxed{\\frac{1}{2}} it is \\fbox {3}.") == "so  it is ."
    assert strip_boxed("so \\boxed{7") == "so "
    assert strip_boxed("plain") == "plain"


def test_an_asked_error_is_stripped_checked_and_asked_again():
    replies = ["12 + 7 = 19", "12 + 7 = 21 \\boxed{21}"]
    asked = []

    def ask(request):
        asked.append(request)
        return replies[min(len(asked), len(replies)) - 1]

    problem = Problem("What is 12 + 7 - 3?", "16")
    injector = AskedErrors(ask, equation_checker, kind="calculation")
    with pytest.warns(ScorecraftWarning, match="boxed answer was taken out"):
        flaw = injector.inject(problem, ["12 + 7 = 19", "19 - 3 = 16"], "16", Random(0))
    assert (flaw.text, flaw.step_index, len(asked)) == ("12 + 7 = 21", 0, 2)
    assert "What is 12 + 7 - 3?" in asked[0]
    assert "ONE subtle error" in asked[0]
    assert AskedErrors(lambda request: "12 + 7 = 19", equation_checker).inject(problem, ["1"], "16", Random(0)) is None
    assert injector.inject(problem, [], "16", Random(0)) is None
    assert "fault of reasoning" in error_request(problem, "16", "reasoning", Random(0))
