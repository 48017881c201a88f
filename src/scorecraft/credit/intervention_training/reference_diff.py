"""A proposer for structured tasks: the reference's own step, where the attempt first leaves the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scorecraft.catalog import implements
from scorecraft.credit.intervention_training.attempts import Attempt
from scorecraft.credit.intervention_training.interventions import NO_ERROR, Intervention
from scorecraft.credit.intervention_training.substeps import SEPARATOR, substeps
from scorecraft.errors import ScorecraftError

FirstError = Callable[[Attempt], int | None]
"""Returns the 1-based substep of an attempt's first error; None where it finds none."""


@implements("intervention-training")
@dataclass(frozen=True)
class ReferenceDiffProposer:
    """Proposes the reference's next step at the first substep that is not the reference's, or that a checker refutes.

    It is exact and always gives one proposal. first_error: a checker of steps; None compares with the reference, step
    by step, white space aside. separator: what stands between the reference's substeps.

    Source: a stand-in for a model's own proposals, after InT, 2026, arXiv 2601.14209.
    """

    first_error: FirstError | None = None
    separator: str = SEPARATOR

    @property
    def needs_reference(self) -> bool:
        """True: the step that it proposes is the reference's."""
        return True

    def propose(self, attempts: Sequence[Attempt], n: int = 1) -> list[list[Intervention | None]]:
        """Return one proposal for every attempt, whatever ``n`` is.

        Raises `ScorecraftError` for an attempt without a reference, or a checker's substep that the attempt has not.
        """
        del n
        return [[self._proposal(attempt)] for attempt in attempts]

    def _proposal(self, attempt: Attempt) -> Intervention:
        if not attempt.reference.strip():
            raise ScorecraftError(f"problem {attempt.problem_index}: the reference proposer needs a reference solution")
        reference = substeps(attempt.reference, self.separator)
        wanted = [_plain(step) for step in reference]
        written = [_plain(step) for step in attempt.steps]
        location = self._location(attempt, written, wanted)
        if location is None:
            return NO_ERROR
        # What the kept substeps have covered of the reference, in its order; others among them do not count.
        covered = 0
        for step in written[: location - 1]:
            covered += covered < len(wanted) and step == wanted[covered]
        return Intervention(location, reference[covered].strip()) if covered < len(reference) else NO_ERROR

    def _location(self, attempt: Attempt, written: list[str], wanted: list[str]) -> int | None:
        if self.first_error is None:
            same = 0
            while same < min(len(written), len(wanted)) and written[same] == wanted[same]:
                same += 1
            return same + 1
        location = self.first_error(attempt)
        if location is not None and not 1 <= location <= len(written) + 1:
            raise ScorecraftError(
                f"problem {attempt.problem_index}, attempt {attempt.attempt_index}: the checker of steps returned "
                f"substep {location}; expected one in 1 .. {len(written) + 1}, or None"
            )
        return location


def _plain(step: str) -> str:
    return " ".join(step.split())
