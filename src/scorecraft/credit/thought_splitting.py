"""Where a thought can be cut: at sentences that open with a word of second thought."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError

THINK_TAGS = ("<think>", "</think>")


def _spellings(*words: str) -> tuple[str, ...]:
    """Return each phrase as it is and with a capital first letter."""
    return tuple(spelling for word in words for spelling in (word, word[0].upper() + word[1:]))


_SINGLE = ("wait", "but", "alternatively", "however", "hmm")
DEFAULT_MARKERS = (
    *_spellings(*_SINGLE),
    *(word.upper() for word in _SINGLE),
    *_spellings("let me double-check", "but wait", "hold on", "looking back", "seems solid", "similarly"),
    *_spellings("that's correct, but", "that seems right", "wait, but"),
    "So",
)


class Thought(NamedTuple):
    """Where a thought is in a text, without its tags, and whether it was closed."""

    start: int
    end: int
    closed: bool


def find_thought(text: str, think_tags: tuple[str, str] = THINK_TAGS) -> Thought | None:
    """Return where the first thought of a text is; one that is not closed goes to the end; None without a thought.

    Args:
        text: of a completion.
        think_tags: what opens and what closes a thought. An empty opening tag is for a thought that begins with the
            text, as where the prompt opens it.

    Raises `ScorecraftError` for an empty closing tag.
    """
    opening, closing = think_tags
    if not closing:
        raise ScorecraftError("think_tags: expected a closing tag that is not empty, such as '</think>'")
    at = text.find(opening)
    if at < 0:
        return None
    start = at + len(opening)
    end = text.find(closing, start)
    return Thought(start, len(text), False) if end < 0 else Thought(start, end, True)


@implements("stepwise-reward")
def split_thought(
    text: str,
    keywords: Sequence[str] = DEFAULT_MARKERS,
    min_first_chars: int = 1000,
    min_gap_chars: int = 400,
    think_tags: tuple[str, str] = THINK_TAGS,
    word_boundary: bool = False,
) -> list[int]:
    """Return the increasing character offsets at which the thought of a text is cut into steps.

    A keyword (the longest that fits) asks for a cut, which is moved back to just after the last ``.``, ``!``, ``?`` or
    line break before it, and stands at the keyword where the thought has none. A keyword is passed over that is
    nearer than ``min_first_chars`` to the thought's start, or than ``min_gap_chars`` to the cut before it.

    Args:
        text: of a completion; offsets count from its start, so that ``text[:offset]`` is the prefix of a step.
        keywords: that open a step, as they are spelled.
        min_first_chars: least characters from the thought's start to a keyword.
        min_gap_chars: least characters from a cut to the next keyword.
        think_tags: see `find_thought`; without a thought there is no cut.
        word_boundary: whether a keyword must be a whole word. The published code's is False, by which "attribute" has
            a "but"; True is better.

    Raises `ScorecraftError` for no keyword, an empty one, or distances below 0.

    Source: Promoting Efficient Reasoning with Verifiable Stepwise Reward, 2025, arXiv 2508.10293; constants of its
    published code.
    """
    if isinstance(keywords, str) or not keywords or not all(keywords):
        raise ScorecraftError(f"split_thought: expected a list of keywords, none of them empty, got {keywords!r}")
    if min_first_chars < 0 or min_gap_chars < 0:
        raise ScorecraftError(
            f"split_thought: expected distances of at least 0, got {min_first_chars} and {min_gap_chars}"
        )
    thought = find_thought(text, think_tags)
    if thought is None:
        return []
    cuts: list[int] = []
    for found in _pattern(tuple(keywords), word_boundary).finditer(text, thought.start, thought.end):
        at = found.start()
        if at - thought.start < min_first_chars or (cuts and at - cuts[-1] < min_gap_chars):
            continue
        sentence = 1 + max(text.rfind(mark, thought.start, at) for mark in ".!?\n")
        cut = sentence or at
        # Without a sentence's end since the last cut, this one would move back onto it.
        if not cuts or cut > cuts[-1]:
            cuts.append(cut)
    return cuts


@lru_cache(maxsize=32)
def _pattern(keywords: tuple[str, ...], word_boundary: bool) -> re.Pattern[str]:
    words = "|".join(re.escape(word) for word in sorted(keywords, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)" if word_boundary else words)


class TokenPositions(NamedTuple):
    """The token of every offset, and how many offsets were in no token and were moved to the next one."""

    tokens: Int64[Tensor, " offset"]
    moved: int


def token_positions(offsets: Sequence[int], token_spans: Sequence[tuple[int, int]]) -> TokenPositions:
    """Return the token that holds each character offset, or the next token where none does.

    An offset behind the last token gets the number of tokens. The published code leaves offsets without a token out,
    and with them all step rewards of the completion.

    Args:
        offsets: of characters.
        token_spans: first character and end (exclusive) of every token, as tokenizers give them.

    Raises `ScorecraftError` for negative offsets.
    """
    if any(offset < 0 for offset in offsets):
        raise ScorecraftError(f"token_positions: expected offsets of at least 0, got {list(offsets)}")
    spans = np.asarray(token_spans, dtype=np.int64).reshape(-1, 2)
    wanted = np.asarray(offsets, dtype=np.int64)
    # Special tokens have the span (0, 0), wherever they stand.
    places = np.searchsorted(np.maximum.accumulate(spans[:, 1]), wanted, side="right")
    starts = np.append(spans[:, 0], np.iinfo(np.int64).max)
    return TokenPositions(torch.from_numpy(places.astype(np.int64)), int((starts[places] > wanted).sum()))
