"""The element-wise operations of a transformer layer, with gradients that keep little in memory.

On float32 CPU tensors they run as single sweeps (`kernels`); elsewhere as ordinary torch operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

# The gradient of a norm's weight is summed in this many parts, so that it does not depend on the threads.
NORM_BLOCKS = 8


def on_cpu_float32(*tensors: Tensor) -> bool:
    """Return whether the compiled CPU loops apply."""
    return all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)


def accumulate_gradient(parameter: Tensor) -> Tensor:
    """Return the parameter's gradient buffer, made of zeros if there is none yet."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


class _Embedding(torch.autograd.Function):
    """Look-up whose gradient is added into ``weight.grad`` in place.

    The ordinary backward makes a dense zero matrix of the vocabulary's size for every micro-batch.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, tokens: Tensor) -> Tensor:
        ctx.weight = weight
        ctx.save_for_backward(tokens)
        return weight.detach()[tokens]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None]:  # type: ignore[override]
        (tokens,) = ctx.saved_tensors
        accumulate_gradient(ctx.weight).index_add_(0, tokens, grad.to(ctx.weight.dtype))
        return None, None


def embed(weight: Float[Tensor, "vocabulary width"], tokens: Int64[Tensor, " token"]) -> Float[Tensor, "token width"]:
    """Return the embedding of every token; the gradient goes straight into ``weight.grad``."""
    if weight.requires_grad and weight.is_leaf and torch.is_grad_enabled():
        return _Embedding.apply(weight, tokens)
    return F.embedding(tokens, weight)


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        from scorecraft.lm.kernels import swiglu_forward

        ctx.save_for_backward(gate, up)
        out = torch.empty(gate.shape, dtype=gate.dtype)
        swiglu_forward(gate.detach().numpy(), up.detach().numpy(), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        from scorecraft.lm.kernels import swiglu_backward

        gate, up = ctx.saved_tensors
        grad_gate, grad_up = torch.empty(gate.shape), torch.empty(up.shape)
        swiglu_backward(gate.detach().numpy(), up.detach().numpy(), grad.numpy(), grad_gate.numpy(), grad_up.numpy())
        return grad_gate, grad_up


def swiglu(gate: Float[Tensor, "token hidden"], up: Float[Tensor, "token hidden"]) -> Float[Tensor, "token hidden"]:
    """Return silu(gate) * up."""
    if on_cpu_float32(gate, up):
        return _SwiGLU.apply(gate, up)  # type: ignore[no-any-return]
    return F.silu(gate) * up


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        from scorecraft.lm.kernels import rms_norm_rows

        out, scale = torch.empty(x.shape), torch.empty(len(x))
        rms_norm_rows(x.detach().numpy(), weight.detach().numpy(), epsilon, out.numpy(), scale.numpy())
        ctx.save_for_backward(x, weight, scale)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        from scorecraft.lm.kernels import rms_norm_rows_backward

        x, weight, scale = ctx.saved_tensors
        grad_x, grad_weight = torch.empty(x.shape), torch.empty(NORM_BLOCKS, x.shape[1])
        arrays = (x.detach(), weight.detach(), scale, grad.contiguous(), grad_x, grad_weight)
        rms_norm_rows_backward(*(array.numpy() for array in arrays))
        return grad_x, grad_weight.sum(0), None


def rms_norm(
    x: Float[Tensor, "token width"], weight: Float[Tensor, " width"], epsilon: float
) -> Float[Tensor, "token width"]:
    """Return x / sqrt(mean(x^2) + epsilon) * weight, the mean taken in float32 as Llama does."""
    if on_cpu_float32(x, weight):
        return _RMSNorm.apply(x.contiguous(), weight, epsilon)  # type: ignore[no-any-return]
    return weight * F.rms_norm(x.float(), (x.shape[-1],), None, epsilon).to(x.dtype)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return _rotated(x.detach(), cosine, sine, 1.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        cosine, sine = ctx.saved_tensors
        return _rotated(grad, cosine, sine, -1.0), None, None


def _rotated(x: Tensor, cosine: Tensor, sine: Tensor, direction: float) -> Tensor:
    from scorecraft.lm.kernels import rotate_rows

    out = torch.empty(x.shape)
    arrays = (x.contiguous().numpy(), cosine[:, 0].numpy(), sine[:, 0].numpy())
    rotate_rows(*arrays, np.float32(direction), out.numpy())
    return out


def rotate(
    x: Float[Tensor, "token head width"], cosine: Float[Tensor, "token 1 half"], sine: Float[Tensor, "token 1 half"]
) -> Float[Tensor, "token head width"]:
    """Rotate the two halves of every head by the angle of the token's position."""
    if on_cpu_float32(x, cosine, sine):
        return _Rotate.apply(x, cosine, sine)  # type: ignore[no-any-return]
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)
