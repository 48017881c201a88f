"""Forces answers from every prefix of a batch of thoughts, and has them verified: the accuracy at every cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.credit.thought_splitting import THINK_TAGS, find_thought
from scorecraft.errors import ScorecraftError

# Texts to go on from, answers to each, tokens of an answer; returns the answers to each, None where that failed.
GenerateFn = Callable[[Sequence[str], int, int], Sequence[Sequence[str] | None]]
# Answers and the row of the batch that each belongs to; returns whether each is right, None where that is not known.
VerifyFn = Callable[[Sequence[str], Sequence[int]], Sequence[float | bool | None]]


class ProbedAccuracies(NamedTuple):
    """The accuracy at every cut and, last, of the whole thought; which probes there are; how many of them failed."""

    accuracies: Float32[Tensor, "rollout probe"]
    mask: Bool[Tensor, "rollout probe"]
    failed: int


@implements("stepwise-reward")
def probe_prefixes(
    prompts: Sequence[str],
    texts: Sequence[str],
    offsets: Sequence[Sequence[int]],
    generate_fn: GenerateFn,
    verify_fn: VerifyFn,
    *,
    n: int = 5,
    max_tokens: int = 768,
    think_tags: tuple[str, str] = THINK_TAGS,
    closing: str | None = None,
) -> ProbedAccuracies:
    """Return the share of n forced answers that are right at every cut, and after the whole thought.

    Answers are drawn to ``prompt + text[:offset] + closing``, and at last to the whole thought closed, whether the
    completion closed it or not. All of a batch are drawn in one call and verified in one call. A probe whose answers
    could not be drawn or verified is False in the mask, which merges the steps beside it.

    Args:
        prompts: one a completion.
        texts: the completions; one without a thought has no probe.
        offsets: where each is cut, as `split_thought` gives them.
        generate_fn: takes texts, n and max_tokens, and returns the answers to each text, or None where that failed.
            The paper samples with temperature 0.6 and top-p 0.95.
        verify_fn: takes answers and their rows in the batch, and returns for each whether it is right (1 or 0, or a
            part of it), or None where that could not be found out.
        n: answers to each prefix.
        max_tokens: of an answer.
        think_tags: see `find_thought`.
        closing: what is put behind a prefix; None for the closing tag.

    Raises `ScorecraftError`, naming the row, for cuts that lie outside the thought or do not increase, and for
    functions that return other than one result for each text.

    Source: Promoting Efficient Reasoning with Verifiable Stepwise Reward, 2025, arXiv 2508.10293.
    """
    if n < 1 or max_tokens < 1:
        raise ScorecraftError(f"probe_prefixes: expected n and max_tokens of at least 1, got {n} and {max_tokens}")
    if not len(prompts) == len(texts) == len(offsets):
        raise ScorecraftError(
            f"probe_prefixes: {len(prompts)} prompts, {len(texts)} texts and {len(offsets)} lists of offsets"
        )
    closing = think_tags[1] if closing is None else closing
    prefixes: list[str] = []
    places: list[tuple[int, int]] = []
    for row, (prompt, text, cuts) in enumerate(zip(prompts, texts, offsets, strict=True)):
        for probe, end in enumerate(_ends(row, text, cuts, think_tags)):
            prefixes.append(prompt + text[:end] + closing)
            places.append((row, probe))
    drawn = list(generate_fn(prefixes, n, max_tokens)) if prefixes else []
    if len(drawn) != len(prefixes):
        raise ScorecraftError(f"generate_fn returned answers to {len(drawn)} of {len(prefixes)} texts")
    shares = _verified_shares(drawn, [row for row, _ in places], verify_fn)
    width = max((probe + 1 for _, probe in places), default=0)
    accuracies = torch.zeros(len(texts), width, dtype=torch.float32)
    mask = torch.zeros(len(texts), width, dtype=torch.bool)
    for place, share in zip(places, shares, strict=True):
        if share is not None:
            accuracies[place], mask[place] = share, True
    return ProbedAccuracies(accuracies, mask, sum(share is None for share in shares))


def _ends(row: int, text: str, cuts: Sequence[int], think_tags: tuple[str, str]) -> list[int]:
    """Return where the prefixes of a text end."""
    thought = find_thought(text, think_tags)
    if thought is None:
        if cuts:
            raise ScorecraftError(f"row {row}: cuts {list(cuts)} in a text without a thought")
        return []
    ends = [*cuts, thought.end]
    increase = all(first < second for first, second in pairwise(cuts))
    if not increase or any(not thought.start <= cut < thought.end for cut in cuts):
        raise ScorecraftError(
            f"row {row}: expected cuts that increase, from {thought.start} to below {thought.end}, got {list(cuts)}"
        )
    return ends


def _verified_shares(
    drawn: Sequence[Sequence[str] | None], rows: Sequence[int], verify_fn: VerifyFn
) -> list[float | None]:
    """Return the mean verdict on the answers to each prefix, None where there is none."""
    probe_of = [probe for probe, answers in enumerate(drawn) for _ in answers or ()]
    answers = [answer for each in drawn for answer in each or ()]
    verdicts = list(verify_fn(answers, [rows[probe] for probe in probe_of])) if answers else []
    if len(verdicts) != len(answers):
        raise ScorecraftError(f"verify_fn returned {len(verdicts)} verdicts on {len(answers)} answers")
    held: list[list[float]] = [[] for _ in drawn]
    for probe, verdict in zip(probe_of, verdicts, strict=True):
        if verdict is not None:
            held[probe].append(float(verdict))
    return [sum(values) / len(values) if values else None for values in held]
