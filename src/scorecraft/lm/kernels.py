"""Fused loops for float32 on the CPU, compiled by numba on first use and cached.

What torch does in several sweeps over memory and as many calls is done here in one: a row of logits, of hidden
states or of a head's keys is read while it is in the processor's cache. Arrays must be contiguous, else the inner
loops cannot use vector instructions.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

# 2^f on [-1/2, 1/2] by its Taylor coefficients ln(2)^k / k!; relative error below 1e-6.
_C1, _C2, _C3, _C4, _C5, _C6 = (
    np.float32(np.log(2.0) ** k / f) for k, f in zip(range(1, 7), (1, 2, 6, 24, 120, 720), strict=True)
)
_LOG2_E = np.float32(1.0 / np.log(2.0))
_BLOCK = 128
_LOWEST = np.float32(-1e30)  # stands for minus infinity, which fastmath code may not meet


@njit(fastmath=True, inline="always")
def _exp(x):  # noqa: ANN001, ANN202 - numba infers the types
    """Exponential of a number that is at most 0."""
    t = max(x * _LOG2_E, np.float32(-126.0))
    n = np.floor(t + np.float32(0.5))
    f = t - n
    p = np.float32(1.0) + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    scale = np.int32((np.int32(n) + np.int32(127)) << np.int32(23))
    return p * scale.view(np.float32)


@njit(fastmath=True, parallel=True, cache=True, error_model="numpy")
def softmax_rows(logits, log_normalizer, entropy) -> None:  # noqa: ANN001
    """Turn each row of ``logits`` into its softmax in place; also return log-sum-exp and entropy (nats)."""
    rows, width = logits.shape
    for r in prange(rows):
        top = np.float32(-np.inf)
        for j in range(width):
            top = max(top, logits[r, j])
        total = np.float32(0.0)
        first_moment = np.float32(0.0)
        for j in range(width):
            x = logits[r, j] - top
            e = _exp(x)
            total += e
            first_moment += e * x
            logits[r, j] = e
        scale = np.float32(1.0) / total
        for j in range(width):
            logits[r, j] *= scale
        log_normalizer[r] = top + np.log(total)
        entropy[r] = np.log(total) - first_moment * scale


@njit(fastmath=True, parallel=True, cache=True, error_model="numpy")
def sample_rows(logits, uniforms, tokens, logprobs, entropy) -> None:  # noqa: ANN001
    """Draw one token a row from softmax(logits) by inverting its distribution function at ``uniforms``.

    ``logits`` is used as working space. Sums are kept per block of 128, so the search reads one block only and
    rounding does not build up over a long vocabulary.
    """
    rows, width = logits.shape
    blocks = (width + _BLOCK - 1) // _BLOCK
    for r in prange(rows):
        top = np.float32(-np.inf)
        for j in range(width):
            top = max(top, logits[r, j])
        sums = np.empty(blocks, dtype=np.float64)
        total = 0.0
        first_moment = 0.0
        for b in range(blocks):
            part = np.float32(0.0)
            moment = np.float32(0.0)
            for j in range(b * _BLOCK, min(width, (b + 1) * _BLOCK)):
                x = logits[r, j] - top
                e = _exp(x)
                part += e
                moment += e * x
                logits[r, j] = e
            sums[b] = part
            total += part
            first_moment += moment
        target = uniforms[r] * total
        below = 0.0
        block = 0
        while block < blocks - 1 and below + sums[block] <= target:
            below += sums[block]
            block += 1
        j = block * _BLOCK
        last = min(width, (block + 1) * _BLOCK) - 1
        while j < last and below + logits[r, j] <= target:
            below += logits[r, j]
            j += 1
        tokens[r] = j
        logprobs[r] = np.log(logits[r, j]) - np.log(total)
        entropy[r] = np.log(total) - first_moment / total


@njit(fastmath=True, parallel=True, cache=True, error_model="numpy")
def swiglu_forward(gate, up, out) -> None:  # noqa: ANN001
    """out = silu(gate) * up, one sweep."""
    rows, width = gate.shape
    for r in prange(rows):
        for j in range(width):
            x = gate[r, j]
            e = _exp(-abs(x))
            sigmoid = (np.float32(1.0) if x >= np.float32(0.0) else e) / (np.float32(1.0) + e)
            out[r, j] = x * sigmoid * up[r, j]


@njit(fastmath=True, parallel=True, cache=True, error_model="numpy")
def swiglu_backward(gate, up, grad, grad_gate, grad_up) -> None:  # noqa: ANN001
    """Gradients of silu(gate) * up, one sweep."""
    rows, width = gate.shape
    for r in prange(rows):
        for j in range(width):
            x = gate[r, j]
            e = _exp(-abs(x))
            sigmoid = (np.float32(1.0) if x >= np.float32(0.0) else e) / (np.float32(1.0) + e)
            g = grad[r, j]
            grad_up[r, j] = g * x * sigmoid
            grad_gate[r, j] = g * up[r, j] * sigmoid * (np.float32(1.0) + x * (np.float32(1.0) - sigmoid))


@njit(fastmath=True, parallel=True, cache=True, error_model="numpy")
def swiglu_packed(gate_up, out) -> None:  # noqa: ANN001
    """out = silu(gate) * up, where each row of ``gate_up`` holds the gate and then the up part."""
    rows, width = out.shape
    for r in prange(rows):
        for j in range(width):
            x = gate_up[r, j]
            e = _exp(-abs(x))
            sigmoid = (np.float32(1.0) if x >= np.float32(0.0) else e) / (np.float32(1.0) + e)
            out[r, j] = x * sigmoid * gate_up[r, width + j]


@njit(fastmath=True, parallel=True, cache=True, error_model="numpy")
def rms_norm_rows(x, weight, epsilon, out, scale) -> None:  # noqa: ANN001
    """out = x * scale * weight with scale = 1 / sqrt(mean(x^2) + epsilon) of each row."""
    rows, width = x.shape
    for r in prange(rows):
        total = np.float32(0.0)
        for j in range(width):
            total += x[r, j] * x[r, j]
        s = np.float32(1.0) / np.sqrt(total / np.float32(width) + np.float32(epsilon))
        scale[r] = s
        for j in range(width):
            out[r, j] = x[r, j] * s * weight[j]


@njit(fastmath=True, parallel=True, cache=True, error_model="numpy")
def rms_norm_rows_backward(x, weight, scale, grad, grad_x, grad_weight) -> None:  # noqa: ANN001
    """Gradients of `rms_norm_rows`; ``grad_weight`` has a row for each block of rows, to be summed by the caller."""
    rows, width = x.shape
    blocks = len(grad_weight)
    for b in prange(blocks):
        for j in range(width):
            grad_weight[b, j] = np.float32(0.0)
        for r in range(b * rows // blocks, (b + 1) * rows // blocks):
            s = scale[r]
            dot = np.float32(0.0)
            for j in range(width):
                dot += grad[r, j] * weight[j] * x[r, j]
            pull = dot * s * s * s / np.float32(width)
            for j in range(width):
                grad_weight[b, j] += grad[r, j] * x[r, j] * s
                grad_x[r, j] = grad[r, j] * weight[j] * s - x[r, j] * pull


@njit(fastmath=True, parallel=True, cache=True, error_model="numpy")
def rotate_rows(x, cosine, sine, direction, out) -> None:  # noqa: ANN001
    """Rotate the two halves of every head of ``x [token, head, width]``; ``direction`` -1 rotates back."""
    rows, heads, width = x.shape
    half = width // 2
    for r in prange(rows):
        for h in range(heads):
            for j in range(half):
                c, s = cosine[r, j], direction * sine[r, j]
                first, second = x[r, h, j], x[r, h, half + j]
                out[r, h, j] = first * c - second * s
                out[r, h, half + j] = second * c + first * s


@njit(fastmath=True, parallel=True, cache=True, error_model="numpy")
def decode_attention(qkv, cosine, sine, keys, values, pad, column, scale, out) -> None:  # noqa: ANN001, PLR0912
    """Attention of one new token a row, its key and value written to ``column`` of the cache first.

    qkv: ``[row, (heads + 2 * kv_heads) * width]``. cosine, sine: ``[position, width / 2]``.
    keys, values: ``[row * kv_heads, width, capacity]``, of which ``pad[row]`` columns are padding: the columns stand
    side by side, so that every inner loop runs along them. out: ``[row, heads * width]``.
    """
    rows = qkv.shape[0]
    width = keys.shape[1]
    half = width // 2
    kv_heads = keys.shape[0] // rows
    heads = qkv.shape[1] // width - 2 * kv_heads
    share = heads // kv_heads
    for r in prange(rows):
        position = column - pad[r]
        query = np.empty(width, dtype=np.float32)
        weights = np.empty(column + 1, dtype=np.float32)
        for g in range(kv_heads):
            block = r * kv_heads + g
            k_at, v_at = (heads + g) * width, (heads + kv_heads + g) * width
            for j in range(half):
                c, s = cosine[position, j], sine[position, j]
                a, b = qkv[r, k_at + j], qkv[r, k_at + half + j]
                keys[block, j, column] = a * c - b * s
                keys[block, half + j, column] = b * c + a * s
            for j in range(width):
                values[block, j, column] = qkv[r, v_at + j]
            for h in range(g * share, (g + 1) * share):
                at = h * width
                for j in range(half):
                    c, s = cosine[position, j] * scale, sine[position, j] * scale
                    a, b = qkv[r, at + j], qkv[r, at + half + j]
                    query[j] = a * c - b * s
                    query[half + j] = b * c + a * s
                weights[:] = np.float32(0.0)
                for j in range(width):
                    q, line = query[j], keys[block, j]
                    for t in range(column + 1):
                        weights[t] += q * line[t]
                for t in range(pad[r]):
                    weights[t] = _LOWEST
                top = weights[column]
                for t in range(column + 1):
                    top = max(top, weights[t])
                total = np.float32(0.0)
                for t in range(column + 1):
                    e = _exp(weights[t] - top)
                    weights[t] = e
                    total += e
                for t in range(pad[r]):
                    weights[t] = np.float32(0.0)
                for j in range(width):
                    line = values[block, j]
                    mixed = np.float32(0.0)
                    for t in range(column + 1):
                        mixed += weights[t] * line[t]
                    out[r, at + j] = mixed / total
