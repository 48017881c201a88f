"""How fast are simulated allocations against a plain loop, and how long does the stochastic programme take?

400 runs of Stochastic Balance on 60 offline vertices and 1,200 arrivals, compiled, against the matcher's own loop in
Python for fewer runs, by time for one; the configuration programme on 100 by 2,000 with 5 % of the pairs, with the gap
between its value and its dual bound. Medians of wall-clock time. Goals: 50 times as fast, and less than 20 s.

    python benchmarks/online_matching.py [--no-record]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from measuring import record

from scorecraft.decisions.matching_programmes import stoch_config_lp
from scorecraft.decisions.matching_simulation import simulate_many
from scorecraft.decisions.online_matching import StochasticBalance, simulate
from scorecraft.studies.online_matching import two_levels

RUNS, LOOP_RUNS, REPEATS = 400, 3, 3


def median_time(work: Callable[[], object]) -> float:
    """Return the median of several wall-clock times, in seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-record", action="store_true", help="print only")
    arguments = parser.parse_args()
    chances = two_levels()
    simulate_many(chances, "stochastic-balance", 2, 0, vanishing=True)
    compiled = median_time(lambda: simulate_many(chances, "stochastic-balance", RUNS, 0, vanishing=True)) / RUNS
    loop = median_time(lambda: simulate(chances, StochasticBalance(), LOOP_RUNS, 0, vanishing=True)) / LOOP_RUNS
    arrivals = chances.shape[1] / compiled
    print(f"{arrivals:,.0f} arrivals a second; {loop / compiled:,.0f} times as fast as the loop")
    result = {"arrivals_per_second": arrivals, "ratio": loop / compiled, "goal_ratio": 50.0, "goal_seconds": 20.0}
    random = np.random.default_rng(0)
    for density in (0.01, 0.05):
        table = random.random((100, 2000)) * 0.2 * (random.random((100, 2000)) < density)
        start = time.perf_counter()
        found = stoch_config_lp(table)
        seconds = time.perf_counter() - start
        name = f"{round(100 * density)}_percent"
        result |= {f"seconds_{name}": seconds, f"value_{name}": found.value, f"gap_{name}": found.gap}
        print(f"100 by 2,000, {density:.0%} of pairs: {found.value:.4f} in {seconds:.2f} s, gap {found.gap:.1e}")
    if not arguments.no_record:
        record("online_matching", result)


if __name__ == "__main__":
    main()
