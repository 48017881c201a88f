"""The unbiased estimate of pass@k from more samples than k."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorecraft.errors import ScorecraftError


def pass_at_k(samples: ArrayLike, correct: ArrayLike, k: int) -> NDArray[np.float64]:
    """Return the probability that at least one of ``k`` samples drawn without replacement is correct.

    ``1 - C(n-c, k) / C(n, k) = 1 - prod_{j<k} (n-c-j) / (n-j)``, where no factor exceeds 1.

    Args:
        samples: n, the number of samples of each problem (any shape; scalars broadcast).
        correct: c, how many of them are correct.
        k: number of tries, from 1 to the smallest n.

    Returns the estimate for each problem, in the broadcast shape.

    Raises `ScorecraftError` where k > n, c is outside 0..n, k < 1, or a count is not a whole number.

    Source: Chen et al., 2021, Evaluating Large Language Models Trained on Code, arXiv 2107.03374, eq. 1.
    """
    n, c = np.broadcast_arrays(_counts("samples", samples), _counts("correct", correct))
    if k < 1 or k != int(k):
        raise ScorecraftError(f"pass_at_k: expected k to be a whole number from 1, got {k}")
    if (n < k).any():
        raise ScorecraftError(f"pass_at_k: k is {k}, but a problem has only {n.min()} samples; draw more or lower k")
    if (c < 0).any() or (c > n).any():
        raise ScorecraftError("pass_at_k: expected correct to be from 0 to samples in every problem")
    all_wrong = np.ones(n.shape, dtype=np.float64)
    for j in range(int(k)):
        all_wrong *= (n - c - j) / (n - j)
    return 1.0 - all_wrong


def _counts(name: str, values: ArrayLike) -> NDArray[Any]:
    counts = np.asarray(values)
    if not np.issubdtype(counts.dtype, np.integer):
        raise ScorecraftError(f"pass_at_k: {name} holds counts and must be whole numbers, got {counts.dtype}")
    return counts.astype(np.int64)
