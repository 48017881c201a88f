"""Self-aligned reward: how much less surprising an answer becomes once the query is shown.

Two passes of the policy over the same tokens, one after the prompt and one after a stand-alone context, in which the
user says nothing. Padding and repetition are as likely without the query, so they dilute the reward.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning

Clip = tuple[float, float] | None
StandaloneContext = Literal["empty_chat", "bos"]
POSITIVE = 1e-4  # what rounding may put a log-probability above 0
LARGEST = 700.0  # exp of more is no float64


@implements("self-aligned-reward")
def self_aligned_reward(
    logp_cond: Float32[Tensor, "rollout token"],
    logp_uncond: Float32[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
    *,
    clip: Clip = (-1.0, 1.0),
    use_log: bool = False,
    use_denominator: bool = True,
    use_comparison: bool = True,
    term_clip: float | None = None,
    eps: float = 0.0,
) -> Float32[Tensor, " rollout"]:
    """Return ``clip((ppl(a) - ppl(a|q)) / (ppl(a) + eps))``, with ``ppl = exp(-mean log P)``.

    Computed as ``1 - exp(D)`` with ``D = mean(logp_uncond - logp_cond)``, which never holds a perplexity itself. The
    upper clip never binds; the lower one does where ``ppl(a|q) > 2 ppl(a)``.

    Args:
        logp_cond: log P(a_j | q, a_<j) of the sampled tokens; not read where ``mask`` is False.
        logp_uncond: log P(a_j | a_<j) of the same tokens after the stand-alone context.
        mask: the tokens that the policy sampled.
        clip: bounds of the relative difference; None for none. The ablations below have no bounds.
        use_log: cross-entropies in place of perplexities.
        use_denominator: False for the plain difference ``ppl(a) - ppl(a|q)``.
        use_comparison: False for ``-ppl(a|q)``, confidence alone; ``logp_uncond`` is then not read.
        term_clip: each of the two terms is at most this.
        eps: added to the denominator.

    A log-probability of minus infinity after the prompt gives the lower bound, after the stand-alone context only the
    upper one; a token that has it in both is dropped, with a warning. A completion without sampled tokens gets 0, with
    a warning. Raises `ScorecraftError` for a NaN, a log-probability above 0, or shapes that differ.

    Source: Self-Aligned Reward: Towards Effective and Efficient Reasoners, 2025, arXiv 2509.05489.
    """
    if use_denominator and use_comparison and not use_log and term_clip is None:
        surprise, standalone = _surprises(logp_cond, logp_uncond, mask)
        ratio = (surprise - standalone).clamp(max=LARGEST).exp()
        # Where both are infinite the prompt's own decides.
        ratio = torch.where(surprise == math.inf, torch.full_like(ratio, math.inf), ratio)
        return _bounded((1 - ratio) / (1 + eps * (-standalone).exp()), clip)
    if not use_comparison:
        surprise, _ = _surprises(logp_cond, logp_cond, mask, drop=False)
        found = -_term(surprise, use_log, term_clip)
        return torch.where(mask.any(1), found, torch.zeros_like(found)).float()
    surprise, standalone = _surprises(logp_cond, logp_uncond, mask)
    given, alone = _term(surprise, use_log, term_clip), _term(standalone, use_log, term_clip)
    difference = torch.where(given == math.inf, -math.inf, alone - given)
    if not use_denominator:
        return difference.float()
    relative = torch.where(alone == math.inf, 1.0, difference / (alone + eps))
    relative = torch.where(given == math.inf, -math.inf, relative)
    return _bounded(torch.where(difference == 0, 0.0, relative), clip)


@implements("self-aligned-reward")
def sar_token_scores(
    logp_cond: Float32[Tensor, "rollout token"],
    logp_uncond: Float32[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
) -> Float32[Tensor, "rollout token"]:
    """Return ``v[j] = log P(a_j | q, a_<j) - log P(a_j | a_<j)``, 0 where ``mask`` is False or both are infinite.

    The reward is ``1 - exp(-mean v)``: a token adds to it what the query told about it.

    Args:
        logp_cond: as in `self_aligned_reward`.
        logp_uncond: as in `self_aligned_reward`.
        mask: the tokens that the policy sampled.

    Source: Self-Aligned Reward: Towards Effective and Efficient Reasoners, 2025, arXiv 2509.05489.
    """
    kept = _counted(logp_cond, logp_uncond, mask)
    return torch.where(kept, logp_cond - logp_uncond, torch.zeros_like(logp_cond))


@implements("self-aligned-reward")
def sequence_perplexity(
    logp: Float32[Tensor, "rollout token"], mask: Bool[Tensor, "rollout token"]
) -> Float32[Tensor, " rollout"]:
    """Return ``exp(-mean log P)`` over the sampled tokens, 1 with a warning where there is none.

    Args:
        logp: log-probabilities; not read where ``mask`` is False.
        mask: the tokens that the policy sampled.

    Raises `ScorecraftError` for a NaN, a log-probability above 0, or shapes that differ.
    """
    surprise, _ = _surprises(logp, logp, mask, drop=False)
    return surprise.exp().float()


@implements("self-aligned-reward")
def entropy_min_reward(
    logp_cond: Float32[Tensor, "rollout token"], mask: Bool[Tensor, "rollout token"]
) -> Float32[Tensor, " rollout"]:
    """Return ``-log ppl(a|q)``, the mean log-probability: the baseline that pays for confidence alone.

    Args:
        logp_cond: as in `self_aligned_reward`.
        mask: the tokens that the policy sampled.

    Source: Self-Aligned Reward: Towards Effective and Efficient Reasoners, 2025, arXiv 2509.05489.
    """
    surprise, _ = _surprises(logp_cond, logp_cond, mask, drop=False)
    return (-surprise).float()


@implements("self-aligned-reward")
def copied_share(
    scores: Float32[Tensor, "rollout token"],
    tokens: Int64[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
    query: Sequence[Sequence[int]],
) -> Float32[Tensor, " rollout"]:
    """Return which share of the positive token scores ``sum max(v, 0)`` is in tokens that also occur in the query.

    A share near 1 says that the reward is earned by copying. It is 0 where no token has a positive score.

    Args:
        scores: of `sar_token_scores`.
        tokens: the completion.
        mask: the tokens that the policy sampled.
        query: the tokens of each rollout's prompt.
    """
    positive = torch.where(mask, scores.clamp(min=0), torch.zeros_like(scores))
    copied = torch.zeros_like(mask)
    for row, known in enumerate(query):
        copied[row] = torch.isin(tokens[row], torch.tensor(sorted(set(known)), dtype=torch.int64))
    total = positive.sum(1)
    return torch.where(total > 0, (positive * copied).sum(1) / total.clamp(min=1e-30), torch.zeros_like(total))


def standalone_prompt(
    policy: Any,
    *,
    context: StandaloneContext | Sequence[int] = "empty_chat",
    empty_query: str = "",
    system: str | None = None,
    chat: Literal["auto", "always", "never"] = "auto",
) -> list[int]:
    """Return the tokens after which a completion counts as standing alone.

    Args:
        policy: a `scorecraft.lm.Policy`.
        context: "empty_chat" is the ordinary prompt, with template and system turn, of a user who says nothing;
            "bos" is the beginning-of-sequence token (the end-of-sequence token where there is none); or the tokens.
        empty_query: what the user of "empty_chat" says, for tasks whose prompt has a fixed form.
        system: the instruction before it, as in the prompts.
        chat: as in the prompts.

    Raises `ScorecraftError` for a context that is unknown or empty.

    The choice moves values, so it belongs in what is reported.
    """
    if isinstance(context, str) and context not in ("empty_chat", "bos"):
        raise ScorecraftError(f"unknown stand-alone context '{context}'; expected 'empty_chat', 'bos' or token ids")
    beginning = policy.tokenizer.bos_token_id
    if beginning is None:
        beginning = policy.tokenizer.eos_token_id
    if context == "empty_chat":
        found = policy.encode_prompt(empty_query, system=system, chat=chat)
    else:
        found = ([] if beginning is None else [beginning]) if context == "bos" else list(context)
    if not found and context == "empty_chat" and beginning is not None:
        return [int(beginning)]  # a tokenizer that opens no text: there must be something to predict from
    if not found:
        raise ScorecraftError(f"policy '{policy.name}': the stand-alone context '{context}' has no tokens; give some")
    return [int(token) for token in found]


def standalone_logprobs(
    policy: Any,
    completions: Sequence[Sequence[int]],
    *,
    prompt: Sequence[int],
    temperature: float = 1.0,
) -> Float32[Tensor, "rollout token"]:
    """Return ``log P(a_j | a_<j)`` of every completion token after the stand-alone prompt, without gradient.

    The completions are given as tokens, never as text that might be tokenised otherwise than it was sampled.

    Args:
        policy: a `scorecraft.lm.Policy`, as it is before the update.
        completions: tokens without padding.
        prompt: of `standalone_prompt`.
        temperature: the one the completions were sampled at.
    """
    return policy.score_tokens([list(prompt)] * len(completions), completions, temperature=temperature)


def linear_factor(first: float, last: float, step: int, steps: int) -> float:
    """Return the factor of step ``step`` (from 0) of ``steps``, on the line from ``first`` to ``last``."""
    return first + (last - first) * (step / (steps - 1) if steps > 1 else 0.0)


def _counted(logp_cond: Tensor, logp_uncond: Tensor, mask: Tensor) -> Tensor:
    """Return the tokens that count; raise for what no log-probability can be."""
    if logp_cond.shape != mask.shape or logp_uncond.shape != mask.shape:
        raise ScorecraftError(
            f"self-aligned reward: expected two tables of log-probabilities of the mask's shape {tuple(mask.shape)}, "
            f"got {tuple(logp_cond.shape)} and {tuple(logp_uncond.shape)}"
        )
    for name, table in (("after the prompt", logp_cond), ("of the stand-alone completion", logp_uncond)):
        bad = mask & (table.isnan() | (table > POSITIVE))
        if bool(bad.any()):
            row, token = bad.nonzero()[0].tolist()
            raise ScorecraftError(
                f"self-aligned reward: the log-probability {name} at token {token} of rollout {row} is "
                f"{float(table[row, token]):g}; expected a number of at most 0"
            )
    return mask & ~((logp_cond == -math.inf) & (logp_uncond == -math.inf))


def _surprises(
    logp_cond: Tensor, logp_uncond: Tensor, mask: Tensor, *, drop: bool = True
) -> tuple[Float64[Tensor, " rollout"], Float64[Tensor, " rollout"]]:
    """Return the mean of -log P after the prompt and of the stand-alone completion, 0 where nothing counts."""
    possible = _counted(logp_cond, logp_uncond, mask)
    kept = possible if drop else mask
    dropped, silent = int((mask & ~kept).sum()), int((~kept.any(1)).sum())
    if dropped:
        _warn(f"{dropped} tokens are impossible both with and without the query; they are left out")
    if silent:
        _warn(f"{silent} completions have no token that counts; they get 0")
    given, alone = (table.double().masked_fill(~kept, 0.0).sum(1) for table in (logp_cond, logp_uncond))
    count = kept.sum(1).clamp(min=1)
    return -given / count, -alone / count


def _term(surprise: Tensor, use_log: bool, most: float | None) -> Tensor:
    """Return a perplexity or its logarithm, cut at ``most``."""
    term = surprise if use_log else surprise.exp()
    return term if most is None else term.clamp(max=most)


def _bounded(values: Tensor, clip: Clip) -> Tensor:
    return (values if clip is None else values.clamp(*clip)).float()


def _warn(text: str) -> None:
    warnings.warn(f"self-aligned reward: {text}", ScorecraftWarning, stacklevel=4)
