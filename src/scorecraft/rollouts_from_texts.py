"""`rollouts_from_texts`: completions that come as texts, from a file or another trainer, as `Rollouts`.

There is no policy behind them, so log-probabilities and entropies are 0, no token is in a step, all of a completion
counts as sampled in one turn, and nothing is truncated. Without token ids a token is a character, which is exact for
character vocabularies.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import chain

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem
from scorecraft.rollouts import Rollouts


def rollouts_from_texts(
    prompts: Sequence[str],
    completions: Sequence[str],
    problems: Sequence[Problem],
    group: Sequence[int] | Int64[Tensor, " rollout"],
    token_ids: Sequence[Sequence[int]] | None = None,
    lengths: Sequence[int] | None = None,
    *,
    prompt_ids: Sequence[Sequence[int]] | None = None,
) -> Rollouts:
    """Return completions given as texts, as one table with as many columns as the longest has tokens.

    Memory grows with rows times columns (about 17 bytes each), so a large file goes through in batches.

    Args:
        prompts: what the policy was asked, one text for each problem; it may differ from the problem's own prompt.
        completions: one text for each rollout.
        problems: the prompt table.
        group: which problem each rollout answers.
        token_ids: the tokens of each completion without padding, where they are known.
        lengths: only the number of tokens of each completion; the tokens themselves are then 0.
        prompt_ids: the tokens of each prompt, where they are known.

    Raises `ScorecraftError` for columns of different lengths, a group outside the table, both token ids and lengths,
    or a length below 0.
    """
    rows = len(completions)
    _same_length("prompts", len(prompts), len(problems), "problems")
    _same_length("group", len(group), rows, "completions")
    if token_ids is not None and lengths is not None:
        raise ScorecraftError("rollouts_from_texts: expected token_ids or lengths, got both")
    if lengths is not None:
        _same_length("lengths", len(lengths), rows, "completions")
        counts = np.asarray(lengths, dtype=np.int64)
        if rows and int(counts.min()) < 0:
            row = int(np.flatnonzero(counts < 0)[0])
            raise ScorecraftError(f"rollouts_from_texts: length of completion {row} is {counts[row]}; expected >= 0")
        flat = np.zeros(int(counts.sum()), dtype=np.int64)
    elif token_ids is not None:
        _same_length("token_ids", len(token_ids), rows, "completions")
        counts, flat = _counts(token_ids), _joined(token_ids)
    else:
        counts, flat = _counts(completions), _code_points(completions)
    if prompt_ids is not None:
        _same_length("prompt_ids", len(prompt_ids), len(problems), "problems")
        prompt_counts, prompt_flat = _counts(prompt_ids), _joined(prompt_ids)
    else:
        prompt_counts, prompt_flat = _counts(prompts), _code_points(prompts)
    width = int(counts.max(initial=0))
    real = np.arange(width) < counts[:, None]
    mask = torch.from_numpy(real)
    nothing = torch.zeros((), dtype=torch.float32).expand(rows, width)
    prompt_width = int(prompt_counts.max(initial=0))
    prompt_real = np.arange(prompt_width) >= prompt_width - prompt_counts[:, None]
    return Rollouts(
        tokens=_table(real, flat),
        mask=mask,
        logprobs=nothing,
        entropies=nothing,
        steps=torch.full((), -1, dtype=torch.int64).expand(rows, width),
        turns=mask.long() - 1,
        lengths=torch.from_numpy(counts),
        group=torch.as_tensor(group, dtype=torch.int64),
        truncated=torch.zeros(rows, dtype=torch.bool),
        texts=tuple(completions),
        notes=tuple({} for _ in range(rows)),
        prompt_tokens=_table(prompt_real, prompt_flat),
        prompt_lengths=torch.from_numpy(prompt_counts),
        problems=tuple(problems),
    )


def group_rows(keys: Sequence[Hashable]) -> tuple[Int64[Tensor, " rollout"], list[int]]:
    """Return a group for each row, equal where the keys are, and the first row of each group.

    Groups are numbered in the order in which they first occur.

    Args:
        keys: what makes rows belong together, such as the prompt and the answer.
    """
    numbers: dict[Hashable, int] = {}
    firsts: list[int] = []
    group = np.empty(len(keys), dtype=np.int64)
    for row, key in enumerate(keys):
        number = numbers.setdefault(key, len(numbers))
        if number == len(firsts):
            firsts.append(row)
        group[row] = number
    return torch.from_numpy(group), firsts


def _same_length(name: str, count: int, expected: int, of: str) -> None:
    if count != expected:
        raise ScorecraftError(f"rollouts_from_texts: expected one of '{name}' for each of {expected} {of}, got {count}")


def _counts(rows: Sequence[Sequence[object]]) -> np.ndarray:
    return np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))


def _joined(rows: Sequence[Sequence[int]]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64)


def _code_points(texts: Sequence[str]) -> np.ndarray:
    encoded = "".join(texts).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(encoded, dtype=np.uint32).astype(np.int64)


def _table(real: np.ndarray, flat: np.ndarray) -> Int64[Tensor, "row column"]:
    """Fill the real places of a table of zeros, row by row."""
    table = np.zeros(real.shape, dtype=np.int64)
    table[real] = flat
    return torch.from_numpy(table)
