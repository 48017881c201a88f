"""Solutions in steps: by a model that may only say where to cut, else by lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from scorecraft.catalog import implements

SPLIT_PROMPT = """Split the solution below into its reasoning steps. Answer with a JSON list of strings and nothing
else. Do not change, add or leave out any of the text.

{text}
"""


@implements("formal-steps")
def split_steps(text: str, generate: Callable[[str], str] | None = None, tries: int = 3) -> list[str]:
    """Return the steps of a solution, never an empty list unless the text is blank.

    Args:
        text: the solution.
        generate: a model that answers `SPLIT_PROMPT`; an answer that changes more than white space is not taken.
        tries: answers to ask for before falling back to the lines that are not blank.

    Source: Safe, 2025, arXiv 2506.04592.
    """
    if generate is not None and text.strip():
        for _ in range(tries):
            steps = _listed(generate(SPLIT_PROMPT.format(text=text)))
            if steps and _squeezed("".join(steps)) == _squeezed(text):
                return steps
    return [line.strip() for line in text.split("\n") if line.strip()]


def _listed(reply: str) -> list[str]:
    begin, end = reply.find("["), reply.rfind("]")
    try:
        found = json.loads(reply[begin : end + 1])
    except (ValueError, RecursionError):
        return []
    if not isinstance(found, list) or not all(isinstance(step, str) for step in found):
        return []
    return [step.strip() for step in found if step.strip()]


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)
