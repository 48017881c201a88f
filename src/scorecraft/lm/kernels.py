"""Fused loops over the vocabulary for float32 on the CPU, compiled by numba on first use and cached.

A row of logits is read from the cache of the processor instead of being swept by five separate operations;
with a vocabulary of 49,000 these sweeps would cost as much as the matrix product itself.
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
