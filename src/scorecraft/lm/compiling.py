"""The compiled loops, made ready before a first run, so that it does not seem to hang at its first step.

They are compiled in a process of their own. Code that a process has just compiled can round differently from the same
code read back from numba's cache, and a run that is resumed, in a process that reads the cache, must go on bit for bit.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import torch

from scorecraft.errors import ScorecraftWarning
from scorecraft.lm.cache import Progress, cache_folder

NAME = "compiling (once)"
_STEPS = 3


def compile_loops(device: str, dtype: str, progress: Progress | None = None) -> None:
    """Compile every loop that sampling and training use, if this installation has not done so before.

    It takes half a minute; numba keeps the result. Nothing happens for a device or a number type without such loops.

    Args:
        device: where the policy is, by torch's name.
        dtype: "float32" or "bfloat16".
        progress: is told how far it is.
    """
    if device != "cpu" or dtype != "float32":
        return
    done = cache_folder() / "compiled" / _key()
    if done.exists():
        return
    tell = progress or (lambda *_: None)
    tell(NAME, 0, _STEPS)
    command = [sys.executable, "-c", "from scorecraft.lm.compiling import _compile_here; _compile_here()"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for step, _ in enumerate(process.stdout or (), start=1):
            tell(NAME, min(step, _STEPS), _STEPS)
        said = process.stderr.read() if process.stderr else ""
    if process.returncode != 0:
        last = (said.strip().splitlines() or ["no reason given"])[-1]
        warnings.warn(
            f"the compiled loops could not be made ready ({last}); they are compiled at the first step instead",
            ScorecraftWarning,
            stacklevel=2,
        )
        return
    done.parent.mkdir(parents=True, exist_ok=True)
    done.touch()


def _key() -> str:
    """Return what the compiled code depends on: the source, where it is, numba, and the processor's kind."""
    source = Path(__file__).with_name("kernels.py")
    processor, elsewhere = torch.backends.cpu.get_cpu_capability(), os.environ.get("NUMBA_CACHE_DIR")
    made_of = (source, source.stat().st_mtime_ns, version("numba"), processor, elsewhere)
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]


def _compile_here() -> None:
    """Sample and train with a small policy in this process; print a line after each part."""
    from scorecraft.lm.generate import SamplingSettings, generate
    from scorecraft.lm.logprobs import sampled_logprobs
    from scorecraft.lm.policy import Policy
    from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer

    small = Policy(tunnel_model(layers=1, width=16, heads=2), tunnel_tokenizer(), "small")
    prompts, group = [[5, 6], [7]], torch.tensor([0, 1])
    print("ready", flush=True)
    written = generate(small, prompts, group, torch.full((2, 3), 0.5, dtype=torch.float64), SamplingSettings(3))
    print("sampled", flush=True)
    small.model.requires_grad_(True)
    table, lengths = torch.tensor([[5, 6], [small.pad_id, 7]]), torch.tensor([2, 1])
    chosen, _ = sampled_logprobs(small, table, lengths, written.tokens, written.lengths, group, written.mask)
    chosen.sum().backward()
    print("trained", flush=True)
