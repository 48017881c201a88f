"""What a verifier may be told: the kind of answer, tolerances, and the limits on what it may use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from scorecraft.errors import ScorecraftError, nearest

Kind = Literal[
    "auto", "exact", "numeric", "choice", "set", "tuple", "interval", "expression", "equation",
    "json", "regex", "code", "reasoning-gym",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Options:
    """How answers are compared.

    kind: what the true answer is; "auto" tells by its form.
    absolute, relative: a number within either of them of the true one is right. Without any, exact numbers must be
        equal, and where one of the two has a decimal point they must be equal to six decimals.
    ignore_case: whether capital and small letters are the same in texts.
    loose: whether an answer counts that nothing marks as one (`scorecraft.rewards.verify.extraction`).
    seconds, memory_mb: the most one answer may take in a worker process, of wall-clock time and of address space.
    workers: how many worker processes.
    run_code: whether kind "code" may run programs.
    """

    kind: Kind = "auto"
    absolute: float | None = None
    relative: float | None = None
    ignore_case: bool = True
    loose: bool = True
    seconds: float = 5.0
    memory_mb: int = 1024
    workers: int = 2
    run_code: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ScorecraftError(f"unknown kind of answer '{self.kind}': {nearest(self.kind, KINDS)}")
        for name, tolerance in (("absolute", self.absolute), ("relative", self.relative)):
            if tolerance is not None and not 0 <= tolerance < float("inf"):
                raise ScorecraftError(f"verify: {name} must be a number of at least 0, got {tolerance}")
        if not self.seconds > 0:
            raise ScorecraftError(f"verify: seconds must be above 0, got {self.seconds}")
        if self.memory_mb < 256:
            raise ScorecraftError(f"verify: memory_mb must be at least 256, got {self.memory_mb}")
        if self.workers < 1:
            raise ScorecraftError(f"verify: workers must be at least 1, got {self.workers}")

    @property
    def tolerant(self) -> bool:
        """True where a tolerance is set."""
        return self.absolute is not None or self.relative is not None

    def of_kind(self, kind: Kind) -> Options:
        """Return the same options for another kind."""
        return replace(self, kind=kind)
