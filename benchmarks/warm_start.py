"""Does the warm start reach the competence asked for in every task family, and how long does it take?

Each family's policy is made anew in an empty cache and then measured on problems that its making never saw, with
other random numbers. A family that is in the result file already is kept.

    python benchmarks/warm_start.py [--tasks calculator confidence ...]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from typing import Any

from measuring import RESULTS, in_own_process, record

from scorecraft.parts import find, names

GOAL = {"within": 0.03}
FRESH_PROBLEMS = 4000


def measure(name: str) -> dict[str, Any]:
    """Make the policy of one family and measure it; runs in a process of its own."""
    from scorecraft.lm.competence import completion_limit, sampled_accuracy
    from scorecraft.lm.warm_start import WarmStart, warm_start
    from scorecraft.stats.intervals import wilson_interval

    task, settings = find("task", name)(), WarmStart()
    start = time.perf_counter()
    policy = warm_start(task, settings)
    seconds = time.perf_counter() - start
    limit = completion_limit(policy, task)
    accuracy = sampled_accuracy(policy, task, 10**6, FRESH_PROBLEMS, max_new_tokens=limit, seed=9)
    interval = wilson_interval(round(accuracy * FRESH_PROBLEMS), FRESH_PROBLEMS)
    return {
        "seconds": seconds,
        "asked_for": settings.competence,
        "accuracy": accuracy,
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "problems": FRESH_PROBLEMS,
        "completion_limit": limit,
    }


def tunnel_tasks() -> list[str]:
    """Return the families that a policy can be warm-started on."""
    from scorecraft.tasks.task import TunnelTask

    return [name for name in names("task") if issubclass(find("task", name), TunnelTask)]


def main() -> None:
    """Measure every family that is not in the result yet, and record after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=tunnel_tasks())
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["SCORECRAFT_CACHE"] = cache
            print(json.dumps(measure(arguments.measure)))
        return
    path = RESULTS / "warm_start.json"
    done = json.loads(path.read_text())["tasks"] if path.exists() else {}
    failed = False
    for name in arguments.tasks:
        if name not in done:
            try:
                done[name] = in_own_process(__file__, "--measure", name)
            except RuntimeError as error:
                print(f"{name}: {str(error).strip().splitlines()[-1]}")
                failed = True
                continue
            record("warm_start", {"goal": GOAL, "tasks": done})
        result = done[name]
        print(f"{name}: {result['accuracy']:.1%} (asked for {result['asked_for']:.0%}) in {result['seconds']:.0f} s")
    sys.exit(failed)


if __name__ == "__main__":
    main()
