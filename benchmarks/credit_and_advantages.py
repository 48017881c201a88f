"""Does credit for a large batch take under 50 ms of processor time, and how does it compare with verl's functions?

1,024 rollouts of 8 to a prompt, 2,048 tokens, up to 64 steps. Every closed-form credit and advantage by itself, and
verl's function on the same batch in the same run wherever verl has one. Medians; the answer of both is compared.

    python benchmarks/credit_and_advantages.py
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from measuring import record

from scorecraft.context import Context
from scorecraft.credit.discounting import discounted_sums_to_go
from scorecraft.credit.generalized_advantage import generalized_advantages, rewards_at_the_end
from scorecraft.integrations.verl_plugin import rollouts_of_token_rewards
from scorecraft.objectives.group_standardized import group_standardized_advantages
from scorecraft.objectives.leave_one_out import leave_one_out_advantages
from scorecraft.objectives.step_baselines import masked_whiten
from scorecraft.parts import find

ROLLOUTS, TOKENS, STEPS, GROUP = 1024, 2048, 64, 8
GOAL_MILLISECONDS, GOAL_RATIO = 50.0, 5.0
CREDITS: dict[str, dict[str, Any]] = {
    "outcome": {}, "min-form": {}, "reward-to-go": {"form": "mean"}, "per-step-advantage": {}, "stepwise-reward": {},
    "turns": {},
}  # fmt: skip
ADVANTAGES = ("none", "group-mean", "group-standardized", "leave-one-out", "leave-one-out-tokens", "batch-standardized",
              "dual-level")  # fmt: skip


def batch() -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Return token rewards, mask and groups."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(TOKENS // 2, TOKENS + 1, (ROLLOUTS,), generator=generator)
    mask = torch.arange(TOKENS) < lengths[:, None]
    rewards = torch.zeros(ROLLOUTS, TOKENS)
    for step in range(1, STEPS):
        ends = (lengths * step // STEPS) - 1
        rewards[torch.arange(ROLLOUTS), ends] = torch.rand(ROLLOUTS, generator=generator) * 0.9 + 0.05
    rewards[torch.arange(ROLLOUTS), lengths - 1] = torch.randint(0, 2, (ROLLOUTS,), generator=generator) * 0.9 + 0.05
    return rewards, mask, np.array([f"prompt-{row // GROUP}" for row in range(ROLLOUTS)], dtype=object)


def milliseconds(run: Callable[[], Any], repeats: int = 9) -> float:
    """Return the median processor time of a call, of all threads."""
    run()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return 1000 * statistics.median(times)


def against_verl(
    rewards: torch.Tensor, mask: torch.Tensor, uid: np.ndarray, group: torch.Tensor
) -> dict[str, tuple[Callable[[], torch.Tensor], Callable[[], torch.Tensor]]]:
    """Return our function and verl's, from the same tensors to advantages of every token."""
    from verl.trainer.ppo import core_algos as core

    total = rewards.masked_fill(~mask, 0.0).sum(1)
    outcome = rewards_at_the_end(total, mask)
    floats, valid = mask.float(), torch.ones(len(mask), dtype=torch.bool)
    values = torch.rand(rewards.shape, generator=torch.Generator().manual_seed(1))
    clean = rewards * mask
    return {
        "group-standardized": (
            lambda: group_standardized_advantages(outcome.sum(1), group, valid, epsilon=1e-6)[:, None] * floats,
            lambda: core.compute_grpo_outcome_advantage(outcome, floats, uid)[0],
        ),
        "leave-one-out": (
            lambda: leave_one_out_advantages(outcome.sum(1), group, valid)[:, None] * floats,
            lambda: core.compute_rloo_outcome_advantage(outcome, floats, uid)[0],
        ),
        "generalized-advantage": (
            lambda: masked_whiten(generalized_advantages(clean, values, mask, gamma=0.99, lam=0.95).advantages, mask),
            lambda: core.compute_gae_advantage_return(clean, values, floats, 0.99, 0.95)[0],
        ),
        "sum of step rewards": (
            lambda: masked_whiten(discounted_sums_to_go(clean, mask, 0.99), mask),
            lambda: core.compute_reinforce_plus_plus_outcome_advantage(clean, floats, Gamma())[0],
        ),
    }


class Gamma:
    """verl's configuration, as far as its estimator reads it."""

    gamma = 0.99


def part_time(slot: str, name: str, options: dict[str, Any], *given: Any) -> float:
    """Return the median processor time of a part."""
    part = find(slot, name)(**options)
    return round(milliseconds(lambda: part(*given)), 2)


def main() -> None:
    """Measure everything and write the result."""
    warnings.simplefilter("ignore")
    # Processor time is what is asked for; a second thread adds waiting to it.
    torch.set_num_threads(1)
    rewards, mask, uid = batch()
    rollouts, table = rollouts_of_token_rewards(rewards, mask, uid)
    context = Context(None, torch.Generator().manual_seed(0))
    credits = {name: part_time("credit", name, options, rollouts, table, context) for name, options in CREDITS.items()}
    returns = find("credit", "reward-to-go")()(rollouts, table, context)
    advantages = {name: part_time("advantage", name, {}, returns, rollouts, table, context) for name in ADVANTAGES}
    for name, value in (*credits.items(), *advantages.items()):
        print(f"{name:24} {value:7.1f} ms")
    compared = {}
    for name, (ours, theirs) in against_verl(rewards, mask, uid, rollouts.group).items():
        apart = float((ours() - theirs() * mask).abs().max())
        own, other = milliseconds(ours), milliseconds(theirs, 5)
        compared[name] = {
            "own_milliseconds": round(own, 2), "verl_milliseconds": round(other, 2), "ratio": round(other / own, 1),
            "largest_difference": apart,
        }  # fmt: skip
        print(f"{name:24} {own:7.1f} ms, verl {other:7.1f} ms: {other / own:.1f} times as fast, apart by {apart:.1e}")
    record("credit_and_advantages", {
        "batch": {"rollouts": ROLLOUTS, "tokens": TOKENS, "steps": STEPS},
        "goals": {"milliseconds": GOAL_MILLISECONDS, "ratio": GOAL_RATIO},
        "credit_milliseconds": credits, "advantage_milliseconds": advantages, "against_verl": compared,
    })  # fmt: skip


if __name__ == "__main__":
    main()
