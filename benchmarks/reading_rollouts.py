"""How long does it take to read, and to filter by step, a run that kept a million rollouts?

The run has 250 steps of 4,000 rollouts, written through `RunStore`. Reading it whole for its numbers is what a
comparison does, one step with all columns is what the browser does, and a tenth of the steps with text is a search.
The time to read the bare bytes of the same files in the same run is the limit.

    python benchmarks/reading_rollouts.py
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from measuring import median_seconds, record
from report_speed import RECIPE, save_step

from scorecraft.runs import RunStore

STEPS, GROUPS = 250, 500
GOAL_SECONDS = 2.0
NUMBERS = ("reward", "reward/correct", "correct", "group")


def main() -> None:
    """Write one step, lay it down for every step, and measure."""
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore.create(Path(folder) / "run", RECIPE, {})
        save_step(store, 1, GROUPS, random.Random(0))
        first = store.rollouts_path(1).read_bytes()
        for step in range(2, STEPS + 1):
            store.rollouts_path(step).write_bytes(first)
        rows = store.read_rollouts(columns=["reward"]).num_rows
        tenth = range(STEPS // 2, STEPS // 2 + STEPS // 10)
        seconds = {
            "all steps, numbers": median_seconds(lambda: store.read_rollouts(columns=NUMBERS), repeats=3, warm_up=1),
            "one step, all columns": median_seconds(lambda: store.read_rollouts(STEPS // 2), repeats=5),
            "a tenth of the steps, numbers and text": median_seconds(
                lambda: store.read_rollouts(tenth, [*NUMBERS, "text"]), repeats=5
            ),
        }
        files = [store.rollouts_path(step) for step in range(1, STEPS + 1)]
        bare = median_seconds(lambda: [file.read_bytes() for file in files], repeats=3, warm_up=1)
        size = sum(file.stat().st_size for file in files)
    for what, value in seconds.items():
        print(f"{what}: {value:.2f} s (goal: under {GOAL_SECONDS:g} s)")
    result = {"rollouts": rows, "steps": STEPS, "seconds": seconds, "bare_bytes_seconds": bare, "megabytes": size / 1e6}
    record("reading_rollouts", {**result, "goal_seconds": GOAL_SECONDS})


if __name__ == "__main__":
    main()
