"""The compiled loops, made ready before a first run, so that it does not seem to hang at its first step."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

import torch

from scorecraft.lm import kernels
from scorecraft.lm.cache import Progress, cache_folder
from scorecraft.lm.fused import on_cpu_float32
from scorecraft.lm.generate import SamplingSettings, generate
from scorecraft.lm.logprobs import sampled_logprobs
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer

NAME = "compiling (once)"


def compile_loops(policy: Policy, progress: Progress | None = None) -> None:
    """Compile every loop that sampling and training use, if this installation has not done so before.

    It takes a quarter of a minute; numba keeps the result. Nothing happens for a policy that does not use them.
    """
    if not on_cpu_float32(*policy.model.parameters()):
        return
    source = Path(kernels.__file__)
    made_of = f"{source} {source.stat().st_mtime_ns} {version('numba')}"
    done = cache_folder() / "compiled" / hashlib.sha256(made_of.encode()).hexdigest()[:16]
    if done.exists():
        return
    tell = progress or (lambda *_: None)
    tell(NAME, 0, 2)
    small = Policy(tunnel_model(layers=1, width=16, heads=2), tunnel_tokenizer(), "small")
    prompts, group = [[5, 6], [7]], torch.tensor([0, 1])
    written = generate(small, prompts, group, torch.full((2, 3), 0.5, dtype=torch.float64), SamplingSettings(3))
    tell(NAME, 1, 2)
    small.model.requires_grad_(True)
    table, lengths = torch.tensor([[5, 6], [small.pad_id, 7]]), torch.tensor([2, 1])
    chosen, _ = sampled_logprobs(small, table, lengths, written.tokens, written.lengths, group, written.mask)
    chosen.sum().backward()
    tell(NAME, 2, 2)
    done.parent.mkdir(parents=True, exist_ok=True)
    done.touch()
