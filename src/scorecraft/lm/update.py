"""The update of the policy: micro-batches that add up exactly to the whole batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.errors import TrainingStopped
from scorecraft.lm import distributed
from scorecraft.lm.logprobs import token_logprobs
from scorecraft.objectives.interfaces import Advantages, LossInputs, Objective
from scorecraft.objectives.kl import KLEstimator, kl_penalty
from scorecraft.rollouts import Rollouts
from scorecraft.sampled import next_sampled_values

if TYPE_CHECKING:
    from scorecraft.context import Context
    from scorecraft.lm.optimizer import Optimizer
    from scorecraft.lm.policy import Policy

# Logits of one micro-batch stay below this many numbers (256 MiB in float32).
LOGITS_PER_MICROBATCH = 64 * 2**20


@dataclass(frozen=True)
class UpdateSettings:
    """How often a batch is used, in how many optimizer steps, and how much of it is in memory at a time."""

    epochs: int = 1
    minibatches: int = 1
    tokens_per_microbatch: int = 16384
    kl_coefficient: float = 0.0
    kl_estimator: KLEstimator = "k3"


def microbatches(
    rollouts: Rollouts, rows: Int64[Tensor, " row"], tokens: int, vocabulary: int
) -> list[Int64[Tensor, " row"]]:
    """Split rows into micro-batches of at most ``tokens`` tokens, the prompts of a group counted once.

    Groups stay together and similar lengths stand side by side. A single longer rollout is a micro-batch alone.
    """
    budget = max(1, min(tokens, LOGITS_PER_MICROBATCH // vocabulary))
    lengths, group = rollouts.lengths.tolist(), rollouts.group.tolist()
    prompt_lengths = rollouts.prompt_lengths.tolist()
    longest: dict[int, int] = {}
    for row in rows.tolist():
        longest[group[row]] = max(longest.get(group[row], 0), lengths[row])
    order = sorted(rows.tolist(), key=lambda row: (longest[group[row]], group[row], lengths[row], row))
    batches: list[list[int]] = []
    used, seen = budget + 1, set()
    for row in order:
        cost = lengths[row] + (0 if group[row] in seen else prompt_lengths[group[row]])
        if used + cost > budget:
            batches.append([])
            used, seen = 0, set()
            cost = lengths[row] + prompt_lengths[group[row]]
        batches[-1].append(row)
        used += cost
        seen.add(group[row])
    return [torch.tensor(batch, dtype=torch.int64) for batch in batches]


def reference_logprobs(reference: Policy, rollouts: Rollouts, tokens: int) -> Float32[Tensor, "rollout token"]:
    """Return the log-probabilities of the sampled tokens under a frozen policy."""
    out = torch.zeros_like(rollouts.logprobs)
    with torch.no_grad():
        rows = torch.arange(len(rollouts))
        for batch in microbatches(rollouts, rows, tokens, reference.model.config.vocab_size):
            out[batch] = token_logprobs(reference, rollouts.select(batch))[0]
    return out


def update(
    policy: Policy,
    optimizer: Optimizer,
    rollouts: Rollouts,
    advantages: Advantages,
    objective: Objective,
    settings: UpdateSettings,
    context: Context,
    reference: Float32[Tensor, "rollout token"] | None = None,
) -> dict[str, float]:
    """Move the policy: ``epochs`` times over the batch, ``minibatches`` optimizer steps each.

    Returns the metrics of the log: loss, gradient norm, learning rate, and the objective's own measurements as
    means over the tokens that counted. Raises `TrainingStopped`, with the weights as they were before the
    optimizer step, if the loss or the gradient is not finite.
    """
    sums: dict[str, float] = {}
    steps = 0
    for _ in range(settings.epochs):
        for rows in _minibatches(rollouts, settings.minibatches, context):
            for name, value in _accumulate(policy, rollouts, advantages, objective, settings, rows, reference).items():
                sums[name] = sums.get(name, 0.0) + value
            for name, value in optimizer.step(context.step).items():
                sums[name] = sums.get(name, 0.0) + value
            steps += 1
    return {name: value / steps for name, value in sums.items()}


def _minibatches(rollouts: Rollouts, count: int, context: Context) -> list[Tensor]:
    """Split the rollouts by whole groups, in a new random order each time if there is more than one part."""
    if count == 1:
        return [torch.arange(len(rollouts))]
    groups = torch.unique(rollouts.group)
    order = groups[torch.randperm(len(groups), generator=context.generator)]
    return [torch.isin(rollouts.group, part).nonzero()[:, 0] for part in order.tensor_split(count) if len(part)]


def _accumulate(
    policy: Policy,
    rollouts: Rollouts,
    advantages: Advantages,
    objective: Objective,
    settings: UpdateSettings,
    rows: Tensor,
    reference: Tensor | None,
) -> dict[str, float]:
    """Add up the gradient of one optimizer step; return loss and measurements of all workers."""
    weights = torch.zeros(rollouts.mask.shape)
    weights[rows] = _global_weights(objective, rollouts.mask[rows], advantages.keep[rows])
    rollouts, values_of, weights = with_foreign(rollouts, advantages.values, weights)
    needed = weights.any(1)
    if objective.idle_without_advantage and reference is None:
        needed &= (values_of != 0).any(1)
    rows = rows[needed[rows]]
    sums: dict[str, float] = {"loss": 0.0, "tokens": 0.0}
    for batch in microbatches(rollouts, rows, settings.tokens_per_microbatch, policy.model.config.vocab_size):
        picked = rollouts.select(batch)
        logprobs, entropies = token_logprobs(policy, picked)
        old = picked.logprobs
        if picked.foreign is not None:
            # Nobody sampled these, so there is no earlier policy to compare with.
            old = torch.where(picked.foreign != 0, logprobs.detach(), old)
        inputs = LossInputs(
            logprobs,
            old,
            values_of[batch],
            picked.mask,
            None if reference is None else reference[batch],
            entropies if objective.needs_entropy else None,
        )
        token_loss = objective(inputs)
        values = token_loss.values
        if inputs.reference_logprobs is not None:
            kl = kl_penalty(logprobs, inputs.reference_logprobs, settings.kl_estimator)
            values = values + settings.kl_coefficient * kl
            _add(sums, "kl", kl, picked.mask)
        loss = (values * weights[batch]).sum()
        _check(values.detach() * weights[batch], batch, picked)
        loss.backward()
        sums["loss"] += float(loss.detach())
        sums["tokens"] += float(picked.mask.sum())
        for name, metric in token_loss.metrics.items():
            _add(sums, name, metric, picked.mask)
    sums = distributed.total(sums)
    tokens = max(1.0, sums.pop("tokens"))
    return {name: value if name == "loss" else value / tokens for name, value in sums.items()}


def with_foreign(
    rollouts: Rollouts, advantages: Float32[Tensor, "rollout token"], weights: Float32[Tensor, "rollout token"]
) -> tuple[Rollouts, Float32[Tensor, "rollout token"], Float32[Tensor, "rollout token"]]:
    """Return rollouts whose mask holds the foreign tokens that carry a gradient, with their advantages and weights.

    Such a token has the advantage of the next one that the policy sampled, times its own factor, and the weight that
    the tokens of its rollout have; it does not count in the loss's divisor.

    Args:
        rollouts: of an optimizer step.
        advantages: of the sampled tokens.
        weights: of their losses in the total.
    """
    foreign = rollouts.foreign
    if foreign is None or not bool(foreign.any()):
        return replace(rollouts, foreign=None), advantages, weights
    counted = (foreign != 0) & ~rollouts.mask
    following = next_sampled_values(advantages, rollouts.mask)
    values = torch.where(counted, foreign * following, advantages)
    weights = torch.where(counted, weights.amax(1, keepdim=True), weights)
    return replace(rollouts, mask=rollouts.mask | counted, foreign=foreign * counted), values, weights


def _add(sums: dict[str, float], name: str, values: Tensor, mask: Tensor) -> None:
    sums[name] = sums.get(name, 0.0) + float((values.detach() * mask).sum())


def _global_weights(
    objective: Objective, mask: Bool[Tensor, "rollout token"], keep: Bool[Tensor, " rollout"]
) -> Float32[Tensor, "rollout token"]:
    """Return the loss weights of this worker's rows, their divisor counted over all workers."""
    everything, own = distributed.gather_rows(mask)
    kept = distributed.gather_rows(keep[:, None])[0][:, 0]
    return objective.weights(everything, kept)[own, : mask.shape[1]]


def _check(losses: Tensor, batch: Tensor, rollouts: Rollouts) -> None:
    bad = ~torch.isfinite(losses).all(1)
    if bool(bad.any()):
        place = int(bad.nonzero()[0])
        text = rollouts.texts[place][:80]
        raise TrainingStopped(
            f"the loss of rollout {int(batch[place])} is not finite (completion {text!r}); "
            "the weights are those before this step"
        )
