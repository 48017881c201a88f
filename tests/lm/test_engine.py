"""The engine's forward passes against Hugging Face's own, for every layout it knows."""

import dataclasses

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from scorecraft.lm import llama
from scorecraft.lm.generate import Forced, SamplingSettings, draw, generate, left_pad
from scorecraft.lm.logprobs import project, token_logprobs
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_tokenizer
from scorecraft.problem import Problem
from scorecraft.rollouts import Rollouts

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "vocab_size": 100,
    "pad_token_id": 0,
    "eos_token_id": 2,
    "bos_token_id": 1,
}


def make_policy(kind: str, dtype: torch.dtype = torch.float32) -> Policy:
    torch.manual_seed(0)
    if kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=True))
    elif kind == "grouped":
        model = LlamaForCausalLM(LlamaConfig(**SHAPE, num_key_value_heads=2, tie_word_embeddings=False))
    elif kind == "qwen":
        model = Qwen2ForCausalLM(Qwen2Config(**SHAPE, num_key_value_heads=2))
        for layer in model.model.layers:
            torch.nn.init.normal_(layer.self_attn.q_proj.bias)
    elif kind == "mistral":
        model = MistralForCausalLM(MistralConfig(**SHAPE, num_key_value_heads=2, sliding_window=None))
    else:
        config = GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=128, vocab_size=100, eos_token_id=2)
        model = GPT2LMHeadModel(config)
    return Policy(model.to(dtype).eval(), tunnel_tokenizer(), kind)


def random_rollouts(lengths=(7, 3, 1, 5), prompt_lengths=(4, 6), group=(0, 0, 1, 1), temperature=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths, group = torch.tensor(lengths), torch.tensor(group)
    rows, width = len(lengths), int(lengths.max())
    prompts = [torch.randint(4, 90, (n,), generator=generator).tolist() for n in prompt_lengths]
    table, table_lengths = left_pad(prompts, 0)
    tokens = torch.randint(4, 90, (rows, width), generator=generator)
    real = torch.arange(width) < lengths[:, None]
    mask = real.clone()
    mask[0, 2] = False  # one forced token
    return Rollouts(
        tokens=torch.where(real, tokens, 0),
        mask=mask,
        logprobs=torch.zeros(rows, width),
        entropies=torch.zeros(rows, width),
        steps=torch.full((rows, width), -1),
        turns=torch.zeros((rows, width), dtype=torch.int64),
        lengths=lengths,
        group=group,
        truncated=torch.zeros(rows, dtype=torch.bool),
        texts=("",) * rows,
        notes=({},) * rows,
        prompt_tokens=table,
        prompt_lengths=table_lengths,
        problems=tuple(Problem("p", "a") for _ in prompts),
        temperature=temperature,
    )


def reference_logprobs(model, rollouts: Rollouts):
    """One rollout at a time, no padding, no sharing, the model's own forward."""
    logprobs = torch.zeros(rollouts.tokens.shape)
    rows = []
    for row in range(len(rollouts)):
        g, n = int(rollouts.group[row]), int(rollouts.lengths[row])
        prompt = rollouts.prompt_tokens[g][-int(rollouts.prompt_lengths[g]) :]
        ids = torch.cat((prompt, rollouts.tokens[row, :n]))[None]
        logits = model(ids).logits[0, len(prompt) - 1 : -1].float() / rollouts.temperature
        table = logits.log_softmax(-1)
        line = torch.nn.functional.pad(
            table.gather(1, rollouts.tokens[row, :n, None])[:, 0], (0, logprobs.shape[1] - n)
        )
        entropy = torch.nn.functional.pad(-(table.exp() * table).sum(1), (0, logprobs.shape[1] - n))
        rows.append((line * rollouts.mask[row], entropy * rollouts.mask[row]))
    return torch.stack([r[0] for r in rows]), torch.stack([r[1] for r in rows])


@pytest.mark.parametrize("kind", ["llama", "grouped", "qwen", "mistral", "gpt2"])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_and_gradients_equal_the_models_own(kind, temperature):
    policy = make_policy(kind)
    assert llama.supported(policy.model) == (kind != "gpt2")
    rollouts = random_rollouts(temperature=temperature)
    weights = torch.randn(rollouts.tokens.shape, generator=torch.Generator().manual_seed(1))
    logprobs, entropies = token_logprobs(policy, rollouts)
    (weights * logprobs + 0.3 * entropies * weights.abs()).sum().backward()
    found = {name: p.grad.clone() for name, p in policy.model.named_parameters()}
    policy.model.zero_grad()
    expected, expected_entropies = reference_logprobs(policy.model, rollouts)
    (weights * expected + 0.3 * expected_entropies * weights.abs()).sum().backward()
    torch.testing.assert_close(logprobs, expected, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(entropies, expected_entropies, atol=2e-5, rtol=1e-5)
    for name, p in policy.model.named_parameters():
        torch.testing.assert_close(found[name], p.grad, atol=3e-5, rtol=1e-3, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("kind", ["llama", "grouped", "qwen", "mistral", "gpt2"])
def test_generation_reports_the_logprobs_that_training_recomputes(kind):
    policy = make_policy(kind)
    prompts = [[5, 6, 7], [8, 9, 10, 11, 12, 13], [5]]
    group = torch.tensor([0, 0, 1, 1, 2])
    uniforms = torch.rand(5, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    out = generate(policy, prompts, group, uniforms, SamplingSettings(max_new_tokens=20, temperature=1.3))
    table, lengths = left_pad(prompts, 0)
    rollouts = dataclasses.replace(
        random_rollouts(),
        tokens=out.tokens, mask=out.mask, logprobs=out.logprobs, entropies=out.entropies, turns=out.turns,
        steps=out.turns, lengths=out.lengths, group=group, truncated=out.truncated, texts=("",) * 5, notes=({},) * 5,
        prompt_tokens=table, prompt_lengths=lengths, problems=(Problem("", ""),) * 3, temperature=1.3,
    )  # fmt: skip
    with torch.no_grad():
        logprobs, entropies = token_logprobs(policy, rollouts)
    torch.testing.assert_close(out.logprobs, logprobs, atol=3e-5, rtol=1e-5)
    torch.testing.assert_close(out.entropies, entropies, atol=3e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_greedy_generation_equals_hugging_face(kind):
    policy = make_policy(kind)
    prompts = [[5, 6, 7], [8, 9, 10, 11, 12, 13]]
    settings = SamplingSettings(max_new_tokens=12, temperature=0.0)
    out = generate(policy, prompts, torch.tensor([0, 1]), torch.zeros(2, 12, dtype=torch.float64), settings)
    for row, prompt in enumerate(prompts):
        expected = policy.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt)),
            max_new_tokens=12,
            do_sample=False,
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        assert out.tokens[row, : len(expected)].tolist() == expected


def test_a_rollout_does_not_depend_on_its_batch():
    policy = make_policy("grouped")
    prompts = [[5, 6, 7], [8, 9, 10, 11, 12, 13]]
    uniforms = torch.rand(6, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    settings = SamplingSettings(max_new_tokens=100)
    group = torch.tensor([0, 0, 0, 1, 1, 1])
    together = generate(policy, prompts, group, uniforms, settings)
    assert len(set(together.lengths.tolist())) > 1, "rows should leave the batch at different times"
    for row in range(6):
        alone = generate(policy, [prompts[group[row]]], torch.tensor([0]), uniforms[row : row + 1], settings)
        n = int(together.lengths[row])
        assert alone.lengths.item() == n
        assert alone.tokens[0, :n].tolist() == together.tokens[row, :n].tolist()


def test_sampling_follows_the_distribution():
    logits = torch.tensor([0.0, 1.0, -2.0, 0.5]).repeat(40_000, 1)
    p = logits[0].softmax(0)
    uniforms = torch.rand(40_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for settings, expected in [
        (SamplingSettings(), p),
        (SamplingSettings(temperature=0.5), (logits[0] / 0.5).softmax(0)),
        (SamplingSettings(top_k=2), torch.tensor([0.0, p[1], 0.0, p[3]]) / (p[1] + p[3])),
        # p = .222, .604, .030, .366 / normalised: nucleus of .7 needs tokens 1 and 3
        (SamplingSettings(top_p=0.7), torch.tensor([0.0, p[1], 0.0, p[3]]) / (p[1] + p[3])),
    ]:
        tokens, logprobs, entropies = draw(logits.clone(), uniforms, settings)
        found = torch.bincount(tokens, minlength=4) / len(tokens)
        torch.testing.assert_close(found, expected, atol=0.01, rtol=0)
        full = (logits[0] / settings.temperature).log_softmax(0)
        torch.testing.assert_close(logprobs, full[tokens], atol=1e-5, rtol=1e-5)
        assert entropies[0].item() == pytest.approx(-(full.exp() * full).sum().item(), abs=1e-5)


def test_draws_at_the_edges_of_the_distribution_stay_inside_it():
    logits = torch.full((3, 300), -100.0)
    logits[:, 7] = 0.0
    uniforms = torch.tensor([0.0, 0.5, 1 - 1e-16], dtype=torch.float64)
    tokens, logprobs, _ = draw(logits, uniforms, SamplingSettings())
    assert tokens[1] == 7
    assert torch.isfinite(logprobs).all()


def test_forced_tokens_are_written_but_not_counted_as_sampled():
    policy = make_policy("llama")
    calls = []

    def react(row, tokens, turn):
        calls.append((row, turn))
        return Forced([40, 41], new_turn=True) if turn == 0 else None

    uniforms = torch.rand(4, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    out = generate(
        policy, [[5, 6, 7]], torch.zeros(4, dtype=torch.int64), uniforms, SamplingSettings(max_new_tokens=60),
        prefixes=[[30, 31], [], [32], []], react=react,
    )  # fmt: skip
    assert out.tokens[0, :2].tolist() == [30, 31]
    assert out.mask[0, :2].tolist() == [False, False]
    assert bool(out.mask[1, 0])
    assert calls
    row = calls[0][0]
    ends = (out.tokens[row] == 2).nonzero()[:, 0].tolist()
    inserted = ends[0] + 1
    assert out.tokens[row, inserted : inserted + 2].tolist() == [40, 41]
    assert out.mask[row, inserted : inserted + 2].tolist() == [False, False]
    assert out.turns[row, :inserted].eq(0).all()
    assert out.turns[row, inserted : int(out.lengths[row])].eq(1).all()
    assert (out.logprobs[~out.mask] == 0).all()


def test_stop_strings_end_a_completion():
    policy = make_policy("llama")
    uniforms = torch.rand(16, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    settings = SamplingSettings(max_new_tokens=60, stop=("3",))
    out = generate(policy, [[5, 6, 7]], torch.zeros(16, dtype=torch.int64), uniforms, settings)
    texts = [policy.decode(out.tokens[i, : out.lengths[i]].tolist()) for i in range(16)]
    assert any(t.endswith("3") for t in texts)
    assert not any("3" in t[:-1] for t in texts)


def test_large_vocabulary_blocks_agree_with_log_softmax():
    torch.manual_seed(0)
    hidden = torch.randn(600, 16, requires_grad=True)
    weight = torch.nn.Parameter(torch.randn(5000, 16))
    targets = torch.randint(0, 5000, (600,))
    upstream = torch.randn(600)
    values, entropies = project(hidden, weight, targets, 0.9)
    (values * upstream).sum().backward()
    found = hidden.grad.clone(), weight.grad.clone()
    hidden.grad = weight.grad = None
    table = (hidden / 0.9 @ weight.T).log_softmax(1)
    expected = table.gather(1, targets[:, None])[:, 0]
    (expected * upstream).sum().backward()
    torch.testing.assert_close(values, expected, atol=5e-5, rtol=1e-5)
    torch.testing.assert_close(entropies, -(table.exp() * table).sum(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[0], hidden.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[1], weight.grad, atol=1e-4, rtol=1e-4)


def test_bfloat16_stays_close_to_float32():
    exact, rounded = make_policy("grouped"), make_policy("grouped", torch.bfloat16)
    rollouts = random_rollouts()
    with torch.no_grad():
        expected, _ = token_logprobs(exact, rollouts)
        found, _ = token_logprobs(rounded, rollouts)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.02)


def test_prompts_that_do_not_fit_are_named():
    policy = make_policy("llama")
    with pytest.raises(Exception, match="prompt 1 has 120 tokens"):
        generate(
            policy, [[5], [6] * 120], torch.tensor([0, 1]), torch.zeros(2, 64, dtype=torch.float64), SamplingSettings()
        )
    with pytest.raises(Exception, match="prompt 0 is empty"):
        generate(policy, [[]], torch.tensor([0]), torch.zeros(1, 64, dtype=torch.float64), SamplingSettings())
