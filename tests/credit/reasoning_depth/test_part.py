"""The credit part: outcome and depth at every token, what it reads, and what it warns of."""

from __future__ import annotations

import math

import pytest
import torch

from scorecraft.context import Context
from scorecraft.credit.parts.reasoning_depth import ReasoningDepth
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.problem import Outcome
from scorecraft.scores import RewardTable, Scores
from scorecraft.traits import Trait

CONTEXT = Context(task=None, generator=torch.Generator())


def rewards_of(depth, mask=None, total=None, valid=None, **outcomes):
    depth = torch.tensor(depth)
    there = torch.ones(depth.shape, dtype=torch.bool) if mask is None else torch.tensor(mask)
    scores = Scores(depth.sum(1), (Outcome.SCORED,) * len(depth), depth, there)
    parts = {"reasoning-depth": scores, **{name: Scores.of(values) for name, values in outcomes.items()}}
    total = torch.zeros(len(depth)) if total is None else torch.tensor(total)
    return RewardTable(total, torch.ones(len(depth), dtype=torch.bool) if valid is None else torch.tensor(valid), parts)


def test_every_token_gets_the_outcome_and_the_depth_of_its_step(make_rollouts):
    # Between steps a token belongs to the next; after the last only the outcome is left.
    rollouts = make_rollouts([[1, 1, 1, 1, 1, 0, 1]], steps=[[0, 0, -1, 1, 1, 1, -1]])
    held = rewards_of([[0.2, 0.6]], total=[3.0])
    part = ReasoningDepth(alpha=0.5, tau=1.0)
    assert part(rollouts, held, CONTEXT)[0].tolist() == pytest.approx([3.1, 3.1, 3.3, 3.3, 3.3, 0.0, 3.0])
    strict = ReasoningDepth(alpha=0.5, tau=1.0, align="strict")
    assert strict(rollouts, held, CONTEXT)[0].tolist() == pytest.approx([3.0, 3.0, 3.1, 3.1, 3.1, 0.0, 3.0])
    clipped = ReasoningDepth(alpha=0.5, tau=0.5)
    assert clipped(rollouts, held, CONTEXT)[0].tolist() == pytest.approx([3.1, 3.1, 3.0, 3.0, 3.0, 0.0, 3.0])
    late = ReasoningDepth(alpha=0.0, tau=1.0, gamma=0.5)
    assert late(rollouts, held, CONTEXT)[0].tolist() == pytest.approx([1.5, 1.5, 3.0, 3.0, 3.0, 0.0, 3.0])


def test_the_outcome_can_be_one_reward(make_rollouts):
    rollouts = make_rollouts([[1]], steps=[[0]])
    held = rewards_of([[0.5]], total=[9.0], correct=[1.0])
    assert ReasoningDepth(outcome="correct", alpha=0.0, tau=1.0)(rollouts, held, CONTEXT).item() == 1.0
    with pytest.raises(ScorecraftError, match="did you mean 'correct'"):
        ReasoningDepth(outcome="corect")(rollouts, held, CONTEXT)
    with pytest.raises(ScorecraftError, match="no reward 'depth' with step rewards"):
        ReasoningDepth(depth="depth")(rollouts, held, CONTEXT)
    with pytest.raises(ScorecraftError, match="one reward with step rewards, got none"):
        ReasoningDepth()(rollouts, RewardTable(held.total, held.valid, {"correct": Scores.of([1.0])}), CONTEXT)


def test_without_a_tau_the_batchs_deepest_tenth_does_not_pay(make_rollouts):
    rollouts = make_rollouts([[1] * 5, [1] * 5], [0, 1], steps=[list(range(5))] * 2)
    depth = [[0.01, 0.02, 0.03, 0.04, 0.05], [0.06, 0.07, 0.08, 0.09, 0.10]]
    # Of ten steps the 90th percentile is .091.
    found = ReasoningDepth(alpha=1.0)(rollouts, rewards_of(depth), CONTEXT)
    assert found.flatten().tolist() == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.0])
    # What is invalid earns nothing and sets no limit: of the first five the percentile is .046.
    found = ReasoningDepth(alpha=1.0)(rollouts, rewards_of(depth, valid=[True, False]), CONTEXT)
    assert found.flatten().tolist() == pytest.approx([0.01, 0.02, 0.03, 0.04] + [0.0] * 6)


def test_the_limit_is_that_of_all_workers(make_rollouts):
    other = torch.full((1, 3), 0.6)

    def gather(values):
        if values.ndim == 1:
            return torch.tensor([2, 3]), slice(0, 1)
        # Widths were agreed on before: this worker's two columns have become three.
        assert values.shape == (1, 3)
        more = other if values.dtype == torch.float32 else torch.ones(1, 3, dtype=torch.bool)
        return torch.cat((values, more)), slice(0, 1)

    rollouts = make_rollouts([[1, 1]], steps=[[0, 1]])
    held = rewards_of([[0.1, 0.2]])
    part = ReasoningDepth(alpha=1.0, quantile=0.5)
    assert part(rollouts, held, CONTEXT)[0].tolist() == pytest.approx([0.1, 0.0])
    everyone = Context(task=None, generator=torch.Generator(), gather=gather)
    assert part(rollouts, held, everyone)[0].tolist() == pytest.approx([0.1, 0.2])


def test_a_rollout_or_a_batch_without_a_step_gets_its_outcome(make_rollouts):
    rollouts = make_rollouts([[1, 1]])
    held = rewards_of([[0.5]], mask=[[False]], total=[2.0])
    assert ReasoningDepth(gamma=0.5)(rollouts, held, CONTEXT).tolist() == [[2.0, 2.0]]


def test_what_cannot_be_nats_is_warned_of(make_rollouts):
    rollouts = make_rollouts([[1]], steps=[[0]])
    for wrong in (2.6, -0.1):
        with pytest.warns(ScorecraftWarning, match=r"outside \[0, ln 2\]"):
            ReasoningDepth()(rollouts, rewards_of([[wrong]]), CONTEXT)


def test_what_it_declares():
    part = ReasoningDepth()
    assert part.alpha == pytest.approx(0.1 / math.log(2))
    assert part.scope == "batch"
    assert ReasoningDepth(tau=0.3).scope == "rollout"
    assert [note.trait for note in part.traits().needs] == [Trait.STEP_REWARDS]
    assert part.cites() == ("reasoning-depth",)
