"""What every prover is asked and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from scorecraft.rewards.formal_steps.claim import Claim, LeanStatement

CheckStatus = Literal["well-formed", "ill-defined", "vacuous", "unsupported", "error"]
ProofStatus = Literal["proved", "refuted", "unknown", "unsupported", "error"]
AnyClaim = Claim | LeanStatement


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Whether a claim means something: what it divides by is not 0, and its hypotheses can all be true."""

    status: CheckStatus
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ProofResult:
    """What a prover found.

    evidence: what the verdict rests on: a method, an unsat core, a Lean proof. model: the values of the variables in a
    counterexample. seconds: wall-clock time.
    """

    status: ProofStatus
    evidence: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, str] | None = None
    seconds: float = 0.0


@runtime_checkable
class Prover(Protocol):
    """Decides claims.

    name: what it is called. fragments: what it may decide: "F0" to "F3", or "lean" for text in Lean's own language.
    """

    @property
    def name(self) -> str:
        """The prover's name."""
        ...

    @property
    def fragments(self) -> frozenset[str]:
        """The fragments that it takes."""
        ...

    def check(self, claim: AnyClaim, timeout_s: float | None = None) -> CheckResult:
        """Return whether the claim means something; never raises for odd claims."""
        ...

    def prove(self, claim: AnyClaim, timeout_s: float | None = None, attempts: int = 16) -> ProofResult:
        """Return the verdict; a timeout is "unknown", never an exception."""
        ...
