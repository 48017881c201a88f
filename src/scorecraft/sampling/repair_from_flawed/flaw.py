"""One planted error in a solution, and the rules that say whether it is a fair one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.problem import StepLabel

FlawKind = Literal["calculation", "reasoning"]
Fault = Literal[
    "identical",
    "not_one_step",
    "earlier_step_refuted",
    "not_refuted",
    "contains_answer",
    "boxed",
    "self_reference",
]
FAULTS: tuple[Fault, ...] = (
    "identical", "not_one_step", "earlier_step_refuted", "not_refuted", "contains_answer", "boxed", "self_reference",
)  # fmt: skip
# Steps in, a label for each out.
StepLabels = Callable[[Sequence[str]], Sequence[StepLabel]]

_BOXES = ("\\boxed", "\\fbox")
_SPEAKS_OF_ERRORS = re.compile(
    r"\b(?:errors?|erroneous(?:ly)?|mistakes?|mistaken(?:ly)?|incorrect(?:ly)?|wrong(?:ly)?|flaw(?:s|ed)?|oops|wait|"
    r"sorry|miscalculat\w+)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Flaw:
    """A flawed version of one step of a solution.

    text: the flawed step. kind, subkind: what was done to it. step_index: which step of the solution it replaces.
    original: that step.
    """

    text: str
    kind: FlawKind
    subkind: str
    step_index: int
    original: str

    def prefix(self, solution_steps: Sequence[str], delimiter: str = "\n") -> str:
        """Return the solution up to and with the flawed step, each step with its delimiter.

        Args:
            solution_steps: of the right solution.
            delimiter: what ends a step.
        """
        return "".join(step + delimiter for step in (*solution_steps[: self.step_index], self.text))


@implements("repair-from-flawed")
def validate_flaw(
    flaw: Flaw,
    solution_steps: Sequence[str],
    answer: str,
    checker: StepLabels,
    *,
    match: Literal["whole", "substring"] = "whole",
) -> list[Fault]:
    """Return what is wrong with a flaw as a training prefix; empty where it is a fair one.

    - "identical": it says what the original step says.
    - "not_one_step": the checker sees several steps in it, or none.
    - "earlier_step_refuted": a step before it is wrong already, so it is not the only error.
    - "not_refuted": the checker does not call it wrong.
    - "contains_answer": the true answer stands in it.
    - "boxed": it has a boxed answer, which a reward could read.
    - "self_reference": it speaks of an error.

    Args:
        flaw: to be judged.
        solution_steps: of the right solution.
        answer: the true one.
        checker: from steps to their labels; `StepLabel.WRONG` is what refutes a step.
        match: "whole" finds the answer as a number or word of its own; "substring" anywhere, so that 6 is in 16.

    Raises `ScorecraftError` for an empty answer or a flaw at a step that the solution does not have.

    Source: Can Large Reasoning Models Improve Accuracy on Mathematical Tasks Using Flawed Thinking?, 2025,
    arXiv 2512.17079 (what its prefixes are asked to be).
    """
    if not answer.strip():
        raise ScorecraftError(
            "validate_flaw: the true answer is empty; expected it, since a flaw must not give it away"
        )
    if not 0 <= flaw.step_index < len(solution_steps):
        raise ScorecraftError(
            f"validate_flaw: the flaw is at step {flaw.step_index}, but the solution has {len(solution_steps)} steps"
        )
    found: list[Fault] = []
    if flaw.text.split() == flaw.original.split():
        found.append("identical")
    else:
        labels = list(checker([*solution_steps[: flaw.step_index], flaw.text]))
        if len(labels) != flaw.step_index + 1:
            found.append("not_one_step")
        elif StepLabel.WRONG in labels[:-1]:
            found.append("earlier_step_refuted")
        elif labels[-1] is not StepLabel.WRONG:
            found.append("not_refuted")
    if contains_answer(flaw.text, answer, match=match):
        found.append("contains_answer")
    if any(box in flaw.text for box in _BOXES):
        found.append("boxed")
    if _SPEAKS_OF_ERRORS.search(flaw.text):
        found.append("self_reference")
    return found


def contains_answer(text: str, answer: str, *, match: Literal["whole", "substring"] = "whole") -> bool:
    """Return whether the true answer stands in a text.

    Args:
        text: to be searched.
        answer: the true one.
        match: "whole" wants it as a number or word of its own; "substring" finds it anywhere.
    """
    sought = answer.strip()
    if match == "substring":
        return sought in text
    return re.search(rf"(?<![\w.]){re.escape(sought)}(?!\w|[.,]\d)", text) is not None


def strip_boxed(text: str) -> str:
    """Return a text without its boxes, what stands in them included; a box that is never closed takes the rest along.

    Args:
        text: such as a step that a language model wrote.
    """
    for box in _BOXES:
        while (start := text.find(box)) >= 0:
            text = text[:start] + text[_end_of_box(text, start + len(box)) :]
    return text


def _end_of_box(text: str, start: int) -> int:
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0 and not text[place].isspace():
            return place + 1
    return len(text)


def flaw_rates(faults: Sequence[Sequence[Fault]]) -> dict[str, float]:
    """Return the share of a set of flaws that has each fault, and under "valid" the share without any.

    Args:
        faults: what `validate_flaw` found, for each flaw of the set.

    Raises `ScorecraftError` for an empty set.
    """
    if not faults:
        raise ScorecraftError("flaw_rates: no flaws were given, expected at least one")
    count = Counter(fault for found in faults for fault in set(found))
    valid = sum(not found for found in faults)
    return {"valid": valid / len(faults), **{fault: count[fault] / len(faults) for fault in FAULTS}}
