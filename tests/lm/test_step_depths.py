"""The depth of given steps: by plain passes and scipy, on small models and on the built-in tiny policy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from transformers import GPT2Config, GPT2LMHeadModel

from scorecraft.credit.reasoning_depth import DepthThreshold
from scorecraft.errors import ScorecraftError
from scorecraft.lm.policy import Policy, resolve_policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

PROMPTS = [[1, 9, 12, 30], [1, 50], [1, 9, 12, 30]]
COMPLETIONS = [[40, 41, 42, 43, 2], [5, 6, 7], [60]]
STEPS = [[0, 0, -1, 1, 1], [0, 1, 2], [1]]


def small(kind):
    torch.manual_seed(0)
    if kind == "llama":
        return Policy(tunnel_model(4, 32, 4, initializer_range=0.3), tunnel_tokenizer(), kind)
    config = GPT2Config(
        n_embd=32, n_layer=4, n_head=4, n_positions=128, vocab_size=100, eos_token_id=2, initializer_range=0.3
    )
    return Policy(GPT2LMHeadModel(config).eval(), tunnel_tokenizer(), kind)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def policy(request):
    return small(request.param)


@pytest.fixture(scope="module")
def tunnel_tiny():
    return resolve_policy("tunnel-tiny", {}, ChainArithmetic())


def by_plain_forward(policy, prompt, completion, layers):
    """Depth of each completion token, by the model's own output and scipy."""
    model = policy.model
    with torch.no_grad():
        out = model(torch.tensor([prompt + completion]), output_hidden_states=True)
        norm = model.model.norm if hasattr(model, "model") else model.transformer.ln_f
        own = out.logits[0, len(prompt) :].double().softmax(1)
        lens = [model.lm_head(norm(out.hidden_states[layer][0, len(prompt) :])).double().softmax(1) for layer in layers]
    return np.mean([jensenshannon(own, other, axis=1) ** 2 for other in lens], axis=0)


@pytest.mark.parametrize("tokens_per_batch", [4096, 12, 1])
def test_depths_are_those_of_plain_passes(policy, tokens_per_batch):
    found = policy.step_depths(PROMPTS, COMPLETIONS, STEPS, layers=(1, 3), tokens_per_batch=tokens_per_batch)
    assert found.depth.layers == (1, 3)
    assert (found.depth.unit, found.depth.vocabulary) == ("nats", policy.model.config.vocab_size)
    assert found.depth.step_mask.tolist() == [[True, True, False], [True] * 3, [False, True, False]]
    logprobs = policy.score_tokens(PROMPTS, COMPLETIONS)
    for row, (prompt, completion, steps) in enumerate(zip(PROMPTS, COMPLETIONS, STEPS, strict=True)):
        depth = by_plain_forward(policy, prompt, completion, (1, 3))
        for step in {step for step in steps if step >= 0}:
            inside = [place for place, at in enumerate(steps) if at == step]
            assert found.depth.values[row, step].item() == pytest.approx(depth[inside].mean(), abs=2e-5)
            perplexity = math.exp(-logprobs[row, inside].mean())
            assert found.perplexity[row, step].item() == pytest.approx(perplexity, rel=1e-3)
    assert found.depth.values[~found.depth.step_mask].eq(0).all()
    assert found.attention is None


def test_the_default_layers_are_the_late_ones(policy):
    found = policy.step_depths(PROMPTS, COMPLETIONS, STEPS)
    assert found.depth.layers == (2,)
    assert not found.depth.values.requires_grad


def test_entropy_is_that_of_the_distribution_a_token_comes_from(policy):
    found = policy.step_depths(PROMPTS[2:], COMPLETIONS[2:], [[0]])
    with torch.no_grad():
        share = policy.model(torch.tensor([PROMPTS[2]])).logits[0, -1].softmax(0)
    assert found.entropy.item() == pytest.approx(float(-(share * share.log()).sum()), abs=1e-4)


def test_attention_between_steps_is_that_of_plain_passes(policy):
    found = policy.step_depths(PROMPTS, COMPLETIONS, STEPS, layers=(2, 3), attention=True)
    from scorecraft.lm.hidden_states import eager_attention

    with eager_attention(policy.model), torch.no_grad():
        out = policy.model(torch.tensor([PROMPTS[0] + COMPLETIONS[0]]), output_attentions=True)
    both = (out.attentions[1][0].mean(0) + out.attentions[2][0].mean(0)) / 2
    own = both[4:, 4:]
    expected = [[own[:2, :2].sum() / 2, own[:2, 3:].sum() / 2], [own[3:, :2].sum() / 2, own[3:, 3:].sum() / 2]]
    torch.testing.assert_close(found.attention[0, :2, :2], torch.tensor(expected), atol=1e-5, rtol=1e-4)
    assert found.attention[0, 2].eq(0).all()


def test_nothing_to_measure_is_no_mistake(policy):
    found = policy.step_depths([[1]], [[]], [[]])
    assert found.depth.values.shape == (1, 0)
    assert found.chain_metrics() == {}
    assert policy.step_depths([], [], []).depth.values.shape == (0, 0)


def test_metrics_have_gaps_where_there_is_no_step(policy):
    found = policy.step_depths(PROMPTS, COMPLETIONS, [[-1] * 5, [0, 1, 2], [0]])
    metrics = found.chain_metrics()
    assert set(metrics) == {"mean_depth", "early_fluctuation", "spurious_verification"}
    assert metrics["mean_depth"].isnan().tolist() == [True, False, False]
    assert metrics["mean_depth"][1].item() == pytest.approx(found.depth.values[1].mean().item(), abs=1e-6)
    assert metrics["early_fluctuation"][2].item() == 0.0
    attended = policy.step_depths(PROMPTS, COMPLETIONS, STEPS, attention=True)
    assert 0 <= attended.chain_metrics()["backtracking"][1].item() <= 1
    features = attended.features(early=2, tau=DepthThreshold(9.0, attended.depth.vocabulary, (2,), "nats"))
    pair = attended.depth.values[1, :2].double()
    assert features.table[1, 1].item() == pytest.approx((pair.std(correction=0) / pair.mean()).item(), abs=1e-6)


def test_the_built_in_tiny_policy_measures_a_worked_solution(tunnel_tiny):
    task = ChainArithmetic()
    problems = task.problems("train", 0, 4)
    prompts = [tunnel_tiny.encode_prompt(problem.prompt) for problem in problems]
    rows = [tunnel_tiny.encode(problem.gold) for problem in problems]
    # A step is a line.
    steps = [np.cumsum([0, *(tunnel_tiny.token_text(token) == "\n" for token in row[:-1])]).tolist() for row in rows]
    found = tunnel_tiny.step_depths(prompts, rows, steps, attention=True)
    assert found.depth.layers == (2,)
    there = found.depth.step_mask
    assert there.sum(1).tolist() == [max(own) + 1 for own in steps]
    assert bool((found.depth.values[there] > 0).all())
    assert bool((found.depth.values[there] < math.log(2)).all())
    assert bool((found.perplexity[there] >= 1).all())
    depth = by_plain_forward(tunnel_tiny, prompts[0], rows[0], (2,))
    first = [place for place, step in enumerate(steps[0]) if step == 0]
    assert found.depth.values[0, 0].item() == pytest.approx(depth[first].mean(), abs=2e-5)
    assert found.features().table.shape == (4, 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([[1]], [[2], [3]], [[0], [0]]), "1 prompts, 2 completions and 2 rows of steps"),
        (([[1]], [[2, 3]], [[0]]), "completion 0 has 2 tokens, but 1 step indices"),
        (([[]], [[2]], [[0]]), "prompt 0 is empty"),
        (([[1]], [[100_000]], [[0]]), "token 100000 of row 0 is not in the vocabulary"),
        (([[1]], [[2] * 600], [[0] * 600]), "beyond the"),
    ],
)
def test_bad_input_is_named(policy, arguments, said):
    with pytest.raises(ScorecraftError, match=said):
        policy.step_depths(*arguments)


def test_the_last_layer_is_no_late_one(policy):
    with pytest.raises(ScorecraftError, match=r"layers \[4\] of a model of 4"):
        policy.step_depths(PROMPTS, COMPLETIONS, STEPS, layers=(4,))
