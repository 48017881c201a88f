"""How much does the default training gain on held-out problems, and how long does it take?

The three seeds reported here tuned nothing. Each runs alone, as `scorecraft train` in a process of its own; a seed
that is in the result file already is kept.

    python benchmarks/default_training.py [--seeds 0 1 2]
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

from scorecraft.recipes.recipe import Recipe

GOALS = {"gain": 0.20, "seconds": 240.0}


def train(seed: int) -> dict[str, Any]:
    """Return time and held-out accuracy before and after one default training."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        command = [sys.executable, "-m", "scorecraft.cli.main", "train", f"seed={seed}", "--run", str(run), "--quiet"]
        start = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - start
        rows = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    first, last = rows[0], rows[-1]
    return {
        "seconds": seconds,
        "before": first["accuracy"],
        "after": last["accuracy"],
        "gain": last["accuracy"] - first["accuracy"],
        "evaluations": rows,
    }


def main() -> None:
    """Train every seed that is not in the result yet, and record after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    path, recipe = RESULTS / "default_training.json", Recipe().hash
    stored = json.loads(path.read_text()) if path.exists() else {}
    seeds = stored["seeds"] if stored.get("recipe") == recipe else {}
    for seed in parser.parse_args().seeds:
        if str(seed) not in seeds:
            seeds[str(seed)] = train(seed)
            record("default_training", {"recipe": recipe, "goals": GOALS, "seeds": seeds})
        result = seeds[str(seed)]
        print(
            f"seed {seed}: {result['before']:.1%} to {result['after']:.1%} in {result['seconds']:.0f} s "
            f"(goals: +{GOALS['gain']:.0%}, under {GOALS['seconds']:.0f} s)"
        )


if __name__ == "__main__":
    main()
