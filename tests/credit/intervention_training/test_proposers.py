"""Proposers: the reference's own next step, and a model asked in two turns."""

import pytest

from scorecraft.credit.intervention_training import (
    NO_ERROR,
    Attempt,
    Intervention,
    InterventionProposer,
    LanguageModelProposer,
    ReferenceDiffProposer,
)
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem, StepLabel
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

REFERENCE = "A\n\nB\n\nC"


def attempt(*steps, reference=REFERENCE, prompt="Q", answer="C!"):
    return Attempt(Problem(prompt, answer), steps, reference, 3, 1)


@pytest.mark.parametrize(
    ("steps", "location", "content"),
    [
        (("A", "x", "y"), 2, "B"),
        (("x",), 1, "A"),
        ((), 1, "A"),
        (("A", " B \n"), 3, "C"),
        (("A", "B", "x", "C"), 3, "C"),
    ],
)
def test_the_reference_goes_on_where_the_attempt_leaves_it(steps, location, content):
    assert ReferenceDiffProposer().propose([attempt(*steps)]) == [[Intervention(location, content)]]


def test_an_attempt_that_has_all_of_the_reference_gets_nothing():
    assert ReferenceDiffProposer().propose([attempt("A", "B", "C", "more")], 4) == [[NO_ERROR]]


def test_a_checker_decides_where_the_error_is():
    # "note" is no step of the reference and does not count; the error at 4 gets the reference's step after A and B.
    rows = [attempt("A", "note", "B", "x"), attempt("A", "B")]
    found = ReferenceDiffProposer(lambda a: 4 if len(a.steps) == 4 else None).propose(rows)
    assert found == [[Intervention(4, "C")], [NO_ERROR]]
    with pytest.raises(ScorecraftError, match=r"problem 3, attempt 1.* substep 9; expected one in 1 \.\. 3"):
        ReferenceDiffProposer(lambda a: 9).propose([rows[1]])


def test_with_the_exact_checker_of_a_task():
    task = ChainArithmetic()
    problem = task.problem("train", 0)
    gold = problem.gold.rstrip("\n").split("\n")
    equation = gold[1]
    wrong = equation[: equation.rfind("=") + 1] + " 999"

    def first_error(attempt):
        labels = task.check_steps(attempt.problem, "\n".join(attempt.steps) + "\n")
        return next((step.index + 1 for step in labels if step.label is StepLabel.WRONG), None)

    row = Attempt(problem, (gold[0], wrong, *gold[2:]), problem.gold)
    found = ReferenceDiffProposer(first_error, separator="\n").propose([row])
    assert found == [[Intervention(2, equation)]]


def test_a_reference_is_needed():
    assert ReferenceDiffProposer().needs_reference
    with pytest.raises(ScorecraftError, match="problem 3"):
        ReferenceDiffProposer().propose([attempt("A", reference=" ")])


class Model:
    """Answers by what it is asked and keeps the conversations; its second turns err in turns."""

    def __init__(self):
        self.calls = []

    def __call__(self, conversations):
        self.calls.append([list(conversation) for conversation in conversations])
        if len(conversations[0]) == 1:
            return [f"worked out {index}" for index in range(len(conversations))]
        good = '<intervention>{"content": "B", "location": 2}</intervention>'
        return [good if index % 2 == 0 else "no idea" for index in range(len(conversations))]


def test_a_model_is_asked_in_two_turns():
    model = Model()
    rows = [attempt("A", "wrong"), attempt("other try", "wrong"), attempt("A", prompt="Q two")]
    found = LanguageModelProposer(model).propose(rows, 2)
    assert found == [[Intervention(2, "B"), None]] * 3
    first, second = model.calls
    # Two problems, each solved once; three attempts, each asked about twice.
    assert len(first) == 2
    assert len(second) == 6
    assert "Q two" in first[1][0]["content"]
    assert REFERENCE in first[0][0]["content"]
    roles = [message["role"] for message in second[0]]
    assert roles == ["user", "assistant", "user"]
    assert [conversation[1]["content"] for conversation in second] == ["worked out 0"] * 4 + ["worked out 1"] * 2
    asked = second[0][2]["content"]
    assert "Substep 1: A\n\nSubstep 2: wrong" in asked
    assert "C!" in asked
    assert second[0] == second[1]
    assert "other try" in second[2][2]["content"]


def test_the_example_of_the_prompt_is_not_taken_for_an_answer():
    # A model that repeats its prompt and then answers.
    def parrot(conversations):
        own = '\n<intervention>{"content": "mine", "location": 1}</intervention>'
        return [conversation[-1]["content"] + own for conversation in conversations]

    assert LanguageModelProposer(parrot).propose([attempt("A")]) == [[Intervention(1, "mine")]]


def test_a_rewrite_sees_problem_reference_and_attempt():
    model = Model()
    assert LanguageModelProposer(model).rewrite([attempt("A", "wrong")]) == ["worked out 0"]
    asked = model.calls[0][0][0]["content"]
    assert all(part in asked for part in ("Q", REFERENCE, "A\n\nwrong"))


def test_nothing_is_asked_about_nothing():
    model = Model()
    assert LanguageModelProposer(model).propose([], 3) == []
    assert model.calls == []


@pytest.mark.parametrize("replies", [[], ["a", "b"], [None]])
def test_a_generator_must_answer_every_conversation(replies):
    with pytest.raises(ScorecraftError, match="one text for each of 1 conversations"):
        LanguageModelProposer(lambda conversations: replies).propose([attempt("A")])


def test_both_are_proposers():
    assert isinstance(ReferenceDiffProposer(), InterventionProposer)
    assert isinstance(LanguageModelProposer(Model()), InterventionProposer)
