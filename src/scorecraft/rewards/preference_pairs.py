"""Preference pairs annotated by a reward: the best and the worst of several responses to each prompt."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypedDict

from jaxtyping import Float32
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.response_logprobs import Conversation

PairReward = Callable[[Sequence[Conversation], Sequence[str]], Float32[Tensor, " response"]]


class PreferencePair(TypedDict):
    """One row of a preference data set, as TRL reads it, with how far apart the two are."""

    prompt: Conversation
    chosen: str
    rejected: str
    margin: float


@implements("density-ratio-reward")
def annotate_pairs(
    reward: PairReward,
    prompts: Sequence[Conversation],
    candidates: Sequence[Sequence[str]],
    *,
    min_margin: float = 0.0,
) -> list[PreferencePair]:
    """Return for each prompt the candidate of highest and of lowest reward; a pair of smaller margin is left out.

    A prompt whose candidates all earn the same gives no pair, nor does one with fewer than two different ones.

    Args:
        reward: of prompts and responses, such as `DensityRatioReward`.
        prompts: what was asked.
        candidates: the responses to each.
        min_margin: least difference of rewards, at least 0.

    Raises `ScorecraftError` for different numbers of prompts and lists of candidates, a prompt without candidates, or
    a negative margin.

    Source: CDR: Customizable Density Ratios of Strong-over-weak LLMs for Preference Annotation, 2024, arXiv 2411.02481.
    """
    if len(prompts) != len(candidates):
        raise ScorecraftError(f"annotate_pairs: {len(prompts)} prompts, but {len(candidates)} lists of candidates")
    if not min_margin >= 0:
        raise ScorecraftError(f"annotate_pairs: expected a min_margin of at least 0, got {min_margin:g}")
    for row, offered in enumerate(candidates):
        if not offered:
            raise ScorecraftError(f"annotate_pairs: prompt {row} has no candidates; expected two or more")
    asked = [prompt for prompt, offered in zip(prompts, candidates, strict=True) for _ in offered]
    values = reward(asked, [text for offered in candidates for text in offered]).tolist()
    pairs: list[PreferencePair] = []
    start = 0
    for prompt, offered in zip(prompts, candidates, strict=True):
        own = values[start : start + len(offered)]
        start += len(offered)
        known = [place for place, value in enumerate(own) if not math.isnan(value)]
        if not known:
            continue
        best, worst = max(known, key=own.__getitem__), min(known, key=own.__getitem__)
        if own[best] == own[worst] or offered[best] == offered[worst]:
            continue
        margin = own[best] - own[worst]
        if margin >= min_margin:
            pairs.append({"prompt": prompt, "chosen": offered[best], "rejected": offered[worst], "margin": margin})
    return pairs
