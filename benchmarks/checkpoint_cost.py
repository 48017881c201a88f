"""What share of the default training's time goes into its checkpoints?

Whole steps of the default recipe are trained in this process, and its checkpoint (weights, optimizer, random states,
sums of all files, synced to disk) is written again and again. The default recipe writes one every 50 steps.

    python benchmarks/checkpoint_cost.py
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import torch
from measuring import median_seconds, record

from scorecraft.lm.optimizer import Optimizer
from scorecraft.lm.policy import Policy
from scorecraft.recipes.ready import load_recipe
from scorecraft.recipes.state import restore_state, save_state
from scorecraft.recipes.train import train
from scorecraft.runs.store import RunStore

STEPS = 20
GOAL = 0.03


def main() -> None:
    """Train a little, write checkpoints, and record the share."""
    recipe = load_recipe("default", [f"steps={STEPS}", "evaluate=null"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        train(recipe, folder)
        store = RunStore.open(folder)
        step = statistics.median(row["seconds"] for row in store.read_metrics()[2:])
        _, found = store.load_checkpoint() or (0, folder)
        policy = Policy.load(found / "policy", name="tunnel-tiny", device="cpu", dtype="float32")
        optimizer, generator = Optimizer(recipe.optimizer, policy.model, STEPS), torch.Generator()
        position = restore_state(found, optimizer, generator, recipe)

        def write() -> None:
            store.save_checkpoint(
                STEPS, lambda new: save_state(new, policy, optimizer, generator, position, recipe), keep=2
            )

        seconds = median_seconds(write, repeats=9)
        size = sum(file.stat().st_size for file in found.rglob("*") if file.is_file())
    whole = load_recipe("default", [])
    number = whole.steps / whole.checkpoint.every
    share = number * seconds / (whole.steps * step + number * seconds)
    print(f"a step {step:.3f} s, a checkpoint {seconds:.3f} s: {share:.2%} of the training (goal: under {GOAL:.0%})")
    result = {
        "step_seconds": step,
        "checkpoint_seconds": seconds,
        "megabytes": size / 1e6,
        "share": share,
        "goal": GOAL,
    }
    record("checkpoint_cost", {**result, "goal": GOAL})


if __name__ == "__main__":
    main()
