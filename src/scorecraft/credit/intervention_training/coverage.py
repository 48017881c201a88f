"""What continuations from guided prefixes achieve: problems solved at least once, success, groups that teach."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError


@dataclass(frozen=True, slots=True)
class CoverageStatistics:
    """Counts of rollouts from prefixes, and the shares made of them; a share of nothing is NaN.

    problems: asked for, with those that no prefix is left of. covered: with a right rollout at least. prefixes:
    continued. uniform: those of them whose rollouts all earned the same. rollouts, correct: over all prefixes.
    """

    problems: int
    covered: int
    prefixes: int
    uniform: int
    rollouts: int
    correct: int

    @property
    def coverage(self) -> float:
        """Share of the problems with a right rollout."""
        return _share(self.covered, self.problems)

    @property
    def success_rate(self) -> float:
        """Share of right rollouts."""
        return _share(self.correct, self.rollouts)

    @property
    def zero_advantage_ratio(self) -> float:
        """Share of the prefixes whose rollouts have no advantage, since all of them are right or all wrong."""
        return _share(self.uniform, self.prefixes)


@implements("intervention-training")
def coverage_statistics(
    correct: Int64[Tensor, " prefix"],
    n_rollouts: int,
    problem: Int64[Tensor, " prefix"],
    problems: int | None = None,
) -> CoverageStatistics:
    """Return coverage, success rate and zero-advantage ratio of groups of rollouts.

    ``coverage = |{problem : sum of its c > 0}| / problems``, ``success = sum c / (n prefixes)``,
    ``zero-advantage = |{prefix : c = 0 or c = n}| / prefixes``.

    Args:
        correct: right rollouts c of every prefix.
        n_rollouts: rollouts n of every prefix.
        problem: which problem a prefix is of.
        problems: how many problems there are; None for those that have a prefix.

    Raises `ScorecraftError` for fewer than one rollout, counts outside 0 .. n, or fewer problems than have a prefix.

    Source: InT, 2026, arXiv 2601.14209.
    """
    if n_rollouts < 1:
        raise ScorecraftError(f"coverage: expected at least 1 rollout for each prefix, got {n_rollouts}")
    if bool(((correct < 0) | (correct > n_rollouts)).any()):
        raise ScorecraftError(f"coverage: counts of right rollouts lie outside 0 .. {n_rollouts}")
    having = int(problem.unique().numel())
    if problems is not None and problems < having:
        raise ScorecraftError(f"coverage: {having} problems have a prefix, and there should be {problems} in all")
    return CoverageStatistics(
        problems=having if problems is None else problems,
        covered=int(problem[correct > 0].unique().numel()),
        prefixes=len(correct),
        uniform=int(((correct == 0) | (correct == n_rollouts)).sum()),
        rollouts=len(correct) * n_rollouts,
        correct=int(correct.sum()),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
