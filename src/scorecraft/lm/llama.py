"""One forward pass for the Llama family, shared by prefill, decoding and training.

It reads the weights of an ordinary Hugging Face model, so whatever trains the one trains the other. Tokens are
rows of one flat ``[token, width]`` matrix: padding never enters a matrix product, prompts are computed once for
all rollouts of their group, and attention alone sees the padded layout.

It leaves out: other architectures (see `transformers_backbone`), sliding windows, dropout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from scorecraft.lm.fused import embed, on_cpu_float32, rms_norm, rotate, swiglu

if TYPE_CHECKING:
    from scorecraft.lm.compiled_decoding import CompiledStep

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """The weights of one layer; with ``fused`` the query, key and value (and gate and up) matrices are stacked."""

    attention_norm: Tensor
    qkv: tuple[Tensor, ...]
    qkv_bias: tuple[Tensor | None, ...]
    out: Tensor
    out_bias: Tensor | None
    feed_forward_norm: Tensor
    gate_up: tuple[Tensor, ...]
    down: Tensor


@dataclass(frozen=True, eq=False)
class LlamaWeights:
    """All weights of a model and the few numbers of its shape."""

    embedding: Tensor
    layers: tuple[LayerWeights, ...]
    norm: Tensor
    head: Tensor
    heads: int
    kv_heads: int
    head_width: int
    epsilon: float
    rotary: Callable[[Tensor], tuple[Tensor, Tensor]]


def supported(model: Any) -> bool:
    """Return whether this file's forward pass computes exactly what the model's own would."""
    config = model.config
    return (
        type(model).__name__ in ("LlamaForCausalLM", "Qwen2ForCausalLM", "MistralForCausalLM")
        and getattr(config, "hidden_act", "") == "silu"
        and not getattr(config, "mlp_bias", False)
        and not getattr(config, "sliding_window", None)
        and not getattr(config, "use_sliding_window", False)
        and model.lm_head.bias is None
        and getattr(config, "rope_type", "default") == "default"
    )


def weights_of(model: Any, *, fused: bool) -> LlamaWeights:
    """Gather the weights of a Hugging Face model; ``fused`` copies stacked matrices (for decoding, no gradient)."""
    config = model.config
    layers = []
    for layer in model.model.layers:
        attention, feed_forward = layer.self_attn, layer.mlp
        qkv = (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)
        bias = (attention.q_proj.bias, attention.k_proj.bias, attention.v_proj.bias)
        gate_up = (feed_forward.gate_proj.weight, feed_forward.up_proj.weight)
        if fused:
            qkv, gate_up = (torch.cat(qkv),), (torch.cat(gate_up),)
            bias = (None if bias[0] is None else torch.cat(bias),)
        layers.append(
            LayerWeights(
                layer.input_layernorm.weight,
                qkv,
                bias,
                attention.o_proj.weight,
                attention.o_proj.bias,
                layer.post_attention_layernorm.weight,
                gate_up,
                feed_forward.down_proj.weight,
            )
        )
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads

    def rotary(positions: Tensor) -> tuple[Tensor, Tensor]:
        like = model.model.embed_tokens.weight
        cosine, sine = model.model.rotary_emb(like, positions[None])
        half = head_width // 2
        return cosine[0, :, None, :half].contiguous(), sine[0, :, None, :half].contiguous()

    return LlamaWeights(
        model.model.embed_tokens.weight,
        tuple(layers),
        model.model.norm.weight,
        model.lm_head.weight,
        config.num_attention_heads,
        config.num_key_value_heads,
        head_width,
        config.rms_norm_eps,
        rotary,
    )


def forward(
    weights: LlamaWeights, tokens: Int64[Tensor, " token"], positions: Int64[Tensor, " token"], attend: Attend
) -> Float[Tensor, "token width"]:
    """Return the final hidden state of every token.

    ``attend(layer, query, key, value)`` gets ``[token, head, head_width]`` tensors, rotated already, and returns
    ``[token, head * head_width]``.
    """
    cosine, sine = weights.rotary(positions)
    x = embed(weights.embedding, tokens)
    h, kv, width = weights.heads, weights.kv_heads, weights.head_width
    for index, layer in enumerate(weights.layers):
        normed = rms_norm(x, layer.attention_norm, weights.epsilon)
        projected = [F.linear(normed, w, b) for w, b in zip(layer.qkv, layer.qkv_bias, strict=True)]
        if len(projected) == 1:
            projected = projected[0].split((h * width, kv * width, kv * width), dim=1)
        query, key, value = projected
        query = rotate(query.view(-1, h, width), cosine, sine)
        key = rotate(key.view(-1, kv, width), cosine, sine)
        mixed = attend(index, query, key, value.view(-1, kv, width))
        x = x + F.linear(mixed, layer.out, layer.out_bias)
        normed = rms_norm(x, layer.feed_forward_norm, weights.epsilon)
        if len(layer.gate_up) == 1:
            gate, up = F.linear(normed, layer.gate_up[0]).chunk(2, dim=1)
        else:
            gate, up = F.linear(normed, layer.gate_up[0]), F.linear(normed, layer.gate_up[1])
        x = x + F.linear(swiglu(gate, up), layer.down)
    return rms_norm(x, weights.norm, weights.epsilon)


class DecodingState:
    """Keys and values of the rows being decoded, in one preallocated ``[row * head, width, column]`` block per layer.

    Prompts are left-padded to one width, so that every row writes its next key at the same column.
    """

    def __init__(self, weights: LlamaWeights, prompt_lengths: Tensor, prompt_width: int, capacity: int) -> None:
        self.weights = weights
        self.filled = prompt_width
        shape = (len(prompt_lengths) * weights.kv_heads, weights.head_width, prompt_width + capacity)
        like = weights.embedding
        self.keys = [torch.empty(shape, dtype=like.dtype, device=like.device) for _ in weights.layers]
        self.values = [torch.empty(shape, dtype=like.dtype, device=like.device) for _ in weights.layers]
        self.pad = prompt_width - prompt_lengths
        self.padded = bool((self.pad > 0).any())
        self.compiled: CompiledStep | None = None
        if on_cpu_float32(like):
            from scorecraft.lm.compiled_decoding import CompiledStep

            self.compiled = CompiledStep(weights, len(prompt_lengths), prompt_width + capacity)

    def select(self, rows: Int64[Tensor, " row"]) -> None:
        """Keep only the given rows."""
        kv = self.weights.kv_heads
        index = (rows[:, None] * kv + torch.arange(kv, device=rows.device)).reshape(-1)
        for cache in (self.keys, self.values):
            for layer, block in enumerate(cache):
                kept = torch.empty((len(index), *block.shape[1:]), dtype=block.dtype, device=block.device)
                kept[..., : self.filled] = block[..., : self.filled].index_select(0, index)
                cache[layer] = kept
        self.pad = self.pad[rows]
        self.padded = bool((self.pad > 0).any())

    def step(self, tokens: Int64[Tensor, " row"]) -> Float[Tensor, "row width"]:
        """Append one token to every row; return its hidden state."""
        column = self.filled
        self.filled += 1
        if self.compiled:
            return self.compiled(tokens, self.keys, self.values, self.pad.numpy(), column)
        hidden_keys = None
        if self.padded:
            columns = torch.arange(self.filled, device=tokens.device)
            hidden_keys = (columns < self.pad[:, None]).repeat_interleave(self.weights.kv_heads, 0)[:, None, :]
        rows, kv, width = len(tokens), self.weights.kv_heads, self.weights.head_width
        scale = width**-0.5

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            self.keys[layer][:, :, column] = key.reshape(rows * kv, width)
            self.values[layer][:, :, column] = value.reshape(rows * kv, width)
            keys, values = self.keys[layer][..., : self.filled], self.values[layer][..., : self.filled]
            # The heads that share a key are rows of one small product, so keys are never repeated.
            scores = torch.bmm(query.reshape(rows * kv, -1, width) * scale, keys)
            if hidden_keys is not None:
                scores.masked_fill_(hidden_keys, float("-inf"))
            return torch.bmm(scores.softmax(-1), values.transpose(1, 2)).reshape(rows, -1)

        return forward(self.weights, tokens, column - self.pad, attend)


@torch.no_grad()
def prefill(
    weights: LlamaWeights,
    prompts: Int64[Tensor, "prompt prompt_token"],
    lengths: Int64[Tensor, " prompt"],
    group: Int64[Tensor, " row"],
    capacity: int,
    starts: Int64[Tensor, " row"] | None = None,
) -> tuple[DecodingState, Float[Tensor, "row width"]]:
    """Compute each (left-padded) prompt once and share it among the rows of its group.

    ``starts`` says how many tokens of its prompt each row goes on from, at least one; all where it is not given.
    Returns the decoding state of all rows, with room for ``capacity`` more tokens, and the hidden state that
    predicts each row's first token.
    """
    count, width = prompts.shape
    whole = lengths[group]
    starts = whole if starts is None else starts
    kept = int(starts.max())
    state = DecodingState(weights, starts, kept, capacity)
    pad = width - lengths
    positions = (torch.arange(width, device=prompts.device) - pad[:, None]).clamp(min=0)
    columns = torch.arange(width, device=prompts.device)
    visible = (columns[None, :] <= columns[:, None])[None] & (columns >= pad[:, None])[:, None, :]
    # A padding query sees itself, so that its softmax is not over nothing.
    visible = (visible | torch.eye(width, dtype=torch.bool, device=prompts.device))[:, None]
    kv = weights.kv_heads
    index = (group[:, None] * kv + torch.arange(kv, device=group.device)).reshape(-1)
    shifted = None
    if not starts.equal(whole):
        # The column of the prompt that each column of a row's cache is copied from, so that all rows end together.
        source = torch.arange(kept, device=group.device) - state.pad[:, None] + pad[group][:, None]
        shifted = source.clamp(min=0).repeat_interleave(kv, 0)[:, None, :]

    def shared(block: Tensor) -> Tensor:
        rows = block.reshape(count * kv, width, -1).transpose(1, 2)[index]
        if shifted is None:
            return rows[..., width - kept :]
        return rows.gather(2, shifted.expand(-1, rows.shape[1], -1))

    def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        q, k, v = (x.view(count, width, -1, weights.head_width).transpose(1, 2) for x in (query, key, value))
        for cache, block in ((state.keys[layer], k), (state.values[layer], v)):
            cache[..., :kept] = shared(block)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, enable_gqa=kv != weights.heads)
        return mixed.transpose(1, 2).reshape(count * width, -1)

    hidden = forward(weights, prompts.reshape(-1), positions.reshape(-1), attend)
    return state, hidden.view(count, width, -1)[group, pad[group] + starts - 1]


@dataclass(frozen=True, eq=False)
class _Packing:
    """Where the real tokens of a padded ``[row, column]`` block stand in the flat matrix."""

    padded: Tensor | None  # [row * column] flat index of every cell, None where there is no padding
    real: Tensor | None  # cells of the block that hold real tokens
    shape: tuple[int, int]

    @classmethod
    def of(cls, lengths: Tensor) -> _Packing:
        width = int(lengths.max()) if len(lengths) else 0
        shape = (len(lengths), width)
        present = torch.arange(width, device=lengths.device) < lengths[:, None]
        if bool(present.all()):
            return cls(None, None, shape)
        flat = (present.flatten().cumsum(0) - 1).clamp(min=0)
        return cls(flat, present.flatten().nonzero()[:, 0], shape)

    def pad(self, flat: Tensor) -> Tensor:
        """``[token, head, width]`` to ``[row, head, column, width]``."""
        block = flat if self.padded is None else flat.index_select(0, self.padded)
        return block.view(*self.shape, *flat.shape[1:]).transpose(1, 2)

    def flatten(self, block: Tensor) -> Tensor:
        """``[row, head, column, width]`` to ``[token, head * width]``."""
        rows, heads, columns, width = block.shape
        flat = block.transpose(1, 2).reshape(rows * columns, heads * width)
        return flat if self.real is None else flat.index_select(0, self.real)


def completion_hidden_states(
    weights: LlamaWeights,
    prompts: Int64[Tensor, "prompt prompt_token"],
    prompt_lengths: Int64[Tensor, " prompt"],
    tokens: Int64[Tensor, "rollout token"],
    lengths: Int64[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
) -> Float[Tensor, "real_token width"]:
    """Return the hidden state that predicts each real completion token, rollout by rollout.

    Prompts are left-padded and computed once per group; the last token of a completion predicts nothing and is
    left out; no padding enters a matrix product. Carries the gradient of all weights.
    """
    device = tokens.device
    inputs = (lengths - 1).clamp(min=0)
    prompt_pack, completion_pack = _Packing.of(prompt_lengths), _Packing.of(inputs)
    prompt_columns = torch.arange(prompts.shape[1], device=device)
    prompt_real = prompt_columns >= (prompts.shape[1] - prompt_lengths)[:, None]
    columns = torch.arange(tokens.shape[1], device=device)
    input_real = columns < inputs[:, None]
    flat_tokens = torch.cat((prompts[prompt_real], tokens[input_real]))
    positions = torch.cat(
        (
            (prompt_columns - (prompts.shape[1] - prompt_lengths)[:, None])[prompt_real],
            (columns + prompt_lengths[group][:, None])[input_real],
        )
    )
    split = int(prompt_lengths.sum())
    visible = _visible(prompt_lengths[group], prompt_pack.shape[1], completion_pack.shape[1])
    shared_keys = weights.kv_heads != weights.heads

    def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        del layer
        q, k, v = (prompt_pack.pad(x[:split]) for x in (query, key, value))
        prompt_mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=shared_keys)
        mixed = prompt_pack.flatten(prompt_mixed)
        if completion_pack.shape[1] == 0:
            return mixed
        q, own_k, own_v = (completion_pack.pad(x[split:]) for x in (query, key, value))
        k = torch.cat((k.index_select(0, group), own_k), dim=2)
        v = torch.cat((v.index_select(0, group), own_v), dim=2)
        completion_mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, enable_gqa=shared_keys)
        return torch.cat((mixed, completion_pack.flatten(completion_mixed)))

    hidden = forward(weights, flat_tokens, positions, attend)
    last_of_prompt = prompt_lengths.cumsum(0) - 1
    first_input = split + inputs.cumsum(0) - inputs
    source = torch.where(columns == 0, last_of_prompt[group][:, None], first_input[:, None] + columns - 1)
    return hidden.index_select(0, source[columns < lengths[:, None]])


def _visible(prompt_lengths: Tensor, prompt_width: int, width: int) -> Tensor:
    """Which keys a completion token sees: its whole prompt, and the completion up to itself."""
    device = prompt_lengths.device
    causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()
    prompt = torch.arange(prompt_width, device=device) < prompt_lengths[:, None]
    if bool(prompt.all()):
        return torch.cat((causal.new_ones(width, prompt_width), causal), dim=1)[None, None]
    rows = len(prompt_lengths)
    prompt = prompt[:, None, None, :].expand(rows, 1, width, prompt_width)
    return torch.cat((prompt, causal.expand(rows, 1, width, width)), dim=3)
