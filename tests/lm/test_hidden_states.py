"""Hidden states between layers: those that hooks see, with the model's own logits behind the lens, blind to padding."""

from __future__ import annotations

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

from scorecraft.errors import ScorecraftError
from scorecraft.lm.hidden_states import Lens, eager_attention, hidden_states, layer_count, lens_of
from scorecraft.lm.policy import resolve_policy
from scorecraft.lm.tunnel import tunnel_model
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

ROWS = [[1, 9, 12, 30, 41, 7], [1, 50, 3]]


def gpt2():
    torch.manual_seed(0)
    config = GPT2Config(n_embd=32, n_layer=3, n_head=4, n_positions=64, vocab_size=100, initializer_range=0.3)
    return GPT2LMHeadModel(config).eval()


def gemma2():
    """A model that caps its logits after the unembedding."""
    torch.manual_seed(0)
    config = Gemma2Config(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, vocab_size=100, final_logit_softcapping=0.5, initializer_range=0.3,
    )  # fmt: skip
    return Gemma2ForCausalLM(config).eval()


MODELS = {"llama": lambda: tunnel_model(3, 32, 4, initializer_range=0.3), "gpt2": gpt2}


@pytest.fixture(scope="module", params=list(MODELS))
def model(request):
    return MODELS[request.param]()


@pytest.fixture(scope="module")
def tunnel_tiny():
    return resolve_policy("tunnel-tiny", {}, ChainArithmetic()).model


def blocks(model):
    return model.model.layers if hasattr(model, "model") else model.transformer.h


def padded(rows, fill=0):
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.full((len(rows), int(lengths.max())), fill)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = torch.tensor(row)
    return tokens, lengths


def seen_by_hooks(model, row):
    """What each block returned, and the model's logits, on one row without padding."""
    seen = []

    def hook(module, args, output):
        seen.append((output[0] if isinstance(output, tuple) else output).detach())

    handles = [block.register_forward_hook(hook) for block in blocks(model)]
    with torch.no_grad():
        logits = model(torch.tensor([row])).logits[0]
    for handle in handles:
        handle.remove()
    return [states.reshape(-1, states.shape[-1]) for states in seen], logits


def check_states(model, rows):
    count = layer_count(model)
    layers = list(range(1, count))
    found = hidden_states(model, *padded(rows), layers)
    lens = lens_of(model)
    assert found.layers == tuple(layers)
    assert found.attention is None
    assert not found.late.requires_grad
    for place, row in enumerate(rows):
        blocks_said, logits = seen_by_hooks(model, row)
        assert len(blocks_said) == count
        real = slice(0, len(row))
        for layer in layers:
            own = found.late[layer - 1, place, real]
            torch.testing.assert_close(own, blocks_said[layer - 1], atol=1e-4, rtol=1e-4)
        # What the last block returned, normed once, is ``final``; unembedded it is what the model says.
        torch.testing.assert_close(lens.norm(blocks_said[-1]), found.final[place, real], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(lens.unembed(found.final[place, real]), logits, atol=1e-3, rtol=1e-4)
        assert found.real[place].tolist() == [True] * len(row) + [False] * (found.real.shape[1] - len(row))


def test_states_are_those_of_each_block(model):
    check_states(model, ROWS)


def test_the_built_in_tiny_policy(tunnel_tiny):
    assert layer_count(tunnel_tiny) == 4
    check_states(tunnel_tiny, ROWS)


def test_padding_and_other_rows_change_nothing(model):
    alone = hidden_states(model, *padded(ROWS[1:]), [1, 2])
    for fill in (0, 99):
        beside = hidden_states(model, *padded(ROWS, fill), [2, 1])
        torch.testing.assert_close(beside.late[:, 1, :3], alone.late[[1, 0], 0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(beside.final[1, :3], alone.final[0], atol=1e-5, rtol=1e-4)


def test_attention_is_the_mean_over_heads_and_layers(model):
    before = model.config._attn_implementation
    found = hidden_states(model, *padded(ROWS), [1, 2], attention=True)
    assert model.config._attn_implementation == before
    with eager_attention(model), torch.no_grad():
        plain = model(torch.tensor([ROWS[1]]), output_attentions=True).attentions
    expected = (plain[0][0].mean(0) + plain[1][0].mean(0)) / 2
    torch.testing.assert_close(found.attention[1, :3, :3], expected, atol=1e-5, rtol=1e-4)
    # Every token attends to itself and what is before it, in total 1.
    assert found.attention[0].triu(1).abs().max() == 0
    torch.testing.assert_close(found.attention[0].sum(1), torch.ones(6))
    # The states do not depend on how attention is computed.
    torch.testing.assert_close(found.late, hidden_states(model, *padded(ROWS), [1, 2]).late, atol=1e-4, rtol=1e-3)


def test_layers_that_are_not_there_are_refused(model):
    for layer in (0, 3, -1):
        with pytest.raises(ScorecraftError, match=rf"layer {layer} of a model of 3; expected 1 to 2"):
            hidden_states(model, *padded(ROWS), [layer])


def test_a_model_without_an_accessible_norm_asks_for_callables():
    model = tunnel_model(2, 16, 2)
    norm = model.model.norm
    lens = Lens(norm, model.lm_head)
    del model.model.norm
    with pytest.raises(ScorecraftError, match=r"found no final norm \(looked for norm, ln_f.*lens=Lens"):
        lens_of(model)
    model.model.norm = norm
    assert hidden_states(model, *padded(ROWS), [1], lens=lens).final.shape == (2, 6, 16)
    with pytest.raises(ScorecraftError, match="found no unembedding"):
        lens_of(torch.nn.Linear(2, 2))


def test_logits_that_are_capped_after_the_unembedding_need_a_lens_that_caps():
    model = gemma2()
    with pytest.raises(ScorecraftError, match="scaled or capped; give lens"):
        hidden_states(model, *padded(ROWS), [1])
    capped = Lens(lens_of(model).norm, lambda h: torch.tanh(model.lm_head(h) / 0.5) * 0.5)
    found = hidden_states(model, *padded(ROWS), [1], lens=capped)
    with torch.no_grad():
        logits = model(torch.tensor([ROWS[1]])).logits[0]
        torch.testing.assert_close(capped.unembed(found.final[1, :3]), logits, atol=1e-4, rtol=1e-4)


def test_a_model_that_cannot_give_its_attention_says_so():
    model = tunnel_model(2, 16, 2)

    def refuse(name):
        raise ValueError("not supported here")

    model.set_attn_implementation = refuse
    with pytest.raises(ScorecraftError, match=r"not supported here.*attn_implementation='eager', or go without"):
        hidden_states(model, *padded(ROWS), [1], attention=True)
    # One that pretends to have switched, and returns none.
    model.set_attn_implementation = lambda name: None
    with pytest.raises(ScorecraftError, match="returned no attention of every layer"):
        hidden_states(model, *padded(ROWS), [1], attention=True)
