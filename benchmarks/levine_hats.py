"""How long does the search for the block strategy of value 7/20 take, and for pairs of strategies with few hats?

Medians of wall-clock time over seeds, each search with as many random starts as find the known value in every one of
them. The goal is 5 s for blocks of five.

    python benchmarks/levine_hats.py [--no-record]
"""

from __future__ import annotations

import argparse
import statistics
import time
from fractions import Fraction

from measuring import record

from scorecraft.decisions.levine_blocks import block_strategy
from scorecraft.decisions.levine_hats import alternating_br

SEEDS, GOAL = range(10), 5.0
KNOWN = {4: Fraction(89, 256), 5: Fraction(358, 1024), 6: Fraction(1433, 4096)}


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-record", action="store_true", help="print only")
    arguments = parser.parse_args()
    times, found = [], []
    for seed in SEEDS:
        start = time.perf_counter()
        found.append(block_strategy(5, restarts=1000, seed=seed).value)
        times.append(time.perf_counter() - start)
    result = {
        "block_5_seconds": statistics.median(times),
        "reached": found.count(Fraction(7, 20)),
        "goal_seconds": GOAL,
    }
    print(f"blocks of five: {result['block_5_seconds']:.3f} s; {result['reached']} of {len(SEEDS)} reach 7/20")
    for h, known in KNOWN.items():
        start = time.perf_counter()
        values = [alternating_br(h, restarts=400, seed=seed).value for seed in SEEDS]
        result[f"height_{h}_seconds"] = (time.perf_counter() - start) / len(SEEDS)
        result[f"height_{h}_reached"] = values.count(known)
        print(f"{h} hats: {result[f'height_{h}_seconds']:.3f} s; {values.count(known)} of {len(SEEDS)} reach {known}")
    if not arguments.no_record:
        record("levine_hats", result)


if __name__ == "__main__":
    main()
