"""What becomes of a step: its state and the record of how it came about."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.rewards.formal_steps.claim import Claim
from scorecraft.rewards.formal_steps.results import AnyClaim, ProofResult

Substatus = Literal[
    "", "refuted", "unknown", "contentless", "parse", "type", "ill-defined", "vacuous", "unsupported", "error"
]


class StepState(IntEnum):
    """The four states of a step; the number is the place in the one-hot code."""

    FAILURE_OF_PROOF = 0
    SUCCESS_OF_PROOF = 1
    NO_VERIFICATION_REQUIRED = 2
    FAILED_FORMALIZATION = 3


def step_state(name: str) -> StepState:
    """Return the state of a name such as "Success of Proof", in any case, with spaces, hyphens or underscores.

    Raises `ScorecraftError` with the nearest name for an unknown one.
    """
    key = name.strip().upper().replace(" ", "_").replace("-", "_")
    if key not in StepState.__members__:
        raise ScorecraftError(f"unknown step state '{name}'; {nearest(key, StepState.__members__)}")
    return StepState[key]


@dataclass(frozen=True, slots=True)
class NoClaim:
    """The step needs no verification."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class FormalizeError:
    """The step could not be made a claim: the fault, what is wrong, and where in the claim's text."""

    fault: Literal["parse", "type", "unsupported", "error"]
    message: str
    position: int = -1


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step and what verification made of it.

    claim: what was proved, or tried. substatus: why the state is what it is. reason: the same in words. proof: the
    prover's result. attempts: how often the step was formalised.
    """

    step: str
    state: StepState
    claim: AnyClaim | None = None
    substatus: Substatus = ""
    reason: str = ""
    proof: ProofResult = field(default_factory=lambda: ProofResult("unsupported"))
    attempts: int = 1

    @property
    def refuted(self) -> bool:
        """True where there is a counterexample, which says more than that no proof was found."""
        return self.substatus == "refuted"

    @property
    def goal_text(self) -> str:
        """The goal as text; "" without a claim."""
        from scorecraft.rewards.formal_steps.printer import print_formula

        return print_formula(self.claim.goal) if isinstance(self.claim, Claim) else ""
