"""The part with the built-in policy: values are learned from batches before, kept in checkpoints, and help."""

from __future__ import annotations

import pytest
import torch

from scorecraft.context import Context
from scorecraft.credit.parts.generalized_advantage import GeneralizedAdvantage, last_tokens
from scorecraft.errors import ScorecraftError
from scorecraft.lm.policy import Policy, resolve_policy
from scorecraft.lm.tunnel import tunnel_tokenizer
from scorecraft.problem import Outcome
from scorecraft.recipes.ready import load_recipe
from scorecraft.rewards.parts.basic import Correct
from scorecraft.scores import RewardTable, Scores


@pytest.fixture(scope="module")
def sampled():
    recipe = load_recipe("default")
    policy = resolve_policy("tunnel-tiny", {}, recipe.task)
    context = Context(recipe.task, torch.Generator().manual_seed(0), policy=policy)
    batches = []
    for start in (0, 24):
        rollouts = recipe.sampling(policy, recipe.task.problems("test", start, 24), context)
        scores = Correct()(rollouts, context)
        valid = ~scores.values.isnan()
        batches.append((rollouts, RewardTable(scores.values.nan_to_num(), valid, {"correct": scores})))
    return batches, context


def test_the_first_batch_has_no_baseline_and_the_second_one_that_explains(sampled):
    (first, second), context = sampled
    part = GeneralizedAdvantage(lam=1.0, ridge=1e-1)
    rollouts, rewards = first
    found = part(rollouts, rewards, context)
    # Without values and with lam 1 every sampled token has the total.
    expected = (rewards.total[:, None] * rollouts.mask).float()
    torch.testing.assert_close(found, expected)
    rollouts, rewards = second
    left = part(rollouts, rewards, context)
    plain = (rewards.total - first[1].total.mean())[:, None].expand_as(rollouts.mask)[rollouts.mask]
    # What is left after the learned value varies less than what is left after a constant.
    assert float(left[rollouts.mask].square().mean()) < 0.99 * float(plain.square().mean())
    assert left[~rollouts.mask].eq(0).all()


def test_what_was_learned_is_kept(sampled):
    (first, second), context = sampled
    part, other = GeneralizedAdvantage(), GeneralizedAdvantage()
    assert part.state() == {}
    part(*first, context)
    kept = {name: value.clone() for name, value in part.state().items()}
    other.restore(kept)
    assert other(*second, context).equal(part(*second, context))
    other.restore({})
    assert other.state() == {}


def test_features_are_those_before_each_token_in_any_architecture(make_rollouts):
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = tunnel_tokenizer()
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=64, n_embd=16, n_layer=2, n_head=2)
    policy = Policy(GPT2LMHeadModel(config).eval(), tokenizer, "gpt")
    rollouts = make_rollouts([[1, 1, 0, 1], [1, 1]], [0, 1])
    features = policy.state_features(rollouts)
    assert features.shape == (5, 16)
    place = 0
    for row in range(2):
        prompt = rollouts.prompt_tokens[rollouts.group[row], -int(rollouts.prompt_lengths[rollouts.group[row]]) :]
        for column in rollouts.mask[row].nonzero()[:, 0].tolist():
            before = torch.cat((prompt, rollouts.tokens[row, :column]))[None]
            with torch.no_grad():
                alone = policy.model.transformer(before).last_hidden_state[0, -1]
            torch.testing.assert_close(features[place], alone, atol=1e-5, rtol=1e-5)
            place += 1


def test_the_features_of_the_built_in_policy_give_its_log_probabilities(sampled):
    (first, _), context = sampled
    rollouts, _ = first
    features = context.policy.state_features(rollouts)
    with torch.no_grad():
        logits = features @ context.policy.model.lm_head.weight.T
    found = torch.log_softmax(logits, 1).gather(1, rollouts.tokens[rollouts.mask][:, None])[:, 0]
    torch.testing.assert_close(found, rollouts.logprobs[rollouts.mask], atol=1e-4, rtol=1e-4)


def test_the_last_tokens_of_steps_by_hand():
    steps = torch.tensor([[0, 0, 1, -1, 3]])
    ends, there = last_tokens(steps, torch.tensor([[True, True, True, True, False]]), 4)
    assert there.tolist() == [[True, True, False, False]]
    assert ends[0, :2].tolist() == [1, 2]


def test_step_rewards_are_earned_at_their_ends(make_rollouts, sampled):
    rollouts = make_rollouts([[1, 1, 1]], [0], steps=[[0, 0, 1]])
    steps = torch.tensor([[0.5, 0.25]])
    scores = Scores(steps.sum(1), (Outcome.SCORED,), steps, torch.ones(1, 2, dtype=torch.bool))
    rewards = RewardTable(torch.tensor([1.0]), torch.ones(1, dtype=torch.bool), {"process": scores})
    part = GeneralizedAdvantage(lam=1.0, process="process", process_weight=2.0)
    found = part(rollouts, rewards, sampled[1])
    # To go: 1 at the end, 2 * 0.25 there too, and 2 * 0.5 at the second token.
    torch.testing.assert_close(found, torch.tensor([[2.5, 2.5, 1.5]]))


def test_without_a_policy_it_says_so(sampled):
    (first, _), context = sampled
    with pytest.raises(ScorecraftError, match="works in training only"):
        GeneralizedAdvantage()(*first, Context(context.task, context.generator))
