"""The interface of whatever proposes interventions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from scorecraft.credit.intervention_training.attempts import Attempt
from scorecraft.credit.intervention_training.interventions import Intervention


@runtime_checkable
class InterventionProposer(Protocol):
    """Finds the first error of failed attempts; takes many at once, since engines generate in batches."""

    @property
    def needs_reference(self) -> bool:
        """True where attempts must have a reference solution."""
        ...

    def propose(self, attempts: Sequence[Attempt], n: int) -> Sequence[Sequence[Intervention | None]]:
        """Return up to ``n`` proposals for every attempt.

        A proposal without content says that no error was found, None that a reply could not be read.
        """
        ...
