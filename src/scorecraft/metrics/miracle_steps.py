"""How often right answers are reached by unsound steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError

MIRACLE_STEP = "miracle step"
FALSE_POSITIVE_MODES: tuple[str, ...] = (
    MIRACLE_STEP,
    "inductive overgeneralization",
    "outcome-irrelevant error",
    "ignored operation premise",
    "unverified assumption",
    "numerical coincidence",
)
"""The ways in which a solution with a right answer can be unsound.

A jump to a result without derivation; a rule claimed from a few cases; an error that the answer does not depend on; an
operation without its premise, such as a division by zero; an assumption that nothing supports; wrong steps that happen
to end at the right number.
"""

Trace = TypeVar("Trace")


@implements("rubric-reward")
def miracle_step_rate(
    traces: Sequence[Trace], verifier: Callable[[Trace], tuple[bool, Collection[str]]]
) -> dict[str, float]:
    """Return the share of right answers that rest on a miracle step, and on each of the other failure modes.

    The result has ``answer_ok`` (share of right answers), ``miracle_rate`` (miracle steps among all traces),
    ``false_positive_rate`` (right answers with any failure, among right answers), and for each of
    `FALSE_POSITIVE_MODES` its share among right answers. Shares among right answers are 0 where there are none.

    Args:
        traces: solutions, in whatever form the verifier takes.
        verifier: returns whether a trace's answer is right, and the failure modes found in its reasoning.

    Raises `ScorecraftError` for no traces, or a mode that is not one of `FALSE_POSITIVE_MODES`.

    Source: Curing Miracle Steps in LLM Mathematical Reasoning with Rubric Rewards, 2025, arXiv 2510.07774.
    """
    if not traces:
        raise ScorecraftError("miracle_step_rate: expected at least one trace")
    verified = [(right, frozenset(modes)) for right, modes in map(verifier, traces)]
    unknown = sorted(frozenset().union(*(modes for _, modes in verified)) - set(FALSE_POSITIVE_MODES))
    if unknown:
        raise ScorecraftError(
            f"miracle_step_rate: unknown failure mode '{unknown[0]}'; known: {', '.join(FALSE_POSITIVE_MODES)}"
        )
    right = [modes for is_right, modes in verified if is_right]
    among = max(len(right), 1)
    return {
        "answer_ok": len(right) / len(verified),
        "miracle_rate": sum(MIRACLE_STEP in modes for _, modes in verified) / len(verified),
        "false_positive_rate": sum(map(bool, right)) / among,
        **{mode: sum(mode in modes for modes in right) / among for mode in FALSE_POSITIVE_MODES},
    }
