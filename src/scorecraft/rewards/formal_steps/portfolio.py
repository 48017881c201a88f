"""`PortfolioProver`: several provers in order, the first verdict counts."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.formal_steps.claim import Claim, ClaimError
from scorecraft.rewards.formal_steps.exact_prover import ExactProver
from scorecraft.rewards.formal_steps.results import AnyClaim, CheckResult, ProofResult, Prover
from scorecraft.rewards.formal_steps.sorts import check_sorts


@implements("formal-steps")
class PortfolioProver:
    """Asks provers in the given order until one decides.

    A claim that no prover takes is unsupported; one that some took and none decided is unknown.

    Raises `ScorecraftError` without any prover.
    """

    name = "portfolio"

    def __init__(self, provers: Sequence[Prover]) -> None:
        if not provers:
            raise ScorecraftError("PortfolioProver: expected at least one prover")
        self.provers = tuple(provers)
        self.fragments = frozenset[str]().union(*(prover.fragments for prover in provers))

    def _for(self, claim: AnyClaim) -> list[Prover]:
        try:
            fragment = check_sorts(claim).fragment if isinstance(claim, Claim) else "lean"
        except ClaimError:
            return list(self.provers)  # each says for itself what is wrong
        return [prover for prover in self.provers if fragment in prover.fragments]

    def check(self, claim: AnyClaim, timeout_s: float | None = None) -> CheckResult:
        """Return the first result that is neither "unsupported" nor "error", else the last one."""
        result = CheckResult("unsupported", "no prover takes such claims")
        for prover in self._for(claim):
            result = prover.check(claim, timeout_s)
            if result.status not in ("unsupported", "error"):
                break
        return result

    def prove(self, claim: AnyClaim, timeout_s: float | None = None, attempts: int = 16) -> ProofResult:
        """Return the first verdict, else the most telling of the other results."""
        best = ProofResult("unsupported", {"reason": "no prover takes such claims"})
        rank = ("unsupported", "error", "unknown")
        for prover in self._for(claim):
            result = prover.prove(claim, timeout_s, attempts)
            if result.status in ("proved", "refuted"):
                return result
            if rank.index(result.status) >= rank.index(best.status):
                best = result
        return best


def default_prover() -> Prover:
    """Return exact evaluation, and z3 for what that does not decide where z3 is installed."""
    if importlib.util.find_spec("z3") is None:
        return ExactProver()
    from scorecraft.rewards.formal_steps.z3_prover import Z3Prover

    return PortfolioProver((ExactProver(), Z3Prover()))
