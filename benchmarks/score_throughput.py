"""How many ordinary numeric answers does `scorecraft score` score in a second, and with how much memory?

A JSON Lines file of short worked answers, four a question, is scored by the reward `correct` with two processes; memory
is the most that all processes together have had resident. The same with a tenth of the rows shows whether memory grows
with the file.

    python benchmarks/score_throughput.py [--rows 1000000]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import record

GOALS = {"rows_per_second": 20_000, "peak_megabytes": 1000}
WORKERS = 2


def write_rows(path: Path, rows: int) -> None:
    """Write rows of which about six in ten are right."""
    chance = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            a, b = chance.randint(1, 999), chance.randint(1, 99) if row % 4 == 0 else 7
            said = a + b + (chance.random() < 0.4)
            text = f"There are {a}, and {b} more come. {a} + {b} = {said}.\n#### {said:,}"
            asked = f"{row // 4}: {a} plus {b}?"
            file.write(json.dumps({"prompt": asked, "completion": text, "answer": str(a + b)}) + "\n")


def resident_bytes(session: int) -> int:
    """Return what all processes of a session have resident, memory that they share counted once."""
    total = 0
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getsid(int(entry.name)) == session:
                lines = (entry / "smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
        except (OSError, ValueError, StopIteration):
            continue  # it has ended
    return total


def measure(rows: int) -> dict[str, Any]:
    """Score so many rows in processes of their own."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_rows(folder / "rows.jsonl", rows)
        (folder / "recipe.yaml").write_text("reward:\n  correct: {}\n", encoding="utf-8")
        command = [sys.executable, "-m", "scorecraft.cli.main", "score", "rows.jsonl", "--reward", "recipe.yaml"]
        began = time.perf_counter()
        with (folder / "out").open("w") as out:
            process = subprocess.Popen(
                [*command, "--workers", str(WORKERS), "--json"], cwd=folder, stdout=out, start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            peak = 0
            while process.poll() is None:
                peak = max(peak, resident_bytes(process.pid))
                time.sleep(0.2)
        seconds = time.perf_counter() - began
        counts = json.loads((folder / "out").read_text())
    if process.returncode or counts["rows"] != rows or counts["unreadable"]:
        raise RuntimeError("the file was not scored as a whole")
    return {"rows": rows, "seconds": seconds, "rows_per_second": rows / seconds, "peak_megabytes": peak / 1e6}


def main() -> None:
    """Measure a file and a tenth of it, and record both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    tenth, whole = measure(rows // 10), measure(rows)
    for found in (tenth, whole):
        print(f"{found['rows']:,} rows: {found['rows_per_second']:,.0f} a second, {found['peak_megabytes']:.0f} MB")
    record("score_throughput", {"workers": WORKERS, "tenth": tenth, "whole": whole, "goals": GOALS})


if __name__ == "__main__":
    main()
