"""What do the ready recipes do to their policies?

Each runs once, as it stands, as `scorecraft train NAME` in a process of its own; a recipe that is in the result file
already is kept. Recorded are time, tokens, reward at the beginning and at the end, held-out accuracy before and after,
each with a 95 % interval, and completions of the same problems from both ends.

    python benchmarks/ready_recipes.py [--recipes hacked smollm2-reasoning-gym smollm2-jsonl]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import RESULTS, record

from scorecraft.recipes.ready import load_recipe
from scorecraft.runs.store import RunStore
from scorecraft.stats.intervals import bootstrap_interval

# The steps at either end whose rollouts are averaged: one step of a small recipe is a handful of completions.
ENDS = 5
COMPLETIONS = 4


def mean_with_interval(rows: list[dict[str, Any]], key: str) -> dict[str, float]:
    """Return the mean over steps of a logged value, with a bootstrap interval over the steps."""
    values = [float(row[key]) for row in rows if row.get(key) is not None]
    interval = bootstrap_interval(values, method="percentile")
    return {"mean": interval.estimate, "low": interval.low, "high": interval.high}


def completions_at(store: RunStore, step: int) -> list[dict[str, Any]]:
    """Return a few completions of one stored step, with what each was worth."""
    table = store.read_rollouts(step).slice(0, COMPLETIONS).to_pylist()
    return [{key: row[key] for key in ("prompt", "text", "reward", "correct") if key in row} for row in table]


def train(name: str) -> dict[str, Any]:
    """Return what one run of a ready recipe did."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        start = time.perf_counter()
        command = [sys.executable, "-m", "scorecraft.cli.main", "train", name, "--run", str(folder), "--quiet"]
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, **read(RunStore.open(folder))}


def read(store: RunStore) -> dict[str, Any]:
    """Return the figures of a finished run."""
    metrics, evaluations, steps = store.read_metrics(), store.read_evaluations(), store.rollout_steps()
    rewards = [key for key in metrics[0] if key == "reward" or key.startswith("reward/")]
    return {
        "steps": len(metrics),
        "sampled_tokens": sum(row["tokens"] for row in metrics),
        "beginning": {key: mean_with_interval(metrics[:ENDS], key) for key in rewards},
        "end": {key: mean_with_interval(metrics[-ENDS:], key) for key in rewards},
        "evaluations": evaluations,
        "curves": {key: [row[key] for row in metrics] for key in (*rewards, "accuracy", "length", "truncated")},
        "completions": {
            "beginning": completions_at(store, steps[0]),
            "end": completions_at(store, steps[-1]),
        },
    }


def main() -> None:
    """Train every recipe that is not in the result yet, and record after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="+", default=["hacked", "smollm2-reasoning-gym", "smollm2-jsonl"])
    path = RESULTS / "ready_recipes.json"
    done = json.loads(path.read_text())["recipes"] if path.exists() else {}
    for name in parser.parse_args().recipes:
        recipe = load_recipe(name).hash
        if done.get(name, {}).get("recipe") != recipe:
            done[name] = {"recipe": recipe, **train(name)}
            record("ready_recipes", {"recipes": done})
        result = done[name]
        first, last = result["evaluations"][0], result["evaluations"][-1]
        print(
            f"{name}: reward {result['beginning']['reward']['mean']:.3f} to {result['end']['reward']['mean']:.3f}, "
            f"held-out accuracy {first['accuracy']:.1%} to {last['accuracy']:.1%} in {result['seconds']:.0f} s"
        )


if __name__ == "__main__":
    main()
