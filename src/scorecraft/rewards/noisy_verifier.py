"""Correcting the 0/1 verdicts of a verifier whose error rates are known.

The verifier is a channel: with true correctness R and observed verdict r, ``rho0 = P(r = 1 | R = 0)`` and
``rho1 = P(r = 0 | R = 1)``, so that ``E[r | R] = rho0 + J R`` with ``J = 1 - rho0 - rho1``. Two things decide whether a
correction does anything:

- Both corrections are affine in r. Where the rates are the same for all rollouts of a prompt, taking off the group's
  mean cancels the forward one exactly, and dividing by the group's standard deviation cancels the backward one too.
- Where the rates are the same for all prompts, the raw verdict's expected gradient is J times the true one already,
  under any baseline. A correction turns the gradient only where rates differ between prompts, verifiers or times.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.planted.noisy_verifier import noisy_verdicts
from scorecraft.stats.intervals import Interval, wilson_interval

MIN_DENOMINATOR = 0.05
Verdicts = Float[Tensor, "*shape"] | Bool[Tensor, "*shape"]
Rate = float | Float[Tensor, "..."]


@implements("noisy-verifier")
def youden_index(rho0: float, rho1: float) -> float:
    """Return ``J = 1 - rho0 - rho1``: 1 for a faultless verifier, 0 for one that says nothing of the truth.

    Args:
        rho0: rate of false positives, in [0, 1].
        rho1: rate of false negatives, in [0, 1].

    Raises `ScorecraftError` for a rate outside [0, 1].

    Source: Youden, 1950, Index for Rating Diagnostic Tests.
    """
    for name, rate in (("rho0", rho0), ("rho1", rho1)):
        if not 0 <= rate <= 1:
            raise ScorecraftError(f"youden_index: {name} is {rate:g}; expected a rate in [0, 1]")
    return 1 - rho0 - rho1


@implements("noisy-verifier")
def backward_correct(
    r: Verdicts,
    rho0: Rate,
    rho1: Rate,
    *,
    min_denominator: float = MIN_DENOMINATOR,
    threshold: float | None = None,
) -> Float[Tensor, "*shape"]:
    """Return ``(r - rho0) / (1 - rho0 - rho1)``, whose expectation given the truth is the true reward.

    The values are ``-rho0 / J`` and ``(1 - rho0) / J``; the variance grows as ``1 / J^2``. Unbiased for the policy that
    sampled: from the second update on the same rollouts on, clipping acts. Under division by the group's standard
    deviation nothing is left of it; `scorecraft.objectives.channel_advantage` has baselines and scales that keep it.

    Args:
        r: observed verdicts, 0 or 1.
        rho0: rate of false positives in [0, 1), one for all or broadcastable to ``r``.
        rho1: rate of false negatives, likewise.
        min_denominator: the smallest J that is accepted, above 0.
        threshold: count values of at least this as 1 and others as 0; None takes 0 and 1 only.

    Raises `ScorecraftError` for a verdict other than 0 and 1 or NaN, a rate outside [0, 1) or of a shape that does not
    broadcast to ``r``, or J below ``min_denominator``.

    Source: Reinforcement Learning with Verifiable yet Noisy Rewards under Imperfect Verifiers, 2025, arXiv 2510.00915.
    """
    values = binary_verdicts(r, threshold)
    false_positive, false_negative = _rate("rho0", rho0, values), _rate("rho1", rho1, values)
    denominator = 1 - false_positive - false_negative
    _check_informative(denominator, min_denominator)
    return (values - false_positive) / denominator


@implements("noisy-verifier")
def forward_weights(r: Verdicts, rho1: Rate, *, threshold: float | None = None) -> Float[Tensor, "*shape"]:
    """Return ``w = r + rho1 - 1``: the factors of ``grad log p`` whose expected update is J times the true one.

    ``E[w | R = 1] = 0`` and ``E[w | R = 0] = -J``; the weights are bounded by 1 and need no rate of false positives.
    They are the raw verdicts with a baseline of ``1 - rho1`` for each prompt: the expected update is that of the raw
    verdicts, whatever the rates, with another variance. Under a baseline from the group's own rewards nothing is left.

    Args:
        r: observed verdicts, 0 or 1.
        rho1: rate of false negatives in [0, 1), one for all or broadcastable to ``r``.
        threshold: count values of at least this as 1 and others as 0; None takes 0 and 1 only.

    Raises `ScorecraftError` for a verdict other than 0 and 1 or NaN, or a rate as in `backward_correct`.

    Source: Reinforcement Learning with Verifiable yet Noisy Rewards under Imperfect Verifiers, 2025, arXiv 2510.00915.
    """
    values = binary_verdicts(r, threshold)
    return values + _rate("rho1", rho1, values) - 1


class EstimatedRates(NamedTuple):
    """Both error rates of a verifier, each with its confidence interval."""

    rho0: Interval
    rho1: Interval


@implements("noisy-verifier")
def estimate_rates_from_labels(
    r_noisy: Bool[Tensor, " answer"] | Float[Tensor, " answer"],
    r_true: Bool[Tensor, " answer"] | Float[Tensor, " answer"],
    *,
    confidence: float = 0.95,
) -> EstimatedRates:
    """Return a verifier's error rates on answers whose truth is known, with Wilson intervals.

    Args:
        r_noisy: the verifier's verdicts, 0 or 1.
        r_true: the truth, 0 or 1.
        confidence: coverage of the intervals.

    Raises `ScorecraftError` for values other than 0 and 1, unequal lengths, or labels without a right or without a
    wrong answer, which leave one of the rates unknown.

    Source: Wilson, 1927, Probable Inference, the Law of Succession, and Statistical Inference.
    """
    if len(r_noisy) != len(r_true):
        raise ScorecraftError(f"estimate_rates_from_labels: {len(r_noisy)} verdicts, but {len(r_true)} labels")
    accepted, right = binary_verdicts(r_noisy) == 1, binary_verdicts(r_true) == 1
    wrong_count, right_count = int((~right).sum()), int(right.sum())
    if not wrong_count or not right_count:
        missing = "wrong" if not wrong_count else "right"
        raise ScorecraftError(f"estimate_rates_from_labels: no {missing} answer among the labels; label some")
    return EstimatedRates(
        wilson_interval(int((accepted & ~right).sum()), wrong_count, confidence),
        wilson_interval(int((~accepted & right).sum()), right_count, confidence),
    )


@implements("noisy-verifier")
def simulate_channel(
    r_true: Bool[Tensor, "*shape"], rho0: Rate, rho1: Rate, generator: torch.Generator
) -> Float[Tensor, "*shape"]:
    """Return verdicts that err at the given rates, independently for each answer.

    Args:
        r_true: which answers are right.
        rho0: rate of false positives in [0, 1), one for all or broadcastable to ``r_true``.
        rho1: rate of false negatives, likewise.
        generator: gives one number for each answer.

    Raises `ScorecraftError` for rates as in `backward_correct`; an anti-informative verifier may be simulated.
    """
    uniform = torch.rand(r_true.shape, dtype=torch.float64, generator=generator)
    rates = torch.stack([_rate(n, rate, uniform).expand_as(uniform) for n, rate in (("rho0", rho0), ("rho1", rho1))])
    pairs, which = torch.unique(rates.flatten(1), dim=1, return_inverse=True)
    flat, drawn = r_true.flatten(), uniform.flatten()
    verdicts = torch.zeros(flat.shape, dtype=torch.float32)
    for place, (false_positive, false_negative) in enumerate(pairs.T.tolist()):
        rows = which == place
        verdicts[rows] = noisy_verdicts(flat[rows], drawn[rows], false_positive, false_negative)
    return verdicts.view(r_true.shape)


def binary_verdicts(r: Verdicts, threshold: float | None = None) -> Float[Tensor, "*shape"]:
    """Return verdicts as numbers 0 and 1.

    Args:
        r: verdicts.
        threshold: count values of at least this as 1 and others as 0; None takes 0 and 1 only.

    Raises `ScorecraftError` for NaN, and without a threshold for any value other than 0 and 1.
    """
    values = r.float() if r.dtype == torch.bool else r
    bad = values.isnan() if threshold is not None else (values != 0) & (values != 1)
    if bool(bad.any()):
        place = int(bad.flatten().nonzero()[0, 0])
        found = float(values.flatten()[place])
        mend = (
            "leave out what has no verdict" if math.isnan(found) else "give a threshold from which a value counts as 1"
        )
        raise ScorecraftError(f"noisy verifier: verdict {place} is {found:g}; expected 0 or 1; {mend}")
    return values if threshold is None else (values >= threshold).to(values.dtype)


def _rate(name: str, rate: Rate, values: Tensor) -> Tensor:
    given = torch.as_tensor(rate, dtype=values.dtype, device=values.device)
    if not bool(((given >= 0) & (given < 1)).all()):
        bad = given[~((given >= 0) & (given < 1))].flatten()[0]
        raise ScorecraftError(f"noisy verifier: {name} is {float(bad):g}; expected a rate in [0, 1)")
    own, wanted = tuple(given.shape), tuple(values.shape)
    fits = len(own) <= len(wanted) and all(a in (1, b) for a, b in zip(reversed(own), reversed(wanted), strict=False))
    if not fits:
        raise ScorecraftError(
            f"noisy verifier: {name} has shape {own}, which does not broadcast to the verdicts' {wanted}; give one "
            "rate, or one for each verdict"
        )
    return given


def _check_informative(denominator: Tensor, least: float) -> None:
    if not least > 0:
        raise ScorecraftError(f"backward_correct: min_denominator is {least:g}; expected a number above 0")
    # Rates are single-precision numbers: a J of just the least must pass.
    if not denominator.numel() or bool((denominator >= least - 1e-6).all()):
        return
    smallest = float(denominator.min())
    said = f"backward_correct: J = 1 - rho0 - rho1 is {smallest:.4g}"
    if smallest < -1e-6:
        raise ScorecraftError(f"{said}: the verifier is anti-informative, wrong more often than not; turn it round")
    if smallest < 1e-6:
        raise ScorecraftError(f"{said}: such verdicts hold no information about the truth")
    raise ScorecraftError(
        f"{said}, below min_denominator {least:g}: rewards would be multiplied by {1 / smallest:.3g}; use a better "
        "verifier, forward weights, or a smaller min_denominator"
    )
