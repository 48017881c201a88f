"""How fast are 100,000 Swiss tournaments, against a loop written from the definition, and how does time grow?

24 models on 8 benchmarks, nobody leaving and two leaving after each round; medians of wall-clock time on all cores,
compiled beforehand. The loop runs in Python with NumPy's random numbers, for fewer tournaments, and is compared by
time for one. The goals are 10 s and 50 times as fast.

    python benchmarks/swiss_tournaments.py [--no-record]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from measuring import record

from scorecraft.arena.swiss_ranking import csd
from scorecraft.arena.win_tensor import win_tensor

MODELS, BENCHMARKS, RUNS = 24, 8, 100_000
LOOP_RUNS, REPEATS = 500, 5
GOAL_SECONDS, GOAL_RATIO = 10.0, 50.0


def loop(wins: np.ndarray, leaving: int, runs: int, seed: int) -> np.ndarray:
    """Return mean scores by the definition, one tournament after the other."""
    random = np.random.default_rng(seed)
    rounds, models, _ = wins.shape
    total = np.zeros(models)
    for _ in range(runs):
        score, active = np.zeros(models), list(range(models))
        for k in range(rounds):
            groups = {}
            for m in active:
                groups.setdefault(score[m], []).append(m)
            for members in groups.values():
                drawn = random.permutation(members)
                for i, j in zip(drawn[0::2], drawn[1::2], strict=False):
                    score[i] += wins[k, i, j]
                    score[j] += wins[k, j, i]
            if leaving:
                worst = min(score[m] for m in active)
                lowest = [m for m in active if score[m] == worst]
                number = min(leaving, len(lowest), len(active) - 1)
                gone = set(random.choice(lowest, number, replace=False).tolist())
                active = [m for m in active if m not in gone]
        total += score
    return total / runs


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
    random = np.random.default_rng(0)
    wins = win_tensor(random.normal(size=(BENCHMARKS, MODELS)))
    csd(wins, 1, 1000)
    result: dict[str, float] = {"goal_seconds": GOAL_SECONDS, "goal_ratio": GOAL_RATIO}
    for leaving in (0, 2):
        ours = median_time(lambda leaving=leaving: csd(wins, leaving, RUNS))
        plain = median_time(lambda leaving=leaving: loop(wins, leaving, LOOP_RUNS, 0)) * RUNS / LOOP_RUNS
        apart = np.abs(loop(wins, leaving, 4000, 1) - csd(wins, leaving, RUNS).mean).max()
        result |= {
            f"seconds_T{leaving}": ours,
            f"ratio_T{leaving}": plain / ours,
            f"largest_difference_T{leaving}": apart,
        }
        print(
            f"T = {leaving}: {ours:.3f} s, {plain / ours:,.0f} times as fast as the loop; means differ by {apart:.3f}"
        )
    for models, benchmarks, runs in ((24, 8, 10_000), (24, 8, 1_000_000), (96, 8, RUNS), (24, 32, RUNS)):
        tensor = win_tensor(random.normal(size=(benchmarks, models)))
        seconds = median_time(lambda tensor=tensor, runs=runs: csd(tensor, 0, runs))
        result[f"seconds_{models}_models_{benchmarks}_benchmarks_{runs}_runs"] = seconds
        print(f"{models} models, {benchmarks} benchmarks, {runs:,} runs: {seconds:.3f} s")
    if not arguments.no_record:
        record("swiss_tournaments", result)


if __name__ == "__main__":
    main()
