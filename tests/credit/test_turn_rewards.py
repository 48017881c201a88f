"""Rewards of turns, answers in words, the reward of a whole trace, and how goals are solved: by hand."""

from __future__ import annotations

import pytest
import torch

from scorecraft.credit.answer_overlap import answer_f1
from scorecraft.credit.solve_f1 import solve_metrics
from scorecraft.credit.tool_trace_reward import tool_trace_rewards
from scorecraft.credit.turn_rewards import turn_rewards
from scorecraft.errors import ScorecraftError

NAN = float("nan")


def doubles(rows):
    return torch.tensor(rows, dtype=torch.float64)


def call(tool, **arguments):
    return {"name": tool, "arguments": arguments}


def test_a_turn_earns_the_mean_of_its_calls_or_its_answer():
    rewards = doubles([[0.8, 0.4, 1.0, 9.0], [0.5, 0.5, 9.0, 9.0]])
    turns = torch.tensor([[0, 0, 2, -1], [0, 1, -1, -1]])
    found = turn_rewards(rewards, turns, torch.tensor([4, 2]))
    torch.testing.assert_close(found.rewards, torch.tensor([[0.6, 0.0, 1.0, 0.0], [0.5, 0.5, 0.0, 0.0]]))
    assert found.mask.tolist() == [[True] * 4, [True, True, False, False]]
    # The call of turn 2 does not count beside the answer there, and an answer worth 0 is one.
    answers = doubles([[NAN, NAN, 0.25, NAN, NAN], [NAN, 0.0, NAN, NAN, NAN]])
    found = turn_rewards(rewards, turns, torch.tensor([4, 2]), answers)
    torch.testing.assert_close(found.rewards, torch.tensor([[0.6, 0.0, 0.25, 0.0], [0.5, 0.0, 0.0, 0.0]]))


def test_rollouts_without_turns_or_calls():
    no_calls = torch.zeros(2, 0, dtype=torch.int64)
    found = turn_rewards(no_calls.double(), no_calls, torch.tensor([0, 1]))
    assert found.rewards.tolist() == [[0.0], [0.0]]
    assert found.mask.tolist() == [[False], [True]]
    empty = torch.tensor([], dtype=torch.int64)
    assert turn_rewards(no_calls[:0].double(), no_calls[:0], empty).rewards.shape == (0, 0)


def test_calls_and_answers_beyond_the_turns_are_named():
    rewards, turns = doubles([[0.5], [0.5]]), torch.tensor([[0], [2]])
    with pytest.raises(ScorecraftError, match="rollout 1 has 2 turns, and a call in turn 2"):
        turn_rewards(rewards, turns, torch.tensor([3, 2]))
    answers = doubles([[NAN, NAN, 1.0], [NAN, NAN, 1.0]])
    with pytest.raises(ScorecraftError, match="rollout 1 has 1 turns, and an answer in turn 2"):
        turn_rewards(rewards, torch.tensor([[0], [0]]), torch.tensor([3, 1]), answers)
    with pytest.raises(ScorecraftError, match="answers of 1 turns, but a rollout has 3"):
        turn_rewards(rewards, turns, torch.tensor([3, 3]), answers[:, :1])


def test_answers_overlap_as_sets_of_words():
    # {the, eiffel, tower} and {eiffel, tower, paris}.
    assert answer_f1("The Eiffel-Tower!", "eiffel tower, Paris") == pytest.approx(2 / 3)
    assert answer_f1("yes yes YES", "Yes.") == 1.0
    # One of four, one of one: 2 * 1/4 / (5/4).
    assert answer_f1("it is not 42", "42") == pytest.approx(0.4)
    for pred, gold in (("", ""), ("?!", "?!"), ("no", "yes"), ("", "yes")):
        assert answer_f1(pred, gold) == 0.0


def test_one_reward_for_a_whole_trace():
    preds = [call("search", q="a"), call("search", q="a"), call("Calc", x=1)]
    golds = [call("search", q="a", k=3), call("calc", x=2)]
    # Names 2/3; search 1/2 + 1; calc 1 + 0; of 1 + 3 + 2.
    (found,) = tool_trace_rewards([preds], [golds]).tolist()
    assert found == pytest.approx(6 * (2 / 3 + 1.5 + 1) / 6 - 3)
    assert tool_trace_rewards([golds, []], [golds, golds]).tolist() == pytest.approx([3.0, -3.0])
    assert tool_trace_rewards([[], preds], [[], []]).tolist() == pytest.approx([3.0, -3.0])
    assert tool_trace_rewards([], []).shape == (0,)


def test_a_call_counts_for_the_first_golden_call_that_takes_it():
    # The exact call is used up by the first golden call (1 + 1); the second gets what is left (1 + 0).
    preds, golds = [call("t", x=1), call("t", x=3)], [call("t", x=1), call("t", x=1)]
    assert tool_trace_rewards([preds], [golds]).item() == pytest.approx(6 * (1 + 2 + 1) / 5 - 3)
    # A call of no use to one golden call is left for the next: 0 for the first, 2 for the second, names 1/2.
    preds, golds = [call("t", x=1)], [call("t", y=1), call("t", x=1)]
    assert tool_trace_rewards([preds], [golds]).item() == pytest.approx(6 * (0.5 + 0 + 2) / 5 - 3)


def test_goals_solved_per_call_and_per_goal():
    found = solve_metrics(torch.tensor([2, 0, 3]), torch.tensor([4, 3, 3]), torch.tensor([5, 0, 3]))
    torch.testing.assert_close(found.precision, torch.tensor([0.4, 1.0, 1.0]))
    torch.testing.assert_close(found.rate, torch.tensor([0.5, 0.0, 1.0]))
    torch.testing.assert_close(found.f1, torch.tensor([4 / 9, 0.0, 1.0]))
    for solved, goals, calls in ((1, 0, 1), (3, 2, 4), (-1, 2, 2), (0, 2, -1)):
        with pytest.raises(ScorecraftError, match="trace 0 has"):
            solve_metrics(torch.tensor([solved]), torch.tensor([goals]), torch.tensor([calls]))
