"""Which traces suit this student: how high it ranks their tokens, against how much these surprise it.

A trace teaches where its tokens are improbable to the student, so that there is something to learn, and yet near the
top of what it would say, so that it can be learned. One forward pass of the student, no labels and no verifier.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Float32, Int, Int32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError

RANK_CLIP = 100
ROWS_PER_BLOCK = 128
DEGENERATE = 1e-6  # nats of a whole trace; less is text that the student is certain of
_ROWS_IN_CACHE = 16  # element-wise work on the processor goes through rows that its cache holds
_LEAST_SURPRISAL = 1e-12

DatasetMean = Literal["ratio-of-means", "mean", "pooled"]


class TokenScores(NamedTuple):
    """What a student makes of each token of a trace.

    rank: 1 plus how many tokens the student finds more probable; tied tokens share the better rank. Not clipped.
    surprisal: ``-log p(token)`` in nats.
    entropy: of the distribution that the token comes from, in nats; None where not asked for.
    """

    rank: Int32[Tensor, " token"]
    surprisal: Float32[Tensor, " token"]
    entropy: Float32[Tensor, " token"] | None = None


@implements("rank-surprisal")
def token_rank_surprisal(
    logits: Float[Tensor, "token vocabulary"], targets: Int64[Tensor, " token"], *, entropy: bool = False
) -> TokenScores:
    """Return rank and surprisal of every token under the logits that it comes from.

    ``rank = 1 + #{v: z_v > z_target}`` and ``surprisal = logsumexp(z) - z_target``. Ranks are counted, not sorted, in
    the dtype of the logits; surprisals are computed in float32. Ranks are whole and `rsr` clips them, so that one pass
    serves every clip.

    Of a padded batch, take ``logits[:, :-1][mask[:, 1:]]`` and ``tokens[:, 1:][mask[:, 1:]]``.

    Args:
        logits: at temperature 1, at the position before each token.
        targets: the tokens.
        entropy: also return the entropies.

    Raises `ScorecraftError` for unequal lengths, a token outside the vocabulary, logits that are NaN, or a token of
    probability 0.

    Source: Which Reasoning Trajectories Teach Students to Reason Better?, 2026, arXiv 2601.14249, section 3.
    """
    return projected_rank_surprisal(logits, lambda rows: rows, targets, entropy=entropy)


@implements("rank-surprisal")
def projected_rank_surprisal(
    hidden: Float[Tensor, "token width"],
    project: Callable[[Tensor], Tensor],
    targets: Int64[Tensor, " token"],
    *,
    rows_per_block: int = ROWS_PER_BLOCK,
    entropy: bool = False,
) -> TokenScores:
    """Return what `token_rank_surprisal` does from hidden states, without ever holding the logits of all tokens.

    Args:
        hidden: the student's last states, at the position before each token.
        project: gives the logits of some rows of ``hidden``, as a model's output embeddings do.
        targets: the tokens.
        rows_per_block: rows projected at a time; ``rows_per_block * vocabulary`` logits are held.
        entropy: also return the entropies.

    Raises `ScorecraftError` as `token_rank_surprisal` does.
    """
    if len(hidden) != len(targets):
        raise ScorecraftError(f"token_rank_surprisal: {len(hidden)} rows of logits, but {len(targets)} tokens")
    count = len(targets)
    rank = torch.empty(count, dtype=torch.int32, device=targets.device)
    surprisal = torch.empty(count, dtype=torch.float32, device=targets.device)
    entropies = torch.empty(count if entropy else 0, dtype=torch.float32, device=targets.device)
    for start in range(0, count, rows_per_block):
        logits, wanted = project(hidden[start : start + rows_per_block]), targets[start : start + rows_per_block]
        _check_tokens(wanted, logits.shape[-1], start)
        step = _ROWS_IN_CACHE if logits.device.type == "cpu" else len(logits)
        for first in range(0, len(logits), step):
            at = slice(start + first, start + min(first + step, len(logits)))
            part = logits[first : first + step]
            rank[at], surprisal[at], found = _measure(part, wanted[first : first + step], entropy)
            if found is not None:
                entropies[at] = found
        del logits
    _check_finite(surprisal)
    return TokenScores(rank, surprisal, entropies if entropy else None)


@implements("rank-surprisal")
def rsr(rank: Int[Tensor, " token"], surprisal: Float[Tensor, " token"], rank_clip: int | None = RANK_CLIP) -> float:
    """Return the Rank-Surprisal Ratio of a trace, ``sum_k min(r_k, clip) / sum_k s_k``; lower suits the student better.

    It is the mean of ``r_k / s_k`` weighted by surprisal. Text that the student is certain of, with less than 1e-6 nats
    in all, gives infinity and so sorts last.

    Args:
        rank: of each response token, from 1.
        surprisal: of each response token, in nats.
        rank_clip: the largest rank that counts; None to count all.

    Raises `ScorecraftError` for no tokens, unequal lengths, a rank or a clip below 1, or a surprisal that is negative
    or not finite.

    Source: Which Reasoning Trajectories Teach Students to Reason Better?, 2026, arXiv 2601.14249, equation of RSR.
    """
    ranks, surprisals = _checked("rsr", rank, surprisal, rank_clip)
    total = float(surprisals.sum())
    return float(ranks.sum()) / total if total >= DEGENERATE else math.inf


@implements("rank-surprisal")
def mean_token_ratio(
    rank: Int[Tensor, " token"], surprisal: Float[Tensor, " token"], rank_clip: int | None = RANK_CLIP
) -> float:
    """Return ``mean_k min(r_k, clip) / s_k``, the unweighted form of `rsr`, which tokens of no surprisal dominate.

    Arguments and errors are those of `rsr`; surprisals below 1e-12 count as 1e-12.
    """
    ranks, surprisals = _checked("mean_token_ratio", rank, surprisal, rank_clip)
    return float((ranks / surprisals.clamp(min=_LEAST_SURPRISAL)).mean())


@implements("rank-surprisal")
def surprising_token_rsr(
    rank: Int[Tensor, " token"],
    surprisal: Float[Tensor, " token"],
    top: float = 0.3,
    rank_clip: int | None = RANK_CLIP,
) -> float:
    """Return `rsr` over the share ``top`` of the tokens with the highest surprisal, at least one.

    Arguments and errors are those of `rsr`, and for ``top`` outside (0, 1].
    """
    if not 0 < top <= 1:
        raise ScorecraftError(f"surprising_token_rsr: expected a share of tokens in (0, 1], got {top:g}")
    _checked("surprising_token_rsr", rank, surprisal, rank_clip)
    most = torch.sort(surprisal, descending=True, stable=True).indices[: math.ceil(top * len(surprisal))]
    return rsr(rank[most], surprisal[most], rank_clip)


@implements("rank-surprisal")
def rank_entropy_ratio(
    rank: Int[Tensor, " token"], entropy: Float[Tensor, " token"], rank_clip: int | None = RANK_CLIP
) -> float:
    """Return ``sum_k min(r_k, clip) / sum_k H_k`` with the entropy of each token's distribution, in nats.

    Arguments and errors are those of `rsr`, with entropies in place of surprisals.
    """
    ranks, entropies = _checked("rank_entropy_ratio", rank, entropy, rank_clip)
    total = float(entropies.sum())
    return float(ranks.sum()) / total if total >= DEGENERATE else math.inf


@implements("rank-surprisal")
def average_rank(rank: Int[Tensor, " token"], rank_clip: int | None = None) -> float:
    """Return the mean rank of a trace's tokens, each at most ``rank_clip`` where one is given.

    Raises `ScorecraftError` for no tokens, or a rank or clip below 1.
    """
    return float(_checked("average_rank", rank, torch.ones(len(rank)), rank_clip)[0].mean())


@implements("rank-surprisal")
def average_surprisal(surprisal: Float[Tensor, " token"]) -> float:
    """Return the mean surprisal of a trace's tokens, in nats: the negative mean log-likelihood.

    Raises `ScorecraftError` for no tokens, or a surprisal that is negative or not finite.
    """
    ranks = torch.ones(len(surprisal), dtype=torch.int32)
    return float(_checked("average_surprisal", ranks, surprisal, None)[1].mean())


@implements("rank-surprisal")
def dataset_rsr(
    traces: Sequence[tuple[Tensor, Tensor]], rank_clip: int | None = RANK_CLIP, how: DatasetMean = "ratio-of-means"
) -> float:
    """Return the Rank-Surprisal Ratio of many traces, such as all of one teacher.

    "ratio-of-means" is ``sum_j mean rank(j) / sum_j mean surprisal(j)``, in which every trace counts alike; "mean" is
    the mean of the traces' ratios; "pooled" is the ratio over all tokens, in which long traces count more. Of several
    traces a prompt, average the values of each set that has one trace a prompt.

    Args:
        traces: rank and surprisal of each trace's response tokens.
        rank_clip: the largest rank that counts; None to count all.
        how: which of the three.

    Raises `ScorecraftError` for no traces, an unknown ``how``, and as `rsr` does.

    Source: Which Reasoning Trajectories Teach Students to Reason Better?, 2026, arXiv 2601.14249, appendix A.8.
    """
    if not traces:
        raise ScorecraftError("dataset_rsr: expected at least one trace, got none")
    if how not in ("ratio-of-means", "mean", "pooled"):
        raise ScorecraftError(f"dataset_rsr: expected how='ratio-of-means', 'mean' or 'pooled', got '{how}'")
    if how == "mean":
        return sum(rsr(rank, surprisal, rank_clip) for rank, surprisal in traces) / len(traces)
    checked = [_checked("dataset_rsr", rank, surprisal, rank_clip) for rank, surprisal in traces]
    if how == "pooled":
        ranks = float(sum(own.sum() for own, _ in checked))
        total = float(sum(own.sum() for _, own in checked))
    else:
        ranks = float(sum(own.mean() for own, _ in checked))
        total = float(sum(own.mean() for _, own in checked))
    return ranks / total if total >= DEGENERATE else math.inf


def _measure(
    logits: Float[Tensor, "row vocabulary"], targets: Int64[Tensor, " row"], entropy: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    chosen = logits.gather(1, targets[:, None])
    # Both sides of the comparison are as the model gave them: a rounded side would miscount ties.
    rank = 1 + (logits > chosen).sum(1, dtype=torch.int32)
    top = logits.amax(1, keepdim=True).float()
    shifted = logits.float() - top
    weights = shifted.exp()
    total = weights.sum(1)
    surprisal = total.log() + (top - chosen.float())[:, 0]
    if not entropy:
        return rank, surprisal, None
    # A logit of minus infinity has weight 0 and adds nothing.
    moment = (weights * shifted.clamp(min=torch.finfo(torch.float32).min)).sum(1)
    return rank, surprisal, (total.log() - moment / total).clamp(min=0.0)


def _check_tokens(targets: Tensor, vocabulary: int, start: int) -> None:
    bad = ((targets < 0) | (targets >= vocabulary)).nonzero()
    if len(bad):
        place = int(bad[0])
        raise ScorecraftError(
            f"token {start + place} is {int(targets[place])}, outside the student's vocabulary (0 to "
            f"{vocabulary - 1}); a trace must be written with the tokens of the student's own tokenizer"
        )


def _check_finite(surprisal: Tensor) -> None:
    if bool(surprisal.isnan().any()):
        place = int(surprisal.isnan().nonzero()[0])
        raise ScorecraftError(f"the logits of token {place} have a NaN; expected numbers (try dtype float32)")
    if bool(surprisal.isinf().any()):
        place = int(surprisal.isinf().nonzero()[0])
        raise ScorecraftError(f"token {place} has probability 0 under the student; its surprisal is not finite")


def _checked(name: str, rank: Tensor, surprisal: Tensor, rank_clip: int | None) -> tuple[Tensor, Tensor]:
    """Return clipped ranks and surprisals in float64, in which sums of long traces are exact."""
    if rank_clip is not None and rank_clip < 1:
        raise ScorecraftError(f"{name}: expected a rank clip of at least 1, got {rank_clip}")
    if rank.ndim != 1 or rank.shape != surprisal.shape:
        shapes = f"{tuple(rank.shape)} and {tuple(surprisal.shape)}"
        raise ScorecraftError(f"{name}: expected one rank and one surprisal for each token, got shapes {shapes}")
    if not len(rank):
        raise ScorecraftError(f"{name}: no response tokens; a trace without any has no value")
    if int(rank.min()) < 1:
        raise ScorecraftError(f"{name}: ranks count from 1, got {int(rank.min())}")
    # A certain token may come out as -1e-8 from rounding.
    if not bool((surprisal.isfinite() & (surprisal > -1e-4)).all()):
        raise ScorecraftError(f"{name}: expected surprisals of at least 0 and finite, got {surprisal.tolist()[:8]}")
    clipped = rank if rank_clip is None else rank.clamp(max=rank_clip)
    return clipped.double(), surprisal.double().clamp(min=0.0)
