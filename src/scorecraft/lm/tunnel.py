"""The wind tunnel's own language model: an ordinary small Llama over single characters.

Model and tokenizer are plain Hugging Face objects, so that a saved folder loads anywhere. This file gives a
model with random weights; `scorecraft.lm.warm_start` teaches it a task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scorecraft.errors import ScorecraftError
from scorecraft.tasks.alphabet import ALPHABET

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
CONTEXT_LENGTH = 512


def tunnel_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer of the wind tunnel: one token per character of the tasks' alphabet.

    The special tokens ``<pad> <bos> <eos> <unk>`` have the ids 0 to 3; a character outside the alphabet
    becomes ``<unk>``. ``<bos>`` is put before a text unless the caller asks for no special tokens.
    """
    from tokenizers import Tokenizer, decoders, models, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: index for index, token in enumerate([PAD, BOS, EOS, UNKNOWN, *ALPHABET])}
    # Byte-pair encoding without a single merge is a character tokenizer; whitespace stays as it is.
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN, fuse_unk=False))
    inner.decoder = decoders.Fuse()
    inner.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, vocabulary[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        model_max_length=CONTEXT_LENGTH,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def tunnel_model(
    layers: int = 4,
    width: int = 128,
    heads: int = 4,
    *,
    feed_forward: int | None = None,
    initializer_range: float = 0.06,
    seed: int = 0,
) -> LlamaForCausalLM:
    """Return an untrained Llama for the wind tunnel's tokenizer, in float32 and evaluation mode.

    Args:
        layers: number of decoder layers.
        width: size of the hidden state; a multiple of twice ``heads``.
        heads: number of attention heads.
        feed_forward: size of the feed-forward layer; three times ``width`` where it is not given.
        initializer_range: standard deviation of the initial matrices. Llama's usual 0.02 is meant for widths in
            the thousands; a model this narrow learns far more slowly from it.
        seed: of the initial weights; the global random state is left as it was.

    Raises:
        ScorecraftError: where ``heads`` does not divide ``width`` into heads of an even size.
    """
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    if min(layers, width, heads) < 1 or width % (2 * heads):
        raise ScorecraftError(
            f"tunnel_model: layers={layers}, width={width}, heads={heads}; expected positive numbers and a width "
            f"that is a multiple of 2 * heads, such as width={2 * max(heads, 1) * 16}"
        )
    special: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = LlamaConfig(
        vocab_size=4 + len(ALPHABET),
        hidden_size=width,
        intermediate_size=feed_forward or 3 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=CONTEXT_LENGTH,
        initializer_range=initializer_range,
        tie_word_embeddings=True,
        **special,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(**special)
    return model.eval()
