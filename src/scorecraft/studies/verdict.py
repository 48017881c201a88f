"""What came out: is a check met, by the interval over seeds, and what does that make of the claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scorecraft.stats.intervals import Interval, bootstrap_interval
from scorecraft.studies.study import Check, Relation, Scale

HOLDS, DOES_NOT, INCONCLUSIVE = "holds", "does not hold", "inconclusive"
SMOKE = "smoke, claims nothing"


def interval_over_seeds(values: Sequence[float]) -> Interval:
    """Return the mean over seeds with its 95 % percentile bootstrap interval; one seed has no interval but itself."""
    if len(values) == 1:
        return Interval(float(values[0]), float(values[0]), float(values[0]))
    return bootstrap_interval(values, np.mean, method="percentile")


def check_verdict(interval: Interval, relation: Relation, margin: float, *, difference: bool) -> str:
    """Return whether an interval lies wholly where the claim says, wholly elsewhere, or on both sides.

    Args:
        interval: of the paired difference, or of the arm's own value.
        relation: "above" or "below" (a difference by more than ``margin``, a value than ``margin`` itself), or
            "within" (a size of less than ``margin``).
        margin: at least 0 for a difference.
        difference: whether the interval is that of a difference.
    """
    low, high = interval.low, interval.high
    if relation == "within":
        if -margin < low and high < margin:
            return HOLDS
        return DOES_NOT if low > margin or high < -margin else INCONCLUSIVE
    if relation == "below":
        low, high, margin = -high, -low, margin if difference else -margin
    if low > margin:
        return HOLDS
    return DOES_NOT if high < margin else INCONCLUSIVE


def check_result(check: Check, values: Mapping[str, Mapping[int, float]]) -> dict[str, object]:
    """Return the interval and the verdict of a check.

    Args:
        check: what must come out.
        values: the checked metric by arm and seed.
    """
    own = values[check.arm]
    seeds = sorted(own)
    if check.baseline is None:
        interval = interval_over_seeds([own[seed] for seed in seeds])
    else:
        interval = interval_over_seeds([own[seed] - values[check.baseline][seed] for seed in seeds])
    verdict = check_verdict(interval, check.relation, check.margin, difference=check.baseline is not None)
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high, "verdict": verdict}


def overall(verdicts: Sequence[str], scale: Scale) -> str:
    """Return what the deciding checks say together: all must hold, and one that does not decides."""
    if scale == "smoke":
        return SMOKE
    if any(verdict == DOES_NOT for verdict in verdicts):
        return DOES_NOT
    return HOLDS if verdicts and all(verdict == HOLDS for verdict in verdicts) else INCONCLUSIVE
