"""Regularised relevance (R^3): is a response about its query, at length, and without repeating itself.

The factors hold each other in check: relevance alone is won by copying the query, length alone by rambling, and the
two together by repeating the query over and over.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning, nearest

Embedder = Callable[[Sequence[str]], Float32[Tensor, "text feature"]]
"""Texts in, one vector each out; its attribute ``in_end``, where it has one, is the largest usual dot product."""

OPEN_ENDED, CONSTRAINED = "OPENENDED", "CONSTRAINED"
QUERY_TYPES = (OPEN_ENDED, CONSTRAINED)
TOKENS_PER_UNIT = 100
IN_END = 3.5  # the largest usual dot product of Contriever's embeddings

ROLE_MARKERS = (
    "<|im_start|>", "<|im_end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>", "</s>",
    "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "### Instruction:", "### Input:", "### Response:",
)  # fmt: skip
ROLE_NAMES = ("system", "user", "human", "assistant", "question", "answer")
BREAKS = ("\n\n\n\n", "\n\n--", "\n\n____")

_TOKEN = re.compile(r"\w+|[^\w\s]+")
_ROLE = rf"^[ \t]*(?:{'|'.join(ROLE_NAMES)})[ \t]*:"
_MARKER = re.compile("|".join(map(re.escape, ROLE_MARKERS)))
_END = re.compile(rf"{'|'.join(map(re.escape, (*ROLE_MARKERS, *BREAKS)))}|{_ROLE}", re.MULTILINE | re.IGNORECASE)
_ROLES = re.compile(_ROLE, re.MULTILINE | re.IGNORECASE)


@implements("relevance-reward")
def text_tokens(text: str) -> list[str]:
    """Return runs of word characters and runs of punctuation: "Don't stop!!" is ``Don ' t stop !!``."""
    return _TOKEN.findall(text)


@implements("relevance-reward")
def length_incentive(text: str) -> float:
    """Return the number of tokens of a text (see `text_tokens`) divided by 100.

    Source: Preference-free Alignment Learning with Regularized Relevance Reward, 2024, arXiv 2402.03469.
    """
    return len(text_tokens(text)) / TOKENS_PER_UNIT


@implements("relevance-reward")
def repetition_penalty(text: str, n: int = 3) -> float:
    """Return the share of a text's token n-grams that are different from one another; 1 without any n-gram.

    Args:
        text: a response.
        n: length of the n-grams, at least 1.

    Source: Preference-free Alignment Learning with Regularized Relevance Reward, 2024, arXiv 2402.03469.
    """
    if n < 1:
        raise ScorecraftError(f"repetition_penalty: n is {n}; expected at least 1")
    grams = _grams(text_tokens(text), n)
    return len(set(grams)) / len(grams) if grams else 1.0


@implements("relevance-reward")
def copied_share(query: str, response: str, n: int = 4) -> float:
    """Return the share of the response's token n-grams that stand in the query too, whatever their case; 0 without any.

    Args:
        query: what was asked.
        response: what was answered.
        n: length of the n-grams, at least 1.
    """
    if n < 1:
        raise ScorecraftError(f"copied_share: n is {n}; expected at least 1")
    asked = set(_grams(text_tokens(query.lower()), n))
    grams = _grams(text_tokens(response.lower()), n)
    return sum(gram in asked for gram in grams) / len(grams) if grams else 0.0


def _grams(tokens: list[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(tokens[start:] for start in range(n)), strict=False))


Value = TypeVar("Value", float, Tensor)


@implements("relevance-reward")
def interp(
    value: Value, in_range: tuple[float, float] = (0.0, IN_END), out_range: tuple[float, float] = (0.0, 5.12)
) -> Value:
    """Return ``value`` carried linearly from one range to another, and beyond their ends alike (no clamping).

    Args:
        value: usually in ``in_range``.
        in_range: two different numbers.
        out_range: where they go.

    Raises `ScorecraftError` where the ends of ``in_range`` are equal.
    """
    low, high = in_range
    if low == high:
        raise ScorecraftError(f"interp: in_range is ({low:g}, {high:g}); expected two different ends")
    return out_range[0] + (value - low) / (high - low) * (out_range[1] - out_range[0])


@implements("relevance-reward")
def clean_response(text: str) -> str:
    """Return a response up to the first sign of another turn or of a break, without blanks around it.

    Such signs are `ROLE_MARKERS`, `BREAKS`, and a line that begins with one of `ROLE_NAMES` and a colon.
    """
    found = _END.search(text)
    return (text[: found.start()] if found else text).strip(" \n")


def clean_query(text: str, *, system: str | None = None) -> str:
    """Return a query without system prompt, role names and markers, its blanks collapsed.

    Args:
        text: the prompt as the policy got it.
        system: the system prompt that stands in it.
    """
    if system:
        text = text.replace(system, " ")
    return " ".join(_ROLES.sub(" ", _MARKER.sub("\n", text)).split())


_CONSTRAINED = re.compile(
    r"\b(how (?:many|much|old|tall|long|far)|what (?:year|day|date|time|number|percentage)|which of|true or false|"
    r"yes or no|multiple.choice|choose|select|classify|categorize|identify (?:whether|if)|calculate|compute|solve|"
    r"evaluate|simplify|translate|convert|extract|rewrite|paraphrase|correct the|fix the|fill in|complete the sentence|"
    r"who (?:was|is|wrote|invented)|when (?:was|did|is)|where (?:is|was)|sort|answer with|one word)\b"
    r"|=\s*\?|^\s*\(?[A-D][).:]|\d\s*[-+*/]\s*\d",
    re.IGNORECASE | re.MULTILINE,
)


def query_type(query: str) -> str:
    """Return by rule whether a query has a fixed answer ("CONSTRAINED") or many good ones ("OPENENDED").

    The rule looks for wordings such as "how many", "translate" or "which of", for options and for sums; where a label
    is known it should be used instead.
    """
    return CONSTRAINED if _CONSTRAINED.search(query) else OPEN_ENDED


@implements("relevance-reward")
def relevance(queries: Sequence[str], responses: Sequence[str], embed: Embedder) -> Float32[Tensor, " row"]:
    """Return ``embed(query) . embed(response)`` row by row; the vector of an empty text is 0.

    Args:
        queries: what was asked, or a reference answer.
        responses: what was answered, as many.
        embed: gives a vector a text.

    Raises `ScorecraftError` for unequal numbers, or vectors that are not one finite row a text.

    Source: Preference-free Alignment Learning with Regularized Relevance Reward, 2024, arXiv 2402.03469.
    """
    if len(queries) != len(responses):
        raise ScorecraftError(f"relevance: {len(queries)} queries, but {len(responses)} responses")
    texts = list(dict.fromkeys(text for text in (*queries, *responses) if text.strip()))
    if not texts:
        return torch.zeros(len(queries), dtype=torch.float32)
    vectors = embed(texts)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise ScorecraftError(
            f"relevance: the embedder gave shape {tuple(vectors.shape)} for {len(texts)} texts; expected one row a text"
        )
    if not bool(torch.isfinite(vectors).all()):
        raise ScorecraftError("relevance: the embedder gave a vector that is not finite")
    rows = {text: row for row, text in enumerate(texts)}
    table = torch.cat((vectors.float(), torch.zeros(1, vectors.shape[1])))
    left, right = (table[[rows.get(text, -1) for text in side]] for side in (queries, responses))
    return (left * right).sum(1)


@implements("relevance-reward")
@dataclass(frozen=True)
class R3Reward:
    """Regularised relevance: ``r_x LI RP`` for open-ended queries, ``F(r_y) RP`` for those with a fixed answer.

    ``r_x`` is the relevance of the response to the query, ``r_y`` to a reference answer, LI the length incentive, RP
    the repetition penalty, and ``F(v) = v (max_len / 100) / in_end`` puts the second branch on the scale of the longest
    open answer.

    embed: gives a vector a text. max_len: tokens of the longest response. length, repetition, relevance: whether each
    factor counts; one that does not is 1. branching: whether queries with a fixed answer get the second branch; without
    it the first is taken for all. strip: whether responses are cut by `clean_response` first. in_end: the largest usual
    dot product of the embedder; see `calibrate`.

    Source: Preference-free Alignment Learning with Regularized Relevance Reward, 2024, arXiv 2402.03469, and the
    released code of Rethinking the Role of Proxy Rewards in Language Model Alignment, 2024, of the same entry.
    """

    embed: Embedder
    max_len: int = 512
    length: bool = True
    repetition: bool = True
    relevance: bool = True
    branching: bool = True
    strip: bool = True
    in_end: float | None = None

    def __post_init__(self) -> None:
        if self.max_len < 1:
            raise ScorecraftError(f"R3Reward: max_len is {self.max_len}; expected at least 1 token")
        if self.in_end is not None and not 0 < self.in_end < math.inf:
            raise ScorecraftError(f"R3Reward: in_end is {self.in_end}; expected a number above 0")
        if self.branching and not self.relevance:
            raise ScorecraftError(
                "R3Reward: without relevance nothing is left of the branch for fixed answers; set branching=False too"
            )

    def __call__(
        self,
        queries: Sequence[str],
        responses: Sequence[str],
        *,
        qtypes: Sequence[str | None] | None = None,
        references: Sequence[str | None] | None = None,
    ) -> Float64[Tensor, " row"]:
        """Return the reward of every response; see `components`."""
        return self.components(queries, responses, qtypes=qtypes, references=references)["reward"]

    def components(
        self,
        queries: Sequence[str],
        responses: Sequence[str],
        *,
        qtypes: Sequence[str | None] | None = None,
        references: Sequence[str | None] | None = None,
    ) -> dict[str, Float64[Tensor, " row"]]:
        """Return ``reward`` and what it is made of: ``relevance``, ``length``, ``repetition``, and 1 where ``open``.

        Args:
            queries: what was asked, without template; see `clean_query`.
            responses: what was answered.
            qtypes: "OPENENDED" or "CONSTRAINED" of each query; read where ``branching``.
            references: right answers; read where the query is constrained.

        Raises `ScorecraftError` for unequal numbers, an unknown type, or a type or reference that is missing. Warns
        of dot products below 0, and where the embedder's scale is not known.
        """
        count = len(responses)
        for name, given in (("queries", queries), ("qtypes", qtypes), ("references", references)):
            if given is not None and len(given) != count:
                raise ScorecraftError(f"R3Reward: {len(given)} {name}, but {count} responses")
        is_open = self._open(count, qtypes, references)
        cut = [clean_response(text) for text in responses] if self.strip else list(responses)
        against = [
            query if opened else str(reference)
            for query, opened, reference in zip(queries, is_open.tolist(), references or [None] * count, strict=True)
        ]
        dots = relevance(against, cut, self.embed).double() if self.relevance else torch.ones(count).double()
        if bool((dots < 0).any()):
            warnings.warn(
                "relevance: some dot products are below 0, where the length incentive punishes length; centre less, or "
                "take another embedder",
                ScorecraftWarning,
                stacklevel=2,
            )
        lengths = torch.tensor([length_incentive(text) for text in cut], dtype=torch.float64)
        distinct = torch.tensor([repetition_penalty(text) for text in cut], dtype=torch.float64)
        closed = (
            dots if bool(is_open.all()) else interp(dots, (0.0, self._scale()), (0.0, self.max_len / TOKENS_PER_UNIT))
        )
        reward = torch.where(is_open, dots * lengths if self.length else dots, closed)
        if self.repetition:
            reward = reward * distinct
        return {
            "reward": reward,
            "relevance": dots,
            "length": lengths,
            "repetition": distinct,
            "open": is_open.double(),
        }

    def calibrate(self, pairs: Sequence[tuple[str, str]]) -> R3Reward:
        """Return this reward with ``in_end`` set to the 99.5th percentile of the relevance between paraphrases.

        Args:
            pairs: two texts each that say the same.

        Raises `ScorecraftError` for no pairs, or a percentile that is not above 0.
        """
        if not pairs:
            raise ScorecraftError("R3Reward.calibrate: expected at least one pair of paraphrases")
        dots = relevance([first for first, _ in pairs], [second for _, second in pairs], self.embed)
        end = float(torch.quantile(dots.double(), 0.995))
        if not end > 0:
            raise ScorecraftError(
                f"R3Reward.calibrate: the 99.5th percentile of the dot products is {end:g}; expected paraphrases whose "
                "vectors agree"
            )
        return replace(self, in_end=end)

    def _scale(self) -> float:
        known = self.in_end if self.in_end is not None else getattr(self.embed, "in_end", None)
        if known is not None:
            return float(known)
        warnings.warn(
            f"relevance: in_end is not known for this embedder, so {IN_END}, which fits Contriever, is taken; give "
            "in_end, or call calibrate with paraphrases",
            ScorecraftWarning,
            stacklevel=3,
        )
        return IN_END

    def _open(
        self, count: int, qtypes: Sequence[str | None] | None, references: Sequence[str | None] | None
    ) -> Bool[Tensor, " row"]:
        if not self.branching:
            return torch.ones(count, dtype=torch.bool)
        given = [None] * count if qtypes is None else list(qtypes)
        if missing := [row for row, kind in enumerate(given) if kind is None]:
            raise ScorecraftError(
                f"R3Reward: no query type for rows {_listed(missing)}; give qtypes, or set branching=False"
            )
        if unknown := [row for row, kind in enumerate(given) if kind not in QUERY_TYPES]:
            kind = str(given[unknown[0]])
            raise ScorecraftError(
                f"R3Reward: unknown query type '{kind}' in rows {_listed(unknown)}; {nearest(kind, QUERY_TYPES)}"
            )
        is_open = torch.tensor([kind == OPEN_ENDED for kind in given], dtype=torch.bool)
        stated = [None] * count if references is None else list(references)
        if missing := [row for row in range(count) if not is_open[row] and stated[row] is None]:
            raise ScorecraftError(f"R3Reward: no reference for the constrained queries of rows {_listed(missing)}")
        return is_open


def _listed(rows: Sequence[int], most: int = 10) -> str:
    return ", ".join(map(str, rows[:most])) + (", ..." if len(rows) > most else "")
