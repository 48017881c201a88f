"""Reasoning Scores: how far late layers move the next-token distribution, averaged over the tokens of each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.credit.reasoning_depth.divergence import js_divergence
from scorecraft.credit.reasoning_depth.logit_lens import Map, logit_lens
from scorecraft.errors import ScorecraftError, nearest

DepthUnit = Literal["nats", "paper"]
"""Nats, or what the paper's figures look like: the mean over the vocabulary instead of the sum, times 1e6."""

UNITS = ("nats", "paper")
LARGEST = math.log(2)  # of a Jensen-Shannon divergence, in nats


@dataclass(frozen=True, eq=False)
class DepthScores:
    """Reasoning Scores of a batch, with what they can be compared by.

    values: one for each step, 0 where ``step_mask`` is False.
    step_mask: which steps exist.
    vocabulary: number of tokens that the distributions are over.
    layers: which layers they come from, counted from 1.
    unit: of the values.
    """

    values: Float32[Tensor, "rollout step"]
    step_mask: Bool[Tensor, "rollout step"]
    vocabulary: int
    layers: tuple[int, ...]
    unit: DepthUnit = "nats"

    def in_unit(self, unit: DepthUnit) -> DepthScores:
        """Return the same scores in another unit."""
        factor = nats_to(unit, self.vocabulary) / nats_to(self.unit, self.vocabulary)
        return replace(self, values=self.values * factor, unit=unit)


@dataclass(frozen=True)
class DepthThreshold:
    """A depth to compare others with, from a calibration set; it holds for its unit, vocabulary and layers."""

    value: float
    vocabulary: int
    layers: tuple[int, ...]
    unit: DepthUnit

    def of(self, scores: DepthScores) -> float:
        """Return the value; raises `ScorecraftError` for scores of another unit, vocabulary or other layers."""
        check_comparable("the threshold", self, "the scores", scores)
        return self.value


class TokenMeasurements(NamedTuple):
    """What one pass over a row of tokens says of each position."""

    depth: Float32[Tensor, " token"]
    logprob: Float32[Tensor, " token"]
    entropy: Float32[Tensor, " token"]


def nats_to(unit: DepthUnit, vocabulary: int) -> float:
    """Return how many of ``unit`` are one nat: 1, or ``1e6 / vocabulary``; raises for an unknown unit."""
    if unit not in UNITS:
        raise ScorecraftError(f"reasoning depth: unknown unit '{unit}'; {nearest(unit, UNITS)}")
    return 1.0 if unit == "nats" else 1e6 / vocabulary


def check_comparable(what: str, first: object, other: str, second: object) -> None:
    """Raise `ScorecraftError` where two depths differ in unit, vocabulary or layers.

    Args:
        what: the first thing's name, for the message.
        first: has ``unit``, ``vocabulary`` and ``layers``.
        other: the second thing's name.
        second: has them too.
    """
    for name in ("unit", "vocabulary", "layers"):
        left, right = getattr(first, name), getattr(second, name)
        if left != right:
            raise ScorecraftError(
                f"reasoning depth: {what} has {name} {left}, but {other} {name} {right}; "
                "calibrate and score with one model, the same layers and one unit"
            )


@torch.no_grad()
@implements("reasoning-depth")
def token_measurements(
    late: Float[Tensor, "layer token width"],
    final: Float[Tensor, "token width"],
    next_tokens: Int64[Tensor, " token"],
    norm: Map,
    unembed: Map,
    chunk: int = 64,
) -> TokenMeasurements:
    """Return each position's depth ``mean_j JSD(q_N(t), q_j(t))`` in nats, and what the model says of the next token.

    ``q_j = softmax(unembed(norm(h_j)))`` and ``q_N = softmax(unembed(h_final))``; no gradient. Takes hidden states in
    place of final logits, since the logits of a batch would not fit into memory.

    Args:
        late: states after the chosen layers, before the final norm.
        final: states after the final norm, which is not applied again.
        next_tokens: the token after each position, whose log-probability is wanted.
        norm: the model's final norm.
        unembed: hidden states to logits.
        chunk: how many positions' distributions are held at a time.

    Raises `ScorecraftError` for no layer, or logits that are not numbers, naming the position.

    Source: Detection and Mitigation of Hallucination in Large Reasoning Models, 2025, arXiv 2505.12886.
    """
    if not len(late):
        raise ScorecraftError("reasoning depth: no late layers are given; expected at least one")
    depths, logprobs, entropies = [], [], []
    for place, lens in enumerate(logit_lens(late, norm, unembed, chunk)):
        positions = slice(place * chunk, (place + 1) * chunk)
        own = unembed(final[positions]).float().log_softmax(-1)
        depths.append(torch.stack([js_divergence(own, layer) for layer in lens]).mean(0))
        logprobs.append(own.gather(1, next_tokens[positions, None])[:, 0])
        entropies.append(torch.special.entr(own.exp()).sum(1))
    if not depths:
        nothing = torch.zeros(0, dtype=torch.float32, device=late.device)
        return TokenMeasurements(nothing, nothing, nothing)
    depth = torch.cat(depths)
    if bool(depth.isnan().any()):
        position = int(depth.isnan().nonzero()[0])
        raise ScorecraftError(f"reasoning depth: the logits at position {position} are not numbers")
    return TokenMeasurements(depth, torch.cat(logprobs), torch.cat(entropies))


def step_means(
    values: Float32[Tensor, "rollout token"], steps: Int64[Tensor, "rollout token"]
) -> tuple[Float32[Tensor, "rollout step"], Bool[Tensor, "rollout step"]]:
    """Return the mean of each step's tokens, 0 where there is no step, and which steps exist.

    Args:
        values: one for each token; not read outside steps.
        steps: index of the step that a token is in, -1 outside any.
    """
    width = int(steps.max()) + 1 if steps.numel() else 0
    inside = steps >= 0
    # Column 0 takes what is outside and is cut off.
    index = torch.where(inside, steps + 1, torch.zeros_like(steps))
    sums = values.new_zeros(len(values), width + 1).scatter_add_(1, index, values.masked_fill(~inside, 0.0))
    counts = values.new_zeros(len(values), width + 1).scatter_add_(1, index, inside.to(values.dtype))
    return sums[:, 1:] / counts[:, 1:].clamp(min=1), counts[:, 1:] > 0


@implements("reasoning-depth")
def reasoning_scores(
    depth: Float32[Tensor, "rollout token"],
    steps: Int64[Tensor, "rollout token"],
    *,
    vocabulary: int,
    layers: Sequence[int],
    unit: DepthUnit = "nats",
) -> DepthScores:
    """Return ``R_k``, the mean depth of the tokens of step k.

    Args:
        depth: of each token, in nats.
        steps: index of the step that a token is in, -1 outside any (spans become this by `steps_of_spans`).
        vocabulary: number of tokens that the distributions are over.
        layers: which layers the depth comes from.
        unit: of the scores; "paper" is ``1e6 / vocabulary`` for each nat, which would explain figures above ln 2.

    Raises `ScorecraftError`, naming the rollout and the step, for depths outside [0, ln 2].

    Source: Detection and Mitigation of Hallucination in Large Reasoning Models, 2025, arXiv 2505.12886.
    """
    means, there = step_means(depth.detach(), steps)
    wrong = there & ~((means >= 0) & (means <= LARGEST + 1e-5))
    if bool(wrong.any()):
        row, step = wrong.nonzero()[0].tolist()
        raise ScorecraftError(
            f"reasoning depth: step {step} of rollout {row} has {float(means[row, step]):g}; expected nats between 0 "
            f"and ln 2 = {LARGEST:.4f}"
        )
    return DepthScores(means * nats_to(unit, vocabulary), there, vocabulary, tuple(layers), unit)


@implements("reasoning-depth")
def step_perplexity(
    logprobs: Float32[Tensor, "rollout token"], steps: Int64[Tensor, "rollout token"]
) -> Float32[Tensor, "rollout step"]:
    """Return ``exp(-mean log p)`` over the tokens of each step, 0 where there is no step.

    Args:
        logprobs: log-probability of each token.
        steps: index of the step that a token is in, -1 outside any.
    """
    means, there = step_means(logprobs, steps)
    return torch.where(there, (-means).exp(), torch.zeros_like(means))


def steps_of_spans(spans: Sequence[tuple[int, int]], tokens: int) -> Int64[Tensor, " token"]:
    """Return the step of each token, -1 outside any.

    Args:
        spans: first token and the one after the last of each step.
        tokens: how many there are.

    Raises `ScorecraftError`, naming the step, for no steps, an empty one, or one that is out of range or overlaps.
    """
    if not spans:
        raise ScorecraftError("reasoning depth: a chain without a step has no score; leave it out")
    steps = torch.full((tokens,), -1, dtype=torch.int64)
    for step, (start, end) in enumerate(spans):
        if start >= end:
            raise ScorecraftError(f"reasoning depth: step {step} is empty: tokens {start} to {end}")
        if start < 0 or end > tokens:
            raise ScorecraftError(f"reasoning depth: step {step} has tokens {start} to {end}, but there are {tokens}")
        if bool((steps[start:end] >= 0).any()):
            raise ScorecraftError(f"reasoning depth: step {step} (tokens {start} to {end}) overlaps an earlier one")
        steps[start:end] = step
    return steps


def calibrate_threshold(scores: DepthScores, quantile: float = 0.9) -> DepthThreshold:
    """Return a quantile of all steps' scores, by default the 90th percentile.

    Args:
        scores: of a calibration set.
        quantile: in [0, 1].

    Raises `ScorecraftError` for a quantile outside [0, 1] or scores without a step.
    """
    value = step_quantile(scores.values, scores.step_mask, quantile)
    return DepthThreshold(value, scores.vocabulary, scores.layers, scores.unit)


def step_quantile(
    values: Float32[Tensor, "rollout step"], step_mask: Bool[Tensor, "rollout step"], quantile: float
) -> float:
    """Return a quantile of the steps' values, interpolated linearly; raises as `calibrate_threshold`.

    Args:
        values: one for each step.
        step_mask: which steps exist.
        quantile: in [0, 1].
    """
    if not 0 <= quantile <= 1:
        raise ScorecraftError(f"reasoning depth: expected a quantile between 0 and 1, got {quantile}")
    if not bool(step_mask.any()):
        raise ScorecraftError("reasoning depth: a quantile of no steps; give some that have a score")
    return float(np.quantile(values[step_mask].double().cpu().numpy(), quantile))
