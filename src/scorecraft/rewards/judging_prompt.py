"""Prompts that customise a density ratio: a criterion, a few exemplars, and which of several a query calls for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.response_logprobs import LogProbFn, messages_of

Router = Callable[[str], str | None]
"""Says which domain a query belongs to; None where it knows none, and the query then gets no prompt."""


@dataclass(frozen=True)
class Exemplar:
    """A query with a good answer, and a bad one where there is one."""

    query: str
    good: str
    bad: str | None = None


@implements("density-ratio-reward")
def judging_prompt(criterion: str | None = None, exemplars: Sequence[Exemplar] = ()) -> str | None:
    """Return the system turn that states a criterion and shows exemplars; None where there is neither.

    Args:
        criterion: an instruction, such as "Refuse harmful requests."
        exemplars: queries with good and bad answers.

    The wording is ours: the paper's own prompts are not published.
    """
    parts = [criterion.strip()] if criterion and criterion.strip() else []
    for exemplar in exemplars:
        shown = f"Query: {exemplar.query}\nGood answer: {exemplar.good}"
        parts.append(shown + (f"\nBad answer: {exemplar.bad}" if exemplar.bad is not None else ""))
    return "\n\n".join(parts) or None


@implements("density-ratio-reward")
@dataclass(frozen=True)
class KeywordRouter:
    """Sends a query to the first domain one of whose regular expressions is found in it, whatever its case.

    patterns: regular expressions by domain, in the order in which domains are tried.

    Raises `ScorecraftError` for what is no regular expression.
    """

    patterns: Mapping[str, Sequence[str]]

    def __post_init__(self) -> None:
        for domain, patterns in self.patterns.items():
            for pattern in patterns:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ScorecraftError(
                        f"domain '{domain}': '{pattern}' is no regular expression ({error})"
                    ) from error

    def __call__(self, query: str) -> str | None:
        """Return the domain of a query."""
        for domain, patterns in self.patterns.items():
            if any(re.search(pattern, query, re.IGNORECASE) for pattern in patterns):
                return domain
        return None


@implements("density-ratio-reward")
@dataclass(frozen=True, eq=False)
class LogprobRouter:
    """Asks a language model, without examples, which domain's name it would answer with.

    model: scores the names. domains: what each is about. least: a domain whose share of the probability of all names
    is below this is not taken.
    """

    model: LogProbFn
    domains: Mapping[str, str]
    least: float = 0.0

    def __call__(self, query: str) -> str | None:
        """Return the domain of a query."""
        if not self.domains:
            return None
        listed = "\n".join(f"{name}: {about}" for name, about in self.domains.items())
        asked = f"To which of these domains does the query belong?\n{listed}\n\nQuery: {query}\n\nAnswer with its name."
        names = list(self.domains)
        scores = self.model([messages_of(asked)] * len(names), names)
        total = torch.stack([score.logprobs.masked_fill(~score.counts, 0.0).double().sum() for score in scores])
        shares = total.softmax(0)
        best = int(shares.argmax())
        return names[best] if float(shares[best]) >= self.least else None
