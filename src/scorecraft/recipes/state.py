"""The whole state of a training run: saved and taken back bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from scorecraft.lm.policy import Policy
from scorecraft.parts import Part

if TYPE_CHECKING:
    from scorecraft.lm.optimizer import Optimizer
    from scorecraft.recipes.recipe import Recipe


def save_state(
    folder: Path, policy: Policy, optimizer: Optimizer, generator: torch.Generator, position: int, recipe: Recipe
) -> None:
    """Write policy, optimizer, random state, data position and every part's own state into ``folder``."""
    policy.save(folder / "policy")
    tensors = {f"optimizer.{name}": value for name, value in optimizer.state().items()}
    tensors["generator"] = generator.get_state()
    plain: dict[str, Any] = {"position": position, "parts": {}}
    for name, part in _parts(recipe):
        kept = part.state()
        plain["parts"][name] = {key: value for key, value in kept.items() if not isinstance(value, Tensor)}
        tensors |= {f"part.{name}.{key}": value for key, value in kept.items() if isinstance(value, Tensor)}
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, folder / "state.safetensors"
    )
    (folder / "state.json").write_text(json.dumps(plain), encoding="utf-8")


def restore_state(folder: Path, optimizer: Optimizer, generator: torch.Generator, recipe: Recipe) -> int:
    """Take back everything but the policy, which is loaded from ``folder / "policy"``; return the data position."""
    tensors = load_file(folder / "state.safetensors")
    plain = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    optimizer.restore({n.removeprefix("optimizer."): v for n, v in tensors.items() if n.startswith("optimizer.")})
    generator.set_state(tensors["generator"])
    for name, part in _parts(recipe):
        prefix = f"part.{name}."
        kept = dict(plain["parts"].get(name, {}))
        kept |= {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        part.restore(kept)
    return int(plain["position"])


def _parts(recipe: Recipe) -> list[tuple[str, Part]]:
    slots = ("task", "sampling", "combination", "credit", "advantage", "objective")
    parts: list[tuple[str, Part]] = [(slot, getattr(recipe, slot)) for slot in slots]
    for name, part in recipe.reward.items():
        parts.append((f"reward/{name}", part))
        parts += [(f"reward/{name}/transform/{place}", each) for place, each in enumerate(part.transforms)]
    return parts
