"""One decoding step of a Llama on the CPU in float32: matrix products by torch, everything between them compiled.

For a small model the calls between the products cost more than the products: this makes seven of them a layer.
Buffers are made once and shared by all layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from scorecraft.lm import kernels

if TYPE_CHECKING:
    from scorecraft.lm.llama import LlamaWeights


class CompiledStep:
    """The weights as the kernels take them, and the buffers of a step."""

    def __init__(self, weights: LlamaWeights, rows: int, positions: int) -> None:
        self.weights = weights
        cosine, sine = weights.rotary(torch.arange(positions))
        self.cosine, self.sine = cosine[:, 0].contiguous().numpy(), sine[:, 0].contiguous().numpy()
        self.norms = [
            (layer.attention_norm.detach().numpy(), layer.feed_forward_norm.detach().numpy())
            for layer in weights.layers
        ]
        self.last_norm = weights.norm.detach().numpy()
        self.scale = np.float32(weights.head_width**-0.5)
        first = weights.layers[0]
        width, packed, hidden = len(weights.norm), len(first.qkv[0]), len(first.gate_up[0])
        self.rows = rows
        self.buffers = [torch.empty(rows, n) for n in (width, packed, first.out.shape[1], hidden, hidden // 2)]
        self.scales = np.empty(rows, dtype=np.float32)

    def __call__(
        self, tokens: Int64[Tensor, " row"], keys: list[Tensor], values: list[Tensor], pad: Any, column: int
    ) -> Float[Tensor, "row width"]:
        """Append one token to every row at ``column`` of the cache; return its final hidden state."""
        rows = len(tokens)
        x = F.embedding(tokens, self.weights.embedding)
        normed, qkv, mixed, gate_up, hidden = (buffer[:rows] for buffer in self.buffers)
        arrays = [tensor.numpy() for tensor in (x, normed, qkv, mixed, gate_up, hidden)]
        x_array, normed_array, qkv_array, mixed_array, gate_up_array, hidden_array = arrays
        scales, epsilon = self.scales[:rows], self.weights.epsilon
        for index, layer in enumerate(self.weights.layers):
            attention_norm, feed_forward_norm = self.norms[index]
            kernels.rms_norm_rows(x_array, attention_norm, epsilon, normed_array, scales)
            torch.mm(normed, layer.qkv[0].T, out=qkv)
            if layer.qkv_bias[0] is not None:
                qkv += layer.qkv_bias[0]
            kernels.decode_attention(
                qkv_array, self.cosine, self.sine, keys[index].numpy(), values[index].numpy(), pad, column,
                self.scale, mixed_array,
            )  # fmt: skip
            x.addmm_(mixed, layer.out.T)
            if layer.out_bias is not None:
                x += layer.out_bias
            kernels.rms_norm_rows(x_array, feed_forward_norm, epsilon, normed_array, scales)
            torch.mm(normed, layer.gate_up[0].T, out=gate_up)
            kernels.swiglu_packed(gate_up_array, hidden_array)
            x.addmm_(hidden, layer.down.T)
        kernels.rms_norm_rows(x_array, self.last_norm, epsilon, normed_array, scales)
        return normed
