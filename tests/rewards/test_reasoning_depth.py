"""The reward that measures depth with the policy, and what it and its credit do in a recipe."""

from __future__ import annotations

import pytest
import torch

from scorecraft.context import Context
from scorecraft.credit.parts.reasoning_depth import ReasoningDepth as Credit
from scorecraft.errors import ScorecraftError
from scorecraft.lm.generate import left_pad
from scorecraft.lm.policy import resolve_policy
from scorecraft.problem import Outcome
from scorecraft.rewards.parts.reasoning_depth import ReasoningDepth
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable
from scorecraft.tasks.chain_arithmetic import ChainArithmetic
from scorecraft.traits import Trait


@pytest.fixture(scope="module")
def policy():
    return resolve_policy("tunnel-tiny", {}, ChainArithmetic())


@pytest.fixture(scope="module")
def rollouts(policy):
    """Gold solutions of two problems with a step a line, and one completion without any step."""
    problems = ChainArithmetic().problems("train", 0, 2)
    texts = [problems[0].gold, problems[1].gold, "#5"]
    rows = [policy.encode(text) for text in texts]
    lengths = torch.tensor([len(row) for row in rows])
    width = int(lengths.max()) + 2
    tokens, steps = torch.zeros(3, width, dtype=torch.int64), torch.full((3, width), -1)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = torch.tensor(row)
        line = 0
        for column, token in enumerate(row):
            steps[place, column] = line
            line += policy.token_text(token) == "\n"
    steps[2] = -1
    seen = torch.arange(width) < lengths[:, None]
    seen[0, 1] = False  # a token that somebody else put there
    table, prompt_lengths = left_pad([policy.encode_prompt(problem.prompt) for problem in problems], policy.pad_id)
    return Rollouts(
        tokens=tokens, mask=seen, logprobs=torch.zeros(3, width), entropies=torch.zeros(3, width), steps=steps,
        turns=torch.zeros(3, width, dtype=torch.int64), lengths=lengths, group=torch.tensor([0, 1, 1]),
        truncated=torch.zeros(3, dtype=torch.bool), texts=tuple(texts), notes=({},) * 3, prompt_tokens=table,
        prompt_lengths=prompt_lengths, problems=tuple(problems),
    )  # fmt: skip


def context_of(policy=None, reference=None):
    return Context(task=ChainArithmetic(), generator=torch.Generator(), policy=policy, reference=reference)


def test_it_is_what_the_policy_measures(policy, rollouts):
    scores = ReasoningDepth()(rollouts, context_of(policy))
    assert scores.outcomes == (Outcome.SCORED, Outcome.SCORED, Outcome.ABSTAINED)
    for row in (0, 1):
        length = int(rollouts.lengths[row])
        prompt = policy.encode_prompt(rollouts.problems[row].prompt)
        steps = rollouts.steps[row, :length].tolist()
        if row == 0:
            steps[1] = -1
        alone = policy.step_depths([prompt], [rollouts.tokens[row, :length].tolist()], [steps])
        count = alone.depth.values.shape[1]
        torch.testing.assert_close(scores.steps[row, :count], alone.depth.values[0], atol=1e-5, rtol=1e-4)
        assert scores.step_mask[row].tolist() == [True] * count + [False] * (scores.steps.shape[1] - count)
        assert scores.values[row].item() == pytest.approx(alone.depth.values[0].mean().item(), abs=1e-5)
    assert not scores.step_mask[2].any()
    assert set(scores.metrics) == {"mean_depth", "early_fluctuation", "spurious_verification"}
    assert scores.metrics["mean_depth"][:2].equal(scores.values[:2])
    assert scores.metrics["mean_depth"][2].isnan()


def test_attention_adds_the_pattern_of_going_back(policy, rollouts):
    scores = ReasoningDepth(attention=True, layers=(1, 3))(rollouts, context_of(policy))
    assert "backtracking" in scores.metrics
    other = ReasoningDepth()(rollouts, context_of(policy))
    assert not torch.allclose(scores.values[:2], other.values[:2], atol=1e-3)


def test_the_reference_can_be_the_scorer(policy, rollouts):
    by_reference = ReasoningDepth(scorer="reference")(rollouts, context_of(None, policy))
    torch.testing.assert_close(by_reference.steps, ReasoningDepth()(rollouts, context_of(policy)).steps)
    with pytest.raises(ScorecraftError, match="scorer 'reference' needs a 'kl' section"):
        ReasoningDepth(scorer="reference")(rollouts, context_of(policy))
    with pytest.raises(ScorecraftError, match="'reasoning-depth' reads the layers of a language model"):
        ReasoningDepth()(rollouts, context_of(None, policy))


def test_the_credit_pays_what_it_measured(policy, rollouts):
    scores = ReasoningDepth()(rollouts, context_of(policy))
    correct = torch.tensor([1.0, 0.0, 1.0])
    table = RewardTable(correct, torch.ones(3, dtype=torch.bool), {"reasoning-depth": scores})
    found = Credit(alpha=2.0, tau=1.0)(rollouts, table, context_of())
    for row in range(3):
        for column in range(int(rollouts.lengths[row])):
            step = int(rollouts.steps[row, column])
            expected = correct[row].item() + (2 * scores.steps[row, step].item() if step >= 0 else 0.0)
            assert found[row, column].item() == pytest.approx(expected * bool(rollouts.mask[row, column]), abs=1e-6)


def test_what_it_declares():
    part = ReasoningDepth()
    assert part.weight == 0.0
    assert part.scope == "rollout"
    assert part.traits().provides == (Trait.STEP_REWARDS,)
    assert part.cites() == ("reasoning-depth",)
