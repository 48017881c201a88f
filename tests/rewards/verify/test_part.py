"""The part: truth from the problem, failures counted, nothing silent."""

import pytest
import torch
from pydantic import ValidationError

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome, Problem
from scorecraft.rewards.parts.verify import Verify

CONTEXT = Context(None, torch.Generator())


def test_verdicts_by_hand(make_rollouts):
    problems = [Problem("a", "1234"), Problem("b", "3/4")]
    texts = ["#### 1,234", "#### 1,235", "\\boxed{0.75}", ""]
    scores = Verify()(make_rollouts([[1]] * 4, [0, 0, 1, 1], texts=texts, problems=problems), CONTEXT)
    assert scores.values.tolist() == [1, 0, 1, 0]
    assert scores.metrics["unparsed"].tolist() == [0, 0, 0, 1]
    assert scores.metrics["fast"].tolist() == [1, 1, 1, 1]


def test_options_reach_the_verifier_and_code_must_be_asked_for(make_rollouts):
    rollouts = make_rollouts([[1]], texts=["#### 10.4"], problems=[Problem("a", "10")])
    assert Verify(absolute=0.5)(rollouts, CONTEXT).values.tolist() == [1]
    assert Verify()(rollouts, CONTEXT).values.tolist() == [0]
    with pytest.raises(ValidationError, match="run_code: true"):
        Verify(kind="code")


def test_a_problem_without_an_answer_fails_and_is_no_wrong_answer(make_rollouts):
    scores = Verify()(make_rollouts([[1]], texts=["#### 1"], problems=[Problem("a", "")]), CONTEXT)
    assert scores.outcomes == (Outcome.ERROR,)
    assert scores.values.isnan().all()


def test_the_truth_may_be_in_the_metadata(make_rollouts):
    problems = [Problem("a", "", metadata={"tests": "42"})]
    rollouts = make_rollouts([[1]], texts=["#### 42"], problems=problems)
    assert Verify(truth="tests")(rollouts, CONTEXT).values.tolist() == [1]
    with pytest.raises(ScorecraftError, match="has no 'test', it has tests"):
        Verify(truth="test")(rollouts, CONTEXT)
