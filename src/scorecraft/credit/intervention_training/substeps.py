"""The substeps of a written solution: its paragraphs, numbered from 1."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning

SEPARATOR = "\n\n"


@implements("intervention-training")
def split_substeps(text: str, separator: str = SEPARATOR) -> list[str]:
    """Return the substeps of a solution; joined with the separator they are its text again, but for a blank end.

    A blank piece between two separators is no substep: it stays at the head of the next one.

    Args:
        text: the solution; blank text has no substep.
        separator: what stands between substeps.

    Raises `ScorecraftError` for an empty separator; warns of a solution that does not have it.

    Source: InT, 2026, arXiv 2601.14209.
    """
    steps = substeps(text, separator)
    if len(steps) == 1:
        warnings.warn(
            f"a solution without the separator {separator!r} is one substep: an error in it has no correct prefix",
            ScorecraftWarning,
            stacklevel=2,
        )
    return steps


def substeps(text: str, separator: str) -> list[str]:
    """Return the same as `split_substeps`, without a warning."""
    if not separator:
        raise ScorecraftError("split_substeps: expected a separator such as a blank line, got an empty text")
    steps: list[str] = []
    blank: list[str] = []
    for piece in text.split(separator):
        if not piece.strip():
            blank.append(piece)
            continue
        steps.append(separator.join([*blank, piece]))
        blank = []
    return steps


@implements("intervention-training")
def number_substeps(steps: Sequence[str]) -> str:
    """Return the substeps under the labels "Substep 1:", "Substep 2:", ..., with blank lines between them.

    Args:
        steps: as `split_substeps` gives them.

    Source: InT, 2026, arXiv 2601.14209.
    """
    return "\n\n".join(f"Substep {number}: {step.strip()}" for number, step in enumerate(steps, 1))
