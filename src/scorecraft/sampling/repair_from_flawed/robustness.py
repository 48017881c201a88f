"""How much accuracy a flawed prefix costs, how much of it is recovered, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.stats.intervals import Interval, paired_bootstrap


@dataclass(frozen=True, slots=True)
class KindReport:
    """One kind of error: how many problems, accuracy without and with the flaw, and the gap.

    gap: with its interval; None for a single problem, which has none.
    """

    problems: int
    clean: float
    flawed: float
    gap: Interval | None


@dataclass(frozen=True, slots=True)
class RobustnessReport:
    """Accuracy of one policy on the same problems without and with a flawed prefix.

    gap: clean minus flawed accuracy. recovery: share of the problems solved clean (by the base policy where there is
    one) that are solved from the flawed prefix too; None where none is solved clean. susceptibility: flawed accuracy
    of the base policy minus this one's, so below 0 is an improvement. clean_change, flawed_change: this policy minus
    the base, paired by problem. by_kind: the same by kind of error. Intervals are paired bootstraps over problems.
    """

    problems: int
    clean: float
    flawed: float
    gap: Interval
    recovery: float | None
    by_kind: Mapping[str, KindReport]
    susceptibility: float | None = None
    clean_change: Interval | None = None
    flawed_change: Interval | None = None


@implements("repair-from-flawed")
def robustness_report(
    clean: ArrayLike,
    flawed: ArrayLike,
    kinds: Sequence[str],
    *,
    base_clean: ArrayLike | None = None,
    base_flawed: ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> RobustnessReport:
    """Return clean and flawed accuracy, their gap, what is recovered, and what changed against a base policy.

    ``gap = mean(clean - flawed)``; ``recovery = sum(base_clean * flawed) / sum(base_clean)``, which for one sample a
    problem is the share of clean solutions that survive. It takes verdicts rather than a policy, so that any sampler
    can be measured.

    Args:
        clean: how often each problem was solved from its clean prompt, in [0, 1]; verdicts or means over samples.
        flawed: the same from its flawed prefix, in the same order.
        kinds: of the errors, one a problem.
        base_clean: of the policy to compare with, on the same problems; None takes this one's for the recovery.
        base_flawed: of the policy to compare with.
        confidence: coverage of the intervals, in (0, 1).
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Raises `ScorecraftError` for unequal lengths, fewer than 2 problems, accuracies outside [0, 1], or one base without
    the other.

    Source: Can Large Reasoning Models Improve Accuracy on Mathematical Tasks Using Flawed Thinking?, 2025,
    arXiv 2512.17079 (accuracies, gap and recovery).
    """
    if (base_clean is None) != (base_flawed is None):
        raise ScorecraftError("robustness_report: base_clean and base_flawed come together")
    given = {"clean": clean, "flawed": flawed, "base_clean": base_clean, "base_flawed": base_flawed}
    shares = {name: _shares(name, values, len(kinds)) for name, values in given.items() if values is not None}

    def difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Interval:
        return paired_bootstrap(
            first, second, confidence=confidence, method="percentile", resamples=resamples, seed=seed
        )

    own, with_flaw = shares["clean"], shares["flawed"]
    solved = shares.get("base_clean", own)
    by_kind = {}
    for kind in sorted(set(kinds)):
        rows = np.array([one == kind for one in kinds])
        gap = difference(own[rows], with_flaw[rows]) if rows.sum() > 1 else None
        by_kind[kind] = KindReport(int(rows.sum()), float(own[rows].mean()), float(with_flaw[rows].mean()), gap)
    compared = "base_clean" in shares
    return RobustnessReport(
        problems=len(kinds),
        clean=float(own.mean()),
        flawed=float(with_flaw.mean()),
        gap=difference(own, with_flaw),
        recovery=float((solved * with_flaw).sum() / solved.sum()) if solved.any() else None,
        by_kind=by_kind,
        susceptibility=float((shares["base_flawed"] - with_flaw).mean()) if compared else None,
        clean_change=difference(own, shares["base_clean"]) if compared else None,
        flawed_change=difference(with_flaw, shares["base_flawed"]) if compared else None,
    )


def _shares(name: str, values: ArrayLike, count: int) -> NDArray[np.float64]:
    shares = np.asarray(values, dtype=np.float64)
    if shares.ndim != 1 or len(shares) != count or count < 2:
        raise ScorecraftError(
            f"robustness_report: expected {name} to have one value for each of at least 2 problems, got shape "
            f"{shares.shape} for {count} kinds"
        )
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ScorecraftError(f"robustness_report: expected {name} between 0 and 1")
    return shares
