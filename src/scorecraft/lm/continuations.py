"""Continuation rollouts: what becomes of a completion when it is cut after some of its tokens and goes on from there.

All continuations of a batch are drawn together. A completion goes through the model once; every beginning of it shares
that pass, and every sample shares its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from scorecraft.errors import ScorecraftError
from scorecraft.lm.generate import SamplingSettings, generate

if TYPE_CHECKING:
    from scorecraft.lm.policy import Policy

ROWS = 1024  # continuations at once, which bounds the memory of their keys and values


@dataclass(frozen=True, eq=False)
class Continuations:
    """Continuations in the order of completions, of their cuts, and of samples.

    completion: which completion each goes on from. cut: how many of its tokens it keeps.
    texts: what was written after the cut, without special tokens, what was forced there included.
    whole: the completion up to the cut and what was written after it, as text.
    truncated: True where the length limit cut it.
    forward_tokens: tokens that went through the model for all of them.
    """

    completion: Int64[Tensor, " continuation"]
    cut: Int64[Tensor, " continuation"]
    texts: tuple[str, ...]
    whole: tuple[str, ...]
    truncated: Tensor
    forward_tokens: int


def continuations(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    cuts: Sequence[Sequence[int]],
    settings: SamplingSettings,
    *,
    samples: int,
    seeds: Sequence[int],
    closing: Sequence[int] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Continuations:
    """Draw ``samples`` continuations of every beginning of every completion.

    Args:
        policy: draws them.
        prompts: tokens before each completion, at least one.
        completions: tokens.
        cuts: for each completion, how many of its tokens the beginnings keep, 0 to all.
        settings: how tokens are drawn; ``max_new_tokens`` counts what comes after the cut.
        samples: continuations of each beginning.
        seeds: of the random numbers of each completion, so that they do not depend on the others of the batch.
        closing: tokens forced after the cut, such as the end of a thought.
        progress: told how many of all continuations are drawn.

    Raises `ScorecraftError` for unequal numbers, a cut outside its completion, no samples, or what does not fit the
    policy's context.
    """
    if not len(prompts) == len(completions) == len(cuts) == len(seeds):
        raise ScorecraftError(
            f"continuations: {len(prompts)} prompts, {len(completions)} completions, {len(cuts)} lists of cuts and "
            f"{len(seeds)} seeds; expected as many of each"
        )
    if samples < 1:
        raise ScorecraftError(f"continuations: expected 1 sample or more of each beginning, got {samples}")
    for row, (tokens, own) in enumerate(zip(completions, cuts, strict=True)):
        if any(not 0 <= cut <= len(tokens) for cut in own):
            raise ScorecraftError(f"continuations: completion {row} has {len(tokens)} tokens, its cuts are {list(own)}")
    total, found = samples * sum(map(len, cuts)), _Found()
    for rows in _batches(cuts, samples):
        found.draw(policy, [(row, prompts[row], completions[row], cuts[row], seeds[row]) for row in rows],
                   settings, samples, closing)  # fmt: skip
        if progress:
            progress(len(found.texts), total)
    return found.result()


class _Found:
    """Continuations as they are drawn, batch by batch."""

    def __init__(self) -> None:
        self.completion: list[int] = []
        self.cut: list[int] = []
        self.texts: list[str] = []
        self.whole: list[str] = []
        self.truncated: list[bool] = []
        self.forward_tokens = 0

    def draw(
        self,
        policy: Policy,
        batch: Sequence[tuple[int, Sequence[int], Sequence[int], Sequence[int], int]],
        settings: SamplingSettings,
        samples: int,
        closing: Sequence[int],
    ) -> None:
        """Draw the continuations of some completions in one call."""
        # Only what some beginning needs goes through the model.
        longest = [[*prompt, *tokens[: max(cuts)]] for _, prompt, tokens, cuts, _ in batch]
        group, starts, uniforms = [], [], []
        for place, (row, prompt, _, cuts, seed) in enumerate(batch):
            every = [cut for cut in cuts for _ in range(samples)]
            group += [place] * len(every)
            starts += [len(prompt) + cut for cut in every]
            uniforms.append(_uniforms(seed, len(every), settings.max_new_tokens))
            self.completion += [row] * len(every)
            self.cut += every
        out = generate(
            policy, longest, torch.tensor(group), torch.cat(uniforms), settings,
            prefixes=[closing] * len(group) if closing else None, starts=torch.tensor(starts),
        )  # fmt: skip
        self.forward_tokens += out.forward_tokens
        self.truncated += out.truncated.tolist()
        for place, start, tokens, length in zip(group, starts, out.tokens.tolist(), out.lengths.tolist(), strict=True):
            _, prompt, kept, _, _ = batch[place]
            self.texts.append(policy.decode(tokens[:length]))
            self.whole.append(policy.decode([*kept[: start - len(prompt)], *tokens[:length]]))

    def result(self) -> Continuations:
        """Return all of them."""
        completion, cut = (torch.tensor(values, dtype=torch.int64) for values in (self.completion, self.cut))
        truncated = torch.tensor(self.truncated, dtype=torch.bool)
        return Continuations(completion, cut, tuple(self.texts), tuple(self.whole), truncated, self.forward_tokens)


def _uniforms(seed: int, rows: int, width: int) -> Float64[Tensor, "row token"]:
    return torch.rand(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _batches(cuts: Sequence[Sequence[int]], samples: int) -> list[list[int]]:
    """Split the completions that have a cut into batches of at most `ROWS` continuations, or of one completion."""
    batches: list[list[int]] = []
    rows = 0
    for place, own in enumerate(cuts):
        if not own:
            continue
        rows += samples * len(own)
        if not batches or rows > ROWS:
            batches.append([])
            rows = samples * len(own)
        batches[-1].append(place)
    return batches
