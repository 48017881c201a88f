import math

import pytest
import torch

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome
from scorecraft.rewards import weighted_sum
from scorecraft.rewards.parts.basic import Brevity, Correct, Steps
from scorecraft.scores import Scores

NAN = float("nan")


def failed(outcome, *values):
    """Scores in which NaN stands for the given outcome."""
    return Scores(torch.tensor(values), tuple(outcome if math.isnan(v) else Outcome.SCORED for v in values))


def test_weighted_sum_over_those_that_did_not_abstain():
    table = weighted_sum({
        "correct": (Correct(weight=2.0), Scores.of([1.0, 0.0, None, None])),
        "brevity": (Brevity(weight=0.5), Scores.of([-1.0, None, -0.5, None])),
    })  # fmt: skip
    assert table.total.tolist() == [1.5, 0.0, -0.25, 0.0]
    assert table.valid.tolist() == [True, True, True, False]
    assert list(table.parts) == ["correct", "brevity"]


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.ERROR, Outcome.UNPARSED])
def test_a_failed_reward_takes_the_rollout_out(outcome):
    table = weighted_sum({
        "correct": (Correct(), failed(outcome, 1.0, NAN)),
        "brevity": (Brevity(), Scores.of([-0.5, -0.5])),
    })  # fmt: skip
    assert table.total.tolist() == [0.5, 0.0]
    assert table.valid.tolist() == [True, False]


def test_weight_zero_decides_nothing():
    table = weighted_sum({
        "correct": (Correct(), Scores.of([1.0, None])),
        "steps": (Steps(weight=0.0), failed(Outcome.ERROR, NAN, 5.0)),
    })  # fmt: skip
    assert table.total.tolist() == [1.0, 0.0]
    assert table.valid.tolist() == [True, False]
    assert table.parts["steps"].values[1] == 5.0


def test_negative_weights_subtract():
    assert weighted_sum({"brevity": (Brevity(weight=-1.0), Scores.of([2.0]))}).total.tolist() == [-2.0]


def test_impossible_tables_are_refused():
    with pytest.raises(ScorecraftError, match="no rewards"):
        weighted_sum({})
    with pytest.raises(ScorecraftError, match="different numbers of rollouts"):
        weighted_sum({"correct": (Correct(), Scores.of([1.0])), "brevity": (Brevity(), Scores.of([1.0, 2.0]))})
    with pytest.raises(ScorecraftError, match="'correct': expected a finite weight"):
        weighted_sum({"correct": (Correct(weight=NAN), Scores.of([1.0]))})
