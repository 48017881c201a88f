"""Calibration rewards: correctness plus a proper score of the confidence that was stated with the answer."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError

Rule = Literal["brier", "spherical", "log", "log_clipped", "crps", "quadratic"]
RULES: tuple[Rule, ...] = ("brier", "spherical", "log", "log_clipped", "crps", "quadratic")
CLIP = 1e-2  # what "log_clipped" keeps away from 0 and 1 unless told


@implements("rlcr")
def proper_score(
    correct: Float32[Tensor, " answer"],
    confidence: Float32[Tensor, " answer"],
    rule: Rule = "brier",
    eps: float | None = None,
) -> Float32[Tensor, " answer"]:
    """Return the score S(q, c) of a confidence, higher for better, highest on average at the true probability.

    With q the confidence and c the correctness: "brier" and "crps" (the same for a yes or no) ``-(q - c)^2``;
    "quadratic" ``1 - q^2 - (1-q)^2 + 2 q_c - 1``, twice Brier's, as for k classes with k = 2; "spherical"
    ``q_c / sqrt(q^2 + (1-q)^2)``; "log" ``log q_c``; "log_clipped" the same with q kept in [eps, 1 - eps]; where
    q_c is q if c = 1 and 1 - q if c = 0.

    Args:
        correct: 0 or 1.
        confidence: stated probability of being right, in [0, 1].
        rule: the scoring rule.
        eps: how far q is kept from 0 and 1; "log" without it is minus infinity at a wrong certainty.

    Raises `ScorecraftError` for a confidence outside [0, 1], a correctness other than 0 and 1, or an unknown rule.

    Source: Gneiting and Raftery, 2007, Strictly Proper Scoring Rules; Beyond Binary Rewards, 2025, arXiv 2507.16806.
    """
    if rule not in RULES:
        raise ScorecraftError(f"unknown scoring rule '{rule}'; expected one of {', '.join(RULES)}")
    _check_unit("confidence", confidence)
    if bool(((correct != 0) & (correct != 1)).any()):
        raise ScorecraftError("proper_score: expected a correctness of 0 or 1 for every answer")
    q = confidence.float()
    if eps is None and rule == "log_clipped":
        eps = CLIP
    if eps is not None:
        q = q.clamp(eps, 1 - eps)
    own = torch.where(correct == 1, q, 1 - q)
    if rule in ("brier", "crps"):
        return -((1 - own) ** 2)
    if rule == "quadratic":
        return -2 * (1 - own) ** 2
    if rule == "spherical":
        return own / (q**2 + (1 - q) ** 2).sqrt()
    return own.log()


@implements("rlcr")
def rlcr_reward(
    correct: Float32[Tensor, " answer"],
    confidence: Float32[Tensor, " answer"],
    *,
    rule: Rule = "brier",
    weight: float = 1.0,
    valid: Bool[Tensor, " answer"] | None = None,
    invalid_reward: float = 0.0,
    eps: float | None = None,
) -> Float32[Tensor, " answer"]:
    """Return ``R = c + weight S(q, c)``, which for Brier's rule is ``c - weight (q - c)^2``.

    Args:
        correct: 0 or 1.
        confidence: stated probability of being right; not read where ``valid`` is False.
        rule: the scoring rule S.
        weight: at least 0; see `incentive_check` for how large it may be.
        valid: False where no confidence could be read.
        invalid_reward: what such an answer earns.
        eps: see `proper_score`.

    Raises `ScorecraftError` for a negative weight, or a valid confidence outside [0, 1].

    Source: Beyond Binary Rewards, 2025, arXiv 2507.16806.
    """
    if not weight >= 0 or math.isinf(weight):
        raise ScorecraftError(f"rlcr_reward: expected a weight of at least 0, got {weight}")
    if valid is None:
        valid = torch.ones(len(correct), dtype=torch.bool)
    safe = torch.where(valid, confidence, torch.full_like(confidence, 0.5))
    reward = correct.float() + weight * proper_score(correct, safe, rule, eps)
    return torch.where(valid, reward, torch.full_like(reward, invalid_reward))


@dataclass(frozen=True, slots=True)
class IncentiveReport:
    """Whether a rule at a weight pays for honesty and for being right.

    proper: the true probability is the best confidence to state. bounded: no score is minus infinity.
    accuracy_safe: the likeliest answer is the best to give. margin: ``1 - weight sup_q [S(q,0) - S(q,1)]``, at
    least 0 where it is safe.
    """

    proper: bool
    bounded: bool
    accuracy_safe: bool
    margin: float


@implements("rlcr")
def incentive_check(rule: Rule, weight: float = 1.0, grid: int = 1001, eps: float | None = None) -> IncentiveReport:
    """Return whether ``c + weight S(q, c)`` makes it best to give the likeliest answer and to state its probability.

    The best expected reward at probability p is ``p + weight G(p)`` with ``G'(p) = S(p, 1) - S(p, 0)``. It grows with
    p, so that the likeliest answer is best, if and only if ``weight sup_q [S(q, 0) - S(q, 1)] <= 1``.

    Args:
        rule: the scoring rule.
        weight: of the score.
        grid: number of confidences and probabilities that are tried, 0 and 1 among them.
        eps: see `proper_score`.

    Source: Savage, 1971, Elicitation of Personal Probabilities and Expectations; Beyond Binary Rewards, 2025,
    arXiv 2507.16806.
    """
    if not weight >= 0:
        raise ScorecraftError(f"incentive_check: expected a weight of at least 0, got {weight}")
    q = torch.linspace(0, 1, grid)
    wrong = proper_score(torch.zeros(grid), q, rule, eps).double()
    right = proper_score(torch.ones(grid), q, rule, eps).double()
    bounded = bool(torch.isfinite(wrong).all() and torch.isfinite(right).all())
    largest = float((wrong - right).max())
    margin = 1.0 if weight == 0 else 1 - weight * largest
    return IncentiveReport(_proper(right, wrong), bounded, margin >= -1e-6, margin)


def _proper(right: Tensor, wrong: Tensor) -> bool:
    """Return whether no other confidence on the grid does better on average than the true probability."""
    p = torch.linspace(0, 1, len(right), dtype=torch.float64)[1:-1, None]
    expected = p * right[None, 1:-1] + (1 - p) * wrong[None, 1:-1]
    return bool((expected.max(1).values - expected.diagonal() < 1e-6).all())


@implements("rlcr")
def parse_confidence(
    text: str, *, tag: str = "confidence", percent: Literal["reject", "auto"] = "reject"
) -> tuple[bool, float]:
    """Return whether a text states a confidence in ``<tag>...</tag>``, and which; (False, 0.0) where it does not.

    The last tag counts. In training the whole content must be a number in [0, 1]; with ``percent`` "auto", as in
    evaluation, the first number counts and one above 1 and up to 100 is a percentage.

    Args:
        text: a completion.
        tag: name of the tag.
        percent: whether percentages are understood.
    """
    found = re.findall(rf"<{re.escape(tag)}>(.*?)</{re.escape(tag)}>", text, re.DOTALL)
    if not found:
        return False, 0.0
    number = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
    match = re.search(number, found[-1]) if percent == "auto" else re.fullmatch(number, found[-1].strip())
    if match is None:
        return False, 0.0
    value = float(match[0])
    if percent == "auto" and 1 < value <= 100:
        value /= 100
    return (True, value) if 0 <= value <= 1 else (False, 0.0)


def _check_unit(name: str, values: Tensor) -> None:
    bad = ~((values >= 0) & (values <= 1))
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0])
        raise ScorecraftError(f"{name} of answer {row} is {float(values[row]):g}; expected a number in [0, 1]")
