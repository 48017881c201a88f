"""What a step did, in numbers: the metrics of the log, and why an advantage is zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scorecraft.lm import distributed
from scorecraft.problem import Outcome, Verdict
from scorecraft.recipes.collect import Batch, uniform_groups
from scorecraft.rollouts import Rollouts

if TYPE_CHECKING:
    from scorecraft.context import Context
    from scorecraft.objectives.interfaces import Advantages


def zero_reasons(batch: Batch, advantages: Advantages) -> dict[str, float]:
    """Count the rollouts that teach nothing, by reason; the reasons add up to all that have no advantage.

    masked: no token was sampled by the policy. abstained: no valid reward. same-reward: all rewards of the group
    are equal. dropped: the advantage part leaves the row out of the loss. zero: none of these, yet zero.
    filtered: drawn, and left out by ``filter_groups`` (not among the rollouts of the batch).
    """
    rollouts, rewards = batch.rollouts, batch.rewards
    left = ~((advantages.values != 0).any(1) & advantages.keep)
    counts: dict[str, float] = {"filtered": float(batch.filtered)}
    for name, rows in (
        ("masked", ~rollouts.mask.any(1)),
        ("abstained", ~rewards.valid),
        ("same-reward", uniform_groups(rewards, rollouts)),
        ("dropped", ~advantages.keep),
        ("zero", torch.ones_like(left)),
    ):
        counts[name] = float((left & rows).sum())
        left = left & ~rows
    return counts


def step_metrics(batch: Batch, truth: list[Verdict], advantages: Advantages) -> dict[str, float]:
    """Return the metrics of one batch over all workers; rates are shares of the rollouts."""
    rollouts, rewards = batch.rollouts, batch.rewards
    tokens = rollouts.mask.sum()
    moving = (advantages.values != 0).any(1) & advantages.keep
    groups = torch.unique(rollouts.group)
    still = sum(not bool(moving[rollouts.group == g].any()) for g in groups.tolist())
    sums: dict[str, float] = {
        "rollouts": len(rollouts),
        "groups": len(groups),
        "valid": float(rewards.valid.sum()),
        "reward": float(rewards.total[rewards.valid].sum()),
        "accuracy": float(sum(verdict.correct for verdict in truth)),
        "length": float(rollouts.lengths.sum()),
        "truncated": float(rollouts.truncated.sum()),
        "tokens": float(tokens),
        "entropy": float(rollouts.entropies.sum()),
        "zero_advantage_groups": float(still),
    }
    for name, count in zero_reasons(batch, advantages).items():
        sums[f"zero/{name}"] = count
    for name, scores in rewards.parts.items():
        scored = ~torch.isnan(scores.values)
        sums[f"sum/{name}"], sums[f"count/{name}"] = float(scores.values[scored].sum()), float(scored.sum())
        for measurement, values in scores.metrics.items():
            known = ~torch.isnan(values)
            sums[f"sum/{name}/{measurement}"] = float(values[known].sum())
            sums[f"count/{name}/{measurement}"] = float(known.sum())
        for outcome in Outcome:
            if outcome is not Outcome.SCORED:
                sums[f"outcomes/{name}/{outcome}"] = float(sum(found is outcome for found in scores.outcomes))
    unparsed = sum(verdict.outcome is Outcome.UNPARSED for verdict in truth)
    sums["unparsed"] = float(unparsed)
    return _rates(distributed.total(sums), list(rewards.parts))


def _rates(sums: dict[str, float], names: list[str]) -> dict[str, float]:
    rollouts, tokens = max(1.0, sums["rollouts"]), max(1.0, sums["tokens"])
    rates = {name: sums[name] / rollouts for name in ("accuracy", "length", "truncated", "unparsed")}
    rates["reward"] = sums["reward"] / sums["valid"] if sums["valid"] else float("nan")
    rates["entropy"] = sums["entropy"] / tokens
    rates["zero_advantage_groups"] = sums["zero_advantage_groups"] / max(1.0, sums["groups"])
    rates["tokens"] = sums["tokens"]
    for key, count in sums.items():
        kind, _, name = key.partition("/")
        if kind == "count":
            place = "reward" if name in names else "measure"
            rates[f"{place}/{name}"] = sums[f"sum/{name}"] / count if count else float("nan")
    for name, value in sums.items():
        if name.startswith("zero/"):
            rates[name] = value / rollouts
        if name.startswith("outcomes/") and value:
            rates[name] = value / rollouts
    return rates


def rollout_columns(
    batch: Batch, truth: list[Verdict], returns: Tensor, advantages: Advantages, context: Context
) -> dict[str, list[Any]]:
    """Return what the report shows of every rollout beside its tokens: rewards, truth, and what the loss saw."""
    rollouts, rewards = batch.rollouts, batch.rewards
    kept = advantages.values * advantages.keep[:, None]
    columns: dict[str, list[Any]] = {
        "reward": _listed(torch.where(rewards.valid, rewards.total, float("nan"))),
        "correct": [verdict.correct for verdict in truth],
        "advantage": _ragged(kept, rollouts),
        "returns": _ragged(returns, rollouts),
        "step_labels": [
            [str(step.label) for step in context.task.check_steps(problem, text)]
            for problem, text in zip(rollouts.problem_of, rollouts.texts, strict=True)
        ],
    }
    for name, scores in rewards.parts.items():
        columns[f"reward/{name}"] = _listed(scores.values)
        for measurement, values in scores.metrics.items():
            columns[f"measure/{name}/{measurement}"] = _listed(values)
    return columns


def _listed(values: Tensor) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 - NaN is not itself


def _ragged(values: Tensor, rollouts: Rollouts) -> list[list[float]]:
    return [row[:n] for row, n in zip(values.tolist(), rollouts.lengths.tolist(), strict=True)]
