"""Verified pass@k: a sample counts only where its answer and its reasoning are right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.stats.pass_at_k import pass_at_k


@implements("rubric-reward")
def verified_pass_at_k(answer_ok: ArrayLike, reasoning_ok: ArrayLike, ks: Sequence[int]) -> dict[str, float]:
    """Return pass@k, verified pass@k and by how much the former overestimates, averaged over problems.

    With v the samples of a problem that are right in answer and reasoning, verified pass@k is the unbiased
    ``1 - C(N-v, k) / C(N, k)``; pass@k is the same with the samples right in their answer. The result has
    ``pass@k``, ``verified_pass@k`` and ``gap@k = pass@k - verified_pass@k`` for every k.

    Args:
        answer_ok: bool ``[problem, sample]``.
        reasoning_ok: bool ``[problem, sample]``.
        ks: numbers of tries, each from 1 to the number of samples.

    Raises `ScorecraftError` where the tables differ in shape or are not of truth values, are empty, or a k exceeds the
    number of samples.

    Source: Curing Miracle Steps in LLM Mathematical Reasoning with Rubric Rewards, 2025, arXiv 2510.07774; Chen et al.,
    2021, Evaluating Large Language Models Trained on Code, arXiv 2107.03374, eq. 1.
    """
    right, sound = _table("answer_ok", answer_ok), _table("reasoning_ok", reasoning_ok)
    if right.shape != sound.shape:
        raise ScorecraftError(f"verified_pass_at_k: answer_ok is {right.shape}, but reasoning_ok is {sound.shape}")
    if not ks:
        raise ScorecraftError("verified_pass_at_k: expected at least one k")
    samples = right.shape[1]
    result: dict[str, float] = {}
    for k in ks:
        plain = float(pass_at_k(samples, right.sum(1), k).mean())
        verified = float(pass_at_k(samples, (right & sound).sum(1), k).mean())
        result |= {f"pass@{k}": plain, f"verified_pass@{k}": verified, f"gap@{k}": plain - verified}
    return result


def _table(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    table = np.asarray(values)
    if table.ndim != 2 or 0 in table.shape:
        raise ScorecraftError(
            f"verified_pass_at_k: expected {name} as a table of problems by samples, got shape {table.shape}"
        )
    if table.dtype != np.bool_:
        if not np.isin(table, (0, 1)).all():
            raise ScorecraftError(f"verified_pass_at_k: expected {name} to hold truth values, 0 or 1")
        table = table.astype(np.bool_)
    return table
