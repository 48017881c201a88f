"""Credit per turn: a bonus for the second turn must be able to leave the first alone."""

import dataclasses
import inspect

import pytest
import torch

from scorecraft.context import Context
from scorecraft.credit.parts.turns import Turns
from scorecraft.credit.turn_returns import turn_returns
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome
from scorecraft.scores import RewardTable, Scores

TURNS = torch.tensor([[0, 0, 0, 1, 1, -1]])
MASK = torch.tensor([[True, True, False, True, True, False]])


def test_by_hand():
    rewards = torch.tensor([[1.0, 4.0]])
    assert turn_returns(rewards, TURNS, MASK, reach="own").tolist() == [[1.0, 1.0, 0.0, 4.0, 4.0, 0.0]]
    to_go = turn_returns(rewards, TURNS, MASK, reach="to-go", gamma=0.5)
    assert to_go.tolist() == [[3.0, 3.0, 0.0, 4.0, 4.0, 0.0]]


def test_mistakes_are_named():
    with pytest.raises(ScorecraftError, match="token 3 of rollout 0 is in turn 1"):
        turn_returns(torch.ones(1, 1), TURNS, MASK)
    with pytest.raises(ScorecraftError, match="unknown reach"):
        inspect.unwrap(turn_returns)(torch.ones(1, 2), TURNS, MASK, reach="all")
    with pytest.raises(ScorecraftError, match="gamma"):
        turn_returns(torch.ones(1, 2), TURNS, MASK, gamma=2.0)
    assert turn_returns(torch.ones(1, 0), TURNS - 9, MASK & False).tolist() == [[0.0] * 6]


def table(**values):
    total = torch.tensor([10.0])
    parts = {name: Scores(torch.tensor([value]), (Outcome.SCORED,)) for name, value in values.items()}
    return RewardTable(total, torch.ones(1, dtype=torch.bool), parts)


def test_a_bonus_for_the_second_turn_does_not_reach_the_first(make_rollouts):
    rollouts = dataclasses.replace(make_rollouts([MASK[0].int().tolist()], [0]), turns=TURNS)
    context = Context(None, torch.Generator())
    part = Turns(of={"bonus": 1}, weights={"bonus": 2.0})
    returns = part(rollouts, table(bonus=3.0), context)
    assert returns.tolist() == [[10.0, 10.0, 0.0, 16.0, 16.0, 0.0]]
    reaching = Turns(of={"bonus": 1}, reach="to-go")(rollouts, table(bonus=3.0), context)
    assert reaching.tolist() == [[13.0, 13.0, 0.0, 13.0, 13.0, 0.0]]
    with pytest.raises(ScorecraftError, match="no reward 'other'"):
        Turns(of={"other": 1})(rollouts, table(bonus=3.0), context)
    with pytest.raises(ScorecraftError, match="turns count from 0"):
        Turns(of={"bonus": -1})(rollouts, table(bonus=3.0), context)
    with pytest.raises(ScorecraftError, match="which 'of' does not name"):
        Turns(weights={"bonus": 1})(rollouts, table(bonus=3.0), context)
