"""Loading, saving and the encodings of a policy, and the mistakes a user can make with a folder."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, LlamaModel, T5Config, T5ForConditionalGeneration

from scorecraft.errors import ScorecraftError
from scorecraft.lm.policy import Policy, resolve_policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.tasks.alphabet import ALPHABET
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def ids_of(text):
    return [4 + ALPHABET.index(c) for c in text]


@pytest.fixture
def policy():
    return Policy(tunnel_model(1, 16, 2), tunnel_tokenizer(), "small")


@pytest.fixture
def chat_policy():
    tokenizer = tunnel_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    model = tunnel_model(1, 16, 2)
    model.resize_token_embeddings(len(tokenizer))
    return Policy(model, tokenizer, "chatty")


def test_saved_and_loaded_it_is_the_same(policy, tmp_path):
    policy.save(tmp_path / "small")
    loaded = Policy.load(tmp_path / "small")
    tokens = torch.tensor([policy.encode_prompt("12+7=?\n")])
    assert torch.equal(policy.model(tokens).logits, loaded.model(tokens).logits)
    assert loaded.tokenizer.get_vocab() == policy.tokenizer.get_vocab()
    assert (loaded.name, loaded.eos_ids, loaded.pad_id) == ("small", {2}, 0)
    assert not loaded.model.training
    assert (tmp_path / "small" / "model.safetensors").is_file()


def test_name_and_dtype_can_be_given(policy, tmp_path):
    policy.save(tmp_path)
    loaded = Policy.load(str(tmp_path), name="mine", dtype="bfloat16")
    assert loaded.name == "mine"
    assert loaded.model.dtype == torch.bfloat16
    assert loaded.device == torch.device("cpu")


def test_sizes(policy):
    assert policy.context_length == 512
    # one layer: 4 * 16 * 16 attention, 3 * 16 * 48 feed-forward, 2 * 16 norms; 99 or 100 tokens, last norm
    assert policy.parameter_count == 4 * 256 + 3 * 768 + 32 + (4 + len(ALPHABET)) * 16 + 16


def test_plain_prompts_open_with_bos_and_texts_do_not(policy):
    assert policy.encode_prompt("1+1=?") == [1, *ids_of("1+1=?")]
    assert policy.encode_prompt("1", system="Add.") == [1, *ids_of("Add.\n1")]
    assert policy.encode("1+1") == ids_of("1+1")
    assert policy.encode_follow_up("\nCheck it.\n") == ids_of("\nCheck it.\n")
    assert policy.decode([1, *ids_of("2\n#2"), 2, 0]) == "2\n#2"


def test_token_text_names_special_tokens(policy):
    assert [policy.token_text(token) for token in (0, 2, *ids_of(" \n7"))] == ["<pad>", "<eos>", " ", "\n", "7"]


def test_a_prompt_stays_open_where_the_tokenizer_closes_texts(policy):
    from tokenizers.processors import TemplateProcessing

    closing = TemplateProcessing(single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)])
    policy.tokenizer.backend_tokenizer.post_processor = closing
    assert policy.encode_prompt("1") == [1, *ids_of("1")]


def test_chat_prompts_render_the_template(chat_policy):
    start, end = chat_policy.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    user = [start, *ids_of("user\nhi"), end, *ids_of("\n")]
    opening = [start, *ids_of("assistant\n")]
    assert chat_policy.encode_prompt("hi") == [*user, *opening]
    system = [start, *ids_of("system\nBe kind"), end, *ids_of("\n")]
    assert chat_policy.encode_prompt("hi", system="Be kind", chat="always") == [*system, *user, *opening]
    assert chat_policy.encode_prompt("hi", chat="never") == [1, *ids_of("hi")]
    assert chat_policy.eos_ids == {2, end}


def test_a_chat_follow_up_goes_on_after_the_end_token(chat_policy):
    start, end = chat_policy.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    expected = [*ids_of("\n"), start, *ids_of("user\nSure?"), end, *ids_of("\n"), start, *ids_of("assistant\n")]
    assert chat_policy.encode_follow_up("Sure?") == expected
    assert chat_policy.encode_follow_up("Sure?", chat="never") == ids_of("Sure?")


@pytest.mark.parametrize("method", ["encode_prompt", "encode_follow_up"])
def test_chat_modes_that_do_not_hold_are_refused(policy, method):
    with pytest.raises(ScorecraftError, match="chat: never"):
        getattr(policy, method)("hi", chat="always")
    with pytest.raises(ScorecraftError, match="did you mean 'always'"):
        getattr(policy, method)("hi", chat="alway")


def test_eos_of_the_generation_configuration_counts(policy):
    policy.model.generation_config.eos_token_id = [2, 7]
    assert policy.eos_ids == {2, 7}


def test_without_a_pad_token_the_end_token_pads(policy, tmp_path):
    policy.save(tmp_path)
    config = tmp_path / "tokenizer_config.json"
    fields = json.loads(config.read_text())
    config.write_text(json.dumps({name: value for name, value in fields.items() if name != "pad_token"}))
    assert Policy.load(tmp_path).pad_id == 2


def test_neither_pad_nor_end_token_is_refused(policy):
    policy.tokenizer.pad_token = policy.tokenizer.eos_token = None
    with pytest.raises(ScorecraftError, match="neither a pad nor an end-of-sequence token"):
        Policy(policy.model, policy.tokenizer, "bare")


def test_missing_folders_and_files_say_what_is_missing(policy, tmp_path):
    with pytest.raises(ScorecraftError, match="no such folder"):
        Policy.load(tmp_path / "nowhere")
    with pytest.raises(ScorecraftError, match="no such folder"):
        Policy.load("./nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ScorecraftError, match="a file; expected the folder"):
        Policy.load(tmp_path / "file")
    with pytest.raises(ScorecraftError, match=r"no config\.json"):
        Policy.load(tmp_path)
    policy.model.save_pretrained(tmp_path)
    with pytest.raises(ScorecraftError, match=r"no tokenizer\.json"):
        Policy.load(tmp_path)
    policy.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ScorecraftError, match="no weights that load"):
        Policy.load(tmp_path)


def test_models_that_are_not_causal_are_refused(policy, tmp_path):
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    models = {
        "bert": BertForMaskedLM(BertConfig(vocab_size=20, **small)),
        "t5": T5ForConditionalGeneration(T5Config(vocab_size=20, d_model=16, d_kv=8, d_ff=16, num_layers=1)),
        "headless": LlamaModel(policy.model.config),
    }
    for name, model in models.items():
        model.save_pretrained(tmp_path / name)
        policy.tokenizer.save_pretrained(tmp_path / name)
        with pytest.raises(ScorecraftError, match="expected a causal language model"):
            Policy.load(tmp_path / name)


def test_weights_that_lack_a_tensor_are_refused(policy, tmp_path):
    from safetensors.torch import load_file, save_file

    policy.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ScorecraftError, match=r"lack model\.norm\.weight"):
        Policy.load(tmp_path)


def test_unknown_dtypes_and_devices_are_refused(policy, tmp_path):
    policy.save(tmp_path)
    with pytest.raises(ScorecraftError, match="did you mean 'float16'"):
        Policy.load(tmp_path, dtype="flaot16")
    with pytest.raises(ScorecraftError, match="'cpu' always is"):
        Policy.load(tmp_path, device="warp")


def test_resolving_names(policy, tmp_path):
    policy.save(tmp_path / "mine")
    task = ChainArithmetic()
    assert resolve_policy(str(tmp_path / "mine"), {}, task).name == "mine"
    with pytest.raises(ScorecraftError, match="did you mean 'tunnel-tiny'"):
        resolve_policy("tunel-tiny", {}, task)
    with pytest.raises(ScorecraftError, match="takes no options, but got layers"):
        resolve_policy(str(tmp_path / "mine"), {"layers": 2}, task)
    with pytest.raises(ScorecraftError, match="did you mean 'competence'"):
        resolve_policy("tunnel-tiny", {"competense": 0.3}, task)
    with pytest.raises(ScorecraftError, match=r"option 'competence'.*got 1\.5"):
        resolve_policy("tunnel-tiny", {"competence": 1.5}, task)
    with pytest.raises(ScorecraftError, match="neither a folder here nor a model on the hub"):
        resolve_policy("nobody-at-all/nothing", {}, task)
