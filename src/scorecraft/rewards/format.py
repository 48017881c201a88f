"""Format: can the answer be read, or does the completion match a pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from jaxtyping import Float32
from torch import Tensor

from scorecraft.problem import Outcome, Verdict
from scorecraft.scores import Scores


def parseable(verdicts: Sequence[Verdict]) -> Scores:
    """Return 1 where the answer checker could read an answer, right or wrong, and 0 where it could not.

    A checker that abstained, ran out of time or failed leaves no value, under its own outcome.

    Args:
        verdicts: one for each rollout.
    """
    value = {Outcome.SCORED: 1.0, Outcome.UNPARSED: 0.0}
    outcomes = tuple(Outcome.SCORED if verdict.outcome in value else verdict.outcome for verdict in verdicts)
    values = [value.get(verdict.outcome, float("nan")) for verdict in verdicts]
    return Scores(torch.tensor(values, dtype=torch.float32), outcomes)


def matches(texts: Sequence[str], pattern: str) -> Float32[Tensor, " rollout"]:
    """Return 1 where the whole text matches the regular expression, else 0.

    Args:
        texts: the completions.
        pattern: a regular expression of Python's `re`; a dot matches line ends too.
    """
    compiled = re.compile(pattern, re.DOTALL)
    return torch.tensor([float(compiled.fullmatch(text) is not None) for text in texts], dtype=torch.float32)
