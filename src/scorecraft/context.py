"""What a recipe part may ask for beyond its arguments: policy, reference, tokenizer, task, random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def _own_rows(values: Tensor) -> tuple[Tensor, slice]:
    return values, slice(0, len(values))


@dataclass(frozen=True)
class Context:
    """Everything around one step of training.

    ``policy`` and ``reference`` are `scorecraft.lm.Policy` objects (typed loosely, because rooms of pure
    functions do not import the language model); ``task`` is the `scorecraft.tasks.Task`; ``generator`` is the
    only source of random numbers a part may use, so that runs can be repeated and resumed. ``gather`` returns a
    tensor's rows of all workers one below the other, and which of them are this worker's: for parts that need the
    whole batch. ``load_policy`` returns another policy by its built-in name or folder, the same object each time.
    """

    task: Any
    generator: torch.Generator
    step: int = 0
    steps: int = 1
    policy: Any = None
    reference: Any = None
    rank: int = 0
    world_size: int = 1
    gather: Callable[[Tensor], tuple[Tensor, slice]] = field(default=_own_rows)
    load_policy: Callable[[str], Any] | None = None

    def uniforms(self, rows: int, *shape: int) -> Tensor:
        """Draw float64 uniforms in [0, 1), ``[rows, *shape]``: one row per rollout (or prompt) of this worker.

        Every worker draws the table of all workers and takes its own part, so that a run shared among workers
        sees the same numbers as a run of one.
        """
        import torch

        table = torch.rand((rows * self.world_size, *shape), dtype=torch.float64, generator=self.generator)
        return table[rows * self.rank : rows * (self.rank + 1)]
