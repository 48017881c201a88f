"""Builds small `Rollouts` by hand for tests; a room's conftest hands `make_rollouts` out as a fixture."""

from collections.abc import Sequence

import torch

from scorecraft.problem import Problem
from scorecraft.rollouts import Rollouts


def make_rollouts(
    mask: Sequence[Sequence[int]],
    group: Sequence[int] | None = None,
    *,
    texts: Sequence[str] | None = None,
    problems: Sequence[Problem] | None = None,
    steps: Sequence[Sequence[int]] | None = None,
    padding: int = 0,
) -> Rollouts:
    """Return rollouts with the given 0/1 mask rows (a 0 between ones is a forced token) and extra padding."""
    rows, width = len(mask), max((len(row) for row in mask), default=0) + padding
    lengths = [len(row) for row in mask]
    table = torch.zeros(rows, width, dtype=torch.bool)
    step_table = torch.full((rows, width), -1, dtype=torch.int64)
    for index, row in enumerate(mask):
        table[index, : len(row)] = torch.tensor(row, dtype=torch.bool)
        if steps is not None:
            step_table[index, : len(steps[index])] = torch.tensor(steps[index], dtype=torch.int64)
    real = torch.arange(width) < torch.tensor(lengths, dtype=torch.int64)[:, None]
    group = list(group) if group is not None else [0] * rows
    problems = tuple(problems or (Problem(f"prompt {i}", str(i)) for i in range(max(group, default=-1) + 1)))
    return Rollouts(
        tokens=real.long() * (1 + torch.arange(width)),
        mask=table,
        logprobs=torch.where(table, torch.tensor(-0.5), torch.tensor(0.0)),
        entropies=table.float(),
        steps=step_table,
        turns=torch.where(real, 0, -1),
        lengths=torch.tensor(lengths, dtype=torch.int64),
        group=torch.tensor(group, dtype=torch.int64),
        truncated=torch.zeros(rows, dtype=torch.bool),
        texts=tuple(texts) if texts is not None else tuple("" for _ in range(rows)),
        notes=tuple({} for _ in range(rows)),
        prompt_tokens=torch.ones(len(problems), 2, dtype=torch.int64),
        prompt_lengths=torch.full((len(problems),), 2, dtype=torch.int64),
        problems=problems,
    )
