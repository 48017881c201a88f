"""Continuations share their beginnings, and are what going on from each beginning alone would give."""

from __future__ import annotations

import pytest
import torch

from scorecraft.errors import ScorecraftError
from scorecraft.lm.continuations import _uniforms, continuations
from scorecraft.lm.generate import SamplingSettings, generate
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer

SETTINGS = SamplingSettings(12)


@pytest.fixture(scope="module")
def policy():
    torch.manual_seed(0)
    return Policy(tunnel_model(2, 32, 4, seed=3), tunnel_tokenizer(), "small")


@pytest.fixture(scope="module")
def gpt():
    """An architecture whose beginnings are not shared."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = tunnel_tokenizer()
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=128, n_embd=32, n_layer=2, n_head=4)
    torch.manual_seed(1)
    return Policy(GPT2LMHeadModel(config).eval(), tokenizer, "gpt")


def texts(policy):
    prompts = [policy.encode_prompt("1+2?"), policy.encode_prompt("17+25-3?"), policy.encode_prompt("4?")]
    return prompts, [policy.encode("1+2=3\n"), policy.encode("17+25=42\n42-3=39\n"), policy.encode("4")]


CUTS = [[0, 3, 6], [9], []]


@pytest.mark.parametrize("name", ["policy", "gpt"])
def test_each_is_what_its_beginning_alone_would_give(name, request):
    policy = request.getfixturevalue(name)
    prompts, completions = texts(policy)
    found = continuations(policy, prompts, completions, CUTS, SETTINGS, samples=2, seeds=[5, 6, 7])
    assert found.completion.tolist() == [0] * 6 + [1] * 2
    assert found.cut.tolist() == [0, 0, 3, 3, 6, 6, 9, 9]
    place = 0
    for row, cuts in enumerate(CUTS):
        if not cuts:
            continue
        uniforms = _uniforms([5, 6, 7][row], 2 * len(cuts), SETTINGS.max_new_tokens)
        for number, cut in enumerate(cuts):
            alone = generate(
                policy, [[*prompts[row], *completions[row][:cut]]], torch.zeros(2, dtype=torch.int64),
                uniforms[2 * number : 2 * number + 2], SETTINGS,
            )  # fmt: skip
            for tokens, length in zip(alone.tokens.tolist(), alone.lengths.tolist(), strict=True):
                said = policy.decode(tokens[:length])
                assert found.texts[place] == said
                assert found.whole[place] == policy.decode(completions[row][:cut]) + said
                place += 1
    assert place == len(found.texts)


def test_a_completion_goes_through_the_model_once(policy):
    prompts, completions = texts(policy)
    settings = SamplingSettings(1)
    found = continuations(policy, prompts[1:2], completions[1:2], [[0, 4, 9, 16]], settings, samples=5, seeds=[0])
    # Prompt and the first 16 tokens once; the one token drawn of each comes from that pass.
    assert found.forward_tokens == len(prompts[1]) + 16


def test_the_closing_is_forced_and_part_of_the_text(policy):
    prompts, completions = texts(policy)
    closing = policy.encode("\n9")
    found = continuations(
        policy, prompts[:1], completions[:1], [[3]], SETTINGS, samples=3, seeds=[0], closing=closing
    )  # fmt: skip
    assert all(text.startswith("\n9") for text in found.texts)


def test_random_numbers_of_a_completion_do_not_depend_on_the_others(policy):
    prompts, completions = texts(policy)
    together = continuations(policy, prompts, completions, CUTS, SETTINGS, samples=2, seeds=[5, 6, 7])
    alone = continuations(policy, prompts[1:2], completions[1:2], CUTS[1:2], SETTINGS, samples=2, seeds=[6])
    assert together.texts[6:] == alone.texts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cuts": [[7], [], []]}, "completion 0 has 6 tokens"),
        ({"cuts": [[-1], [], []]}, "its cuts are"),
        ({"samples": 0}, "1 sample or more"),
        ({"seeds": [1]}, "1 seeds"),
        ({"settings": SamplingSettings(100_000)}, "does not fit"),
    ],
)
def test_mistakes_are_named(policy, change, said):
    prompts, completions = texts(policy)
    given = {"cuts": CUTS, "settings": SETTINGS, "samples": 1, "seeds": [0, 1, 2]} | change
    cuts, settings = given.pop("cuts"), given.pop("settings")
    with pytest.raises(ScorecraftError, match=said):
        continuations(policy, prompts, completions, cuts, settings, **given)


def test_no_cut_gives_nothing(policy):
    prompts, completions = texts(policy)
    found = continuations(policy, prompts, completions, [[], [], []], SETTINGS, samples=2, seeds=[0, 1, 2])
    assert found.texts == ()
    assert found.forward_tokens == 0
