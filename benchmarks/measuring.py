"""What all benchmarks share: medians, peak memory, the machine, and writing a result."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scorecraft.runs.versions import environment

RESULTS = Path(__file__).parent / "results"


def median_seconds(run: Callable[[], Any], repeats: int = 7, warm_up: int = 2) -> float:
    """Return the median wall-clock time of a call."""
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def matmul_rate(size: int = 2048) -> float:
    """Return this machine's float32 matrix-product rate, in FLOP/s, with torch's current threads."""
    import torch

    a, b, out = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
    return 2 * size**3 / median_seconds(lambda: torch.mm(a, b, out=out), repeats=9)


def in_own_process(script: str, *arguments: str) -> dict[str, Any]:
    """Run a script of this folder in a process of its own; return the JSON of its last line."""
    done = subprocess.run([sys.executable, script, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{script} {' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def peak_memory_bytes() -> int:
    """Return the most memory this process has had resident."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def record(name: str, result: dict[str, Any]) -> None:
    """Write a result with machine and versions to ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**result, "environment": environment()}, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
