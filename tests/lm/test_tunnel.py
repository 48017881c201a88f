"""The wind tunnel's tokenizer and model are ordinary Hugging Face objects."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from scorecraft.errors import ScorecraftError
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.tasks.alphabet import ALPHABET

TOKENIZER = tunnel_tokenizer()
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")


def test_special_tokens_come_first_and_the_vocabulary_is_small():
    assert TOKENIZER.convert_ids_to_tokens([0, 1, 2, 3]) == ["<pad>", "<bos>", "<eos>", "<unk>"]
    assert (TOKENIZER.pad_token_id, TOKENIZER.bos_token_id, TOKENIZER.eos_token_id) == (0, 1, 2)
    assert len(TOKENIZER) == 4 + len(ALPHABET) <= 100


@given(st.text(alphabet=ALPHABET, max_size=60).filter(lambda text: not any(t in text for t in SPECIAL)))
def test_one_token_a_character_and_back(text):
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert len(ids) == len(text)
    assert [ALPHABET[i - 4] for i in ids] == list(text)
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == text


def test_a_text_opens_with_bos_and_strangers_become_unknown():
    one = 4 + ALPHABET.index("1")
    assert TOKENIZER.encode("1é1") == [1, one, 3, one]
    assert TOKENIZER.encode("éé", add_special_tokens=False) == [3, 3]


def test_parameter_count_of_the_default_model():
    # Per layer: four square attention matrices, three feed-forward ones of 3 * 128, two norms; then the tied
    # embedding and the last norm.
    layer = 4 * 128 * 128 + 3 * 128 * 384 + 2 * 128
    expected = 4 * layer + (4 + len(ALPHABET)) * 128 + 128
    model = tunnel_model()
    assert sum(p.numel() for p in model.parameters()) == expected
    assert 850_000 <= expected <= 1_000_000
    assert model.config.max_position_embeddings == 512


def test_the_seed_decides_the_weights_and_the_global_random_state_stays():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (tunnel_model(1, 16, 2, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_a_saved_folder_loads_with_the_auto_classes(tmp_path):
    model = tunnel_model(1, 16, 2)
    model.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert type(loaded).__name__ == "LlamaForCausalLM"
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name]), name
    text = " 12+7=19\n\n#16 <eo"
    assert tokenizer.encode(text) == TOKENIZER.encode(text)
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text
    assert loaded.generation_config.eos_token_id == 2


@pytest.mark.parametrize(("width", "heads"), [(10, 4), (20, 4), (16, 0)])
def test_heads_that_do_not_divide_the_width_are_refused(width, heads):
    with pytest.raises(ScorecraftError, match="multiple of 2 \\* heads"):
        tunnel_model(1, width, heads)
