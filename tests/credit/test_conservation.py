"""What every registered credit part must hold: the right sum, on the right tokens, blind to padding.

A part that changes the rollout's credit on purpose (instead of handing out the total reward) states the expected
credit in `EXPECTED_CREDIT`; all other checks hold for it as they stand.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.problem import Outcome
from scorecraft.scores import RewardTable, Scores


def _soft_minimum(rewards: RewardTable) -> torch.Tensor:
    """Sum of r exp(-r/0.1) over the sum of exp(-r/0.1), in plain Python, for valid rows with a step."""
    scores = rewards.parts["process"]
    totals = []
    for row, present, valid in zip(scores.steps.tolist(), scores.step_mask.tolist(), rewards.valid, strict=True):
        steps = [reward for reward, there in zip(row, present, strict=True) if there]
        weights = [math.exp(-(reward - min(steps)) / 0.1) for reward in steps]
        total = sum(w * r for w, r in zip(weights, steps, strict=True)) / sum(weights) if steps and valid else 0.0
        totals.append(total)
    return torch.tensor(totals)


def _last_less_first(rewards: RewardTable) -> torch.Tensor:
    """What the accuracies of valid rows gain from the first step to the last."""
    scores = rewards.parts["process"]
    rows = [row[there].tolist() for row, there in zip(scores.steps, scores.step_mask, strict=True)]
    return torch.tensor([row[-1] - row[0] if row else 0.0 for row in rows]) * rewards.valid


def _first_step_advantage(rewards: RewardTable, group: list[int]) -> torch.Tensor:
    """Value of the first step less the mean total of the prompt's valid rollouts; 0 without any."""
    scores = rewards.parts["process"]
    credits = []
    for row, (values, present) in enumerate(zip(scores.steps.tolist(), scores.step_mask.tolist(), strict=True)):
        mates = [float(rewards.total[i]) for i in range(len(group)) if group[i] == group[row] and rewards.valid[i]]
        known = [value for value, there in zip(values, present, strict=True) if there]
        credits.append(known[0] - sum(mates) / len(mates) if known and mates and rewards.valid[row] else 0.0)
    return torch.tensor(credits)


def _total_and_first_depth(rewards: RewardTable) -> torch.Tensor:
    """Total, and 0.1 / ln 2 for each nat of the first step, unless it is above the batch's 90th percentile."""
    scores = rewards.parts["process"]
    there = scores.step_mask & rewards.valid[:, None]
    limit = np.quantile(scores.steps[there].double().numpy(), 0.9) if there.any() else 0.0
    credit = []
    for total, row, present in zip(rewards.total.tolist(), scores.steps.tolist(), there.tolist(), strict=True):
        first = next((reward for reward, exists in zip(row, present, strict=True) if exists), 0.0)
        credit.append(total + (0.1 / math.log(2) * first if first <= limit else 0.0))
    return torch.tensor(credit)


EXPECTED_CREDIT: dict[str, Callable[[RewardTable, list[int]], torch.Tensor]] = {
    "min-form": lambda rewards, group: _soft_minimum(rewards),
    "stepwise-reward": lambda rewards, group: _last_less_first(rewards),
    "per-step-advantage": _first_step_advantage,
    "reasoning-depth": lambda rewards, group: _total_and_first_depth(rewards),
}
# Parts that read steps as shares in [0, 1].
SHARES = {"stepwise-reward"}


@st.composite
def cases(draw):
    """Mask rows with steps, a reward per step that sums to the total, validity, and groups."""
    rows = draw(st.lists(st.lists(st.integers(0, 1), max_size=6), min_size=1, max_size=5))
    steps = [[position // 2 for position in range(len(row))] for row in rows]
    rewards = [
        [draw(st.floats(-2, 2, width=16)) if any(row[2 * step : 2 * step + 2]) else None for step in range(3)]
        for row in rows
    ]
    valid = [draw(st.booleans()) for _ in rows]
    return rows, steps, rewards, valid, [draw(st.integers(0, 1)) for _ in rows]


def returns_of(part, make_rollouts, case, padding=0):
    rows, steps, rewards, valid, group = case
    rollouts = make_rollouts(rows, group, steps=steps, padding=padding)
    step_mask = torch.tensor([[reward is not None for reward in row] for row in rewards])
    step_rewards = torch.tensor([[reward or 0.0 for reward in row] for row in rewards])
    if part.name in SHARES:
        step_rewards = step_rewards.abs() / 2
    keep = torch.tensor(valid)
    total = step_rewards.sum(1) * keep
    scores = Scores(step_rewards.sum(1), (Outcome.SCORED,) * len(rows), step_rewards, step_mask)
    table = RewardTable(total, keep, {"process": scores})
    context = Context(task=None, generator=torch.Generator().manual_seed(0))
    return rollouts, table, part(rollouts, table, context)


# These ask the policy, and have tests of their own.
ASK = ("generalized-advantage", "turn-matching")
pytestmark = pytest.mark.parametrize("name", [name for name in parts.names("credit") if name not in ASK])


@given(case=cases())
@settings(max_examples=50)
def test_return_at_the_first_sampled_token_is_the_credit_of_the_rollout(make_rollouts, name, case):
    part = parts.find("credit", name)()
    rollouts, table, returns = returns_of(part, make_rollouts, case)
    expected = EXPECTED_CREDIT.get(name, lambda rewards, group: rewards.total)(table, case[4])
    for row in range(len(rollouts)):
        if rollouts.mask[row].any():
            first = int(rollouts.mask[row].int().argmax())
            assert returns[row, first].item() == pytest.approx(expected[row].item(), abs=1e-5)


@given(case=cases())
@settings(max_examples=50)
def test_only_sampled_tokens_of_valid_rollouts_have_a_return(make_rollouts, name, case):
    rollouts, table, returns = returns_of(parts.find("credit", name)(), make_rollouts, case)
    assert returns[~rollouts.mask].eq(0).all()
    assert returns[~table.valid].eq(0).all()
    assert torch.isfinite(returns).all()


@given(case=cases(), padding=st.integers(1, 4))
@settings(max_examples=50)
def test_padding_changes_nothing(make_rollouts, name, case, padding):
    part = parts.find("credit", name)()
    rollouts, _, returns = returns_of(part, make_rollouts, case)
    _, _, padded = returns_of(part, make_rollouts, case, padding)
    assert padded[:, : rollouts.mask.shape[1]].equal(returns)
    assert padded[:, rollouts.mask.shape[1] :].eq(0).all()
