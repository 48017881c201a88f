"""Real students: the wind tunnel's policy, and a small GPT-2 with a tokenizer of its own and a chat template."""

from __future__ import annotations

import pytest

TEXTS = [
    "Take 12 and add 7, which gives 19. Then subtract 3. The answer is 16.",
    "<user> What is two plus three? <assistant> Two plus three is five.",
    "First we check the sum, since a carry might be lost; therefore we verify it.",
]
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def tunnel():
    from scorecraft.lm.policy import resolve_policy
    from scorecraft.tasks.chain_arithmetic import ChainArithmetic

    return resolve_policy("tunnel-tiny", {}, ChainArithmetic.model_validate({}))


@pytest.fixture(scope="session")
def gpt2_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|start|>", "<|end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(TEXTS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|endoftext|>", additional_special_tokens=special[1:]
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture(scope="session")
def gpt2(gpt2_tokenizer):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(gpt2_tokenizer), n_positions=128, n_embd=32, n_layer=2, n_head=2, initializer_range=0.3,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()
