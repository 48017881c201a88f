"""What a recipe part may ask for beyond its arguments: policy, reference, tokenizer, task, random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Context:
    """Everything around one step of training.

    ``policy`` and ``reference`` are `scorecraft.lm.Policy` objects (typed loosely, because rooms of pure
    functions do not import the language model); ``task`` is the `scorecraft.tasks.Task`; ``generator`` is the
    only source of random numbers a part may use, so that runs can be repeated and resumed.
    """

    task: Any
    generator: torch.Generator
    step: int = 0
    steps: int = 1
    policy: Any = None
    reference: Any = None
