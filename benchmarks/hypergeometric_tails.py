"""How fast are exact chances of strikes among all 1,594,323 tips, and the number of tips for a safety level?

The chance of one strike or more with 1,000 to 1,500,000 tips, against a loop over whole numbers in `fractions`, whose
products of numerators and denominators are as exact as it gets; they agree to 12 digits. Medians of wall-clock time.

    python benchmarks/hypergeometric_tails.py [--no-record]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from measuring import median_seconds, record

from scorecraft.decisions.hypergeometric import p_at_least, tips_needed

TIPS, GOOD = 3**13, 2288
DRAWS = (1000, 20_000, 300_000, 1_500_000)
GOAL = 100.0


def loop(n: int) -> Fraction:
    """Return the chance of one good draw or more, factor by factor."""
    none = Fraction(1)
    for j in range(min(n, GOOD)):
        none *= Fraction(TIPS - max(n, GOOD) - j, TIPS - j)
    return 1 - none


def seconds(run: Callable[[], Any]) -> float:
    """Return the wall-clock time of a call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-record", action="store_true", help="print only")
    arguments = parser.parse_args()
    rows = {}
    for n in DRAWS:
        exact = loop(n)
        apart = abs(Fraction(p_at_least(1, n, GOOD, TIPS)) / exact - 1)
        ours = median_seconds(lambda n=n: p_at_least(1, n, GOOD, TIPS), repeats=21)
        theirs = statistics.median(seconds(lambda n=n: loop(n)) for _ in range(3))
        rows[str(n)] = {"seconds": ours, "loop_seconds": theirs, "times_as_fast": theirs / ours, "apart": float(apart)}
        times = theirs / ours
        print(f"{n:>9,} tips: {1e6 * ours:.0f} us, {times:,.0f} times as fast, apart {float(apart):.0e}")
    inverse = median_seconds(lambda: tips_needed(0.95, GOOD, TIPS))
    print(f"the number of tips for 95 %: {1e3 * inverse:.1f} ms")
    if not arguments.no_record:
        record("hypergeometric_tails", {"rows": rows, "inverse_seconds": inverse, "goal": GOAL})


if __name__ == "__main__":
    main()
