"""Log-probabilities of given tokens: a plain forward pass, the sampler's own, and no trace of the batch around them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

from scorecraft.errors import ScorecraftError
from scorecraft.lm import logprobs
from scorecraft.lm.generate import SamplingSettings, generate
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer

PROMPTS = [[1, 9, 12, 30], [1, 50], [1, 9, 12, 30], [1, 7, 8, 9, 10, 11]]
COMPLETIONS = [[40, 41, 42, 43, 2], [5], [60, 61], [90, 80, 70]]


def make_policy(kind: str) -> Policy:
    torch.manual_seed(0)
    if kind == "llama":
        return Policy(tunnel_model(2, 32, 4, initializer_range=0.5), tunnel_tokenizer(), kind)
    config = GPT2Config(
        n_embd=32, n_layer=2, n_head=4, n_positions=128, vocab_size=100, eos_token_id=2, initializer_range=0.5
    )
    return Policy(GPT2LMHeadModel(config).eval(), tunnel_tokenizer(), kind)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def policy(request):
    return make_policy(request.param)


def by_plain_forward(policy, prompt, completion, temperature=1.0):
    logits = policy.model(torch.tensor([prompt + completion])).logits[0].detach() / temperature
    table = logits.log_softmax(1)
    return [float(table[len(prompt) + place - 1, token]) for place, token in enumerate(completion)]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("tokens_per_batch", [16384, 12, 1])
def test_the_values_are_those_of_the_models_own_forward(policy, temperature, tokens_per_batch):
    found = policy.score_tokens(PROMPTS, COMPLETIONS, temperature=temperature, tokens_per_batch=tokens_per_batch)
    assert found.shape == (4, 5)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    for row, (prompt, completion) in enumerate(zip(PROMPTS, COMPLETIONS, strict=True)):
        expected = by_plain_forward(policy, prompt, completion, temperature)
        assert found[row, : len(completion)].tolist() == pytest.approx(expected, abs=2e-5)
        assert found[row, len(completion) :].eq(0).all()


def test_the_sampled_tokens_get_the_log_probabilities_they_were_sampled_with(policy):
    uniforms = torch.rand((4, 12), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    out = generate(policy, PROMPTS[:2], torch.tensor([0, 0, 1, 1]), uniforms, SamplingSettings(12, temperature=0.8))
    rows = [tokens[:length] for tokens, length in zip(out.tokens.tolist(), out.lengths.tolist(), strict=True)]
    found = policy.score_tokens([PROMPTS[0], PROMPTS[0], PROMPTS[1], PROMPTS[1]], rows, temperature=0.8)
    width = found.shape[1]
    torch.testing.assert_close(found, out.logprobs[:, :width] * out.mask[:, :width], atol=3e-5, rtol=1e-5)


texts = st.lists(st.integers(4, 99), min_size=1, max_size=8)


@settings(max_examples=25)
@given(st.lists(st.tuples(texts, st.lists(st.integers(2, 99), max_size=8)), min_size=1, max_size=6), st.integers(1, 60))
def test_a_row_does_not_depend_on_the_others_nor_on_the_size_of_batches(rows, tokens_per_batch):
    policy = make_policy("llama")
    together = policy.score_tokens(*zip(*rows, strict=True), tokens_per_batch=tokens_per_batch)
    for row, (prompt, completion) in enumerate(rows):
        alone = policy.score_tokens([prompt], [completion])[0]
        torch.testing.assert_close(together[row, : len(completion)], alone, atol=3e-5, rtol=1e-5)


def test_no_batch_is_larger_than_asked_unless_one_row_is():
    policy = make_policy("llama")
    batches = logprobs._batches_of(policy, PROMPTS, COMPLETIONS, 14)
    # Sizes 9, 3, 6 and 9: two rows of 6 with padding, then each 9 alone.
    assert batches == [[1, 2], [0], [3]]
    assert logprobs._batches_of(policy, [[1]], [[]], 14) == []


def test_all_logits_of_a_general_model_stay_within_their_limit(monkeypatch):
    monkeypatch.setattr(logprobs, "LOGITS_AT_ONCE", 1200)
    assert logprobs._batches_of(make_policy("gpt2"), PROMPTS, COMPLETIONS, 16384) == [[1, 2], [0], [3]]


def test_nothing_to_score_gives_an_empty_table(policy):
    assert policy.score_tokens([], []).shape == (0, 0)
    assert policy.score_tokens([[1], [1]], [[], []]).shape == (2, 0)
    assert policy.score_tokens([[1], [1]], [[], [5]])[0].tolist() == [0.0]


def test_the_model_is_left_as_it_was(policy):
    before = {name: value.clone() for name, value in policy.model.state_dict().items()}
    policy.score_tokens(PROMPTS, COMPLETIONS)
    assert all(torch.equal(before[name], value) for name, value in policy.model.state_dict().items())
    assert all(parameter.grad is None for parameter in policy.model.parameters())


@pytest.mark.parametrize(
    ("prompts", "completions", "options", "message"),
    [
        ([[1]], [], {}, "1 prompts, but 0 completions"),
        ([[]], [[5]], {}, "prompt 0 is empty"),
        ([[1]], [[100]], {}, "token 100 of row 0 is not in the vocabulary"),
        ([[1], [-1]], [[5], [5]], {}, "token -1 of row 1 is not in the vocabulary"),
        ([[1]], [[5] * 600], {}, "beyond the"),
        ([[1]], [[5]], {"temperature": 0.0}, "temperature above 0"),
    ],
)
def test_mistakes_are_named(policy, prompts, completions, options, message):
    with pytest.raises(ScorecraftError, match=message):
        policy.score_tokens(prompts, completions, **options)
