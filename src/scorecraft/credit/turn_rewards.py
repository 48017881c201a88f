"""Rewards of turns from the rewards of the tool calls made in them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError


class TurnRewards(NamedTuple):
    """Reward of every turn, 0 where there is none, and which turns there are."""

    rewards: Float32[Tensor, "rollout turn"]
    mask: Bool[Tensor, "rollout turn"]


@implements("turn-matching")
def turn_rewards(
    call_rewards: Float64[Tensor, "rollout call"],
    call_turns: Int64[Tensor, "rollout call"],
    turn_counts: Int64[Tensor, " rollout"],
    answers: Float64[Tensor, "rollout turn"] | None = None,
) -> TurnRewards:
    """Return the mean reward of the calls of every turn; a turn with an answer earns the answer's instead, others 0.

    Args:
        call_rewards: of every call, padded.
        call_turns: the turn in which a call is made, -1 for padding.
        turn_counts: number of turns of every rollout.
        answers: reward of the answer given in a turn, NaN where there is none, at least as wide as the largest count;
            None for no answers. Calls in such a turn do not count.

    Raises `ScorecraftError`, naming the rollout and both counts, for a call or an answer in a turn that does not exist.

    Source: MatchTIR, 2026, arXiv 2601.10712.
    """
    width = int(turn_counts.max()) if len(turn_counts) else 0
    mask = torch.arange(width) < turn_counts[:, None]
    answers = torch.full(mask.shape, float("nan"), dtype=torch.float64) if answers is None else answers
    if answers.shape[1] < width:
        raise ScorecraftError(f"turn_rewards: answers of {answers.shape[1]} turns, but a rollout has {width}")
    _check(call_turns, turn_counts, answers)
    there = call_turns >= 0
    index = call_turns.clamp(min=0)
    sums = torch.zeros(mask.shape, dtype=torch.float64)
    counts = torch.zeros_like(sums)
    if width:
        sums.scatter_add_(1, index, torch.where(there, call_rewards, 0.0))
        counts.scatter_add_(1, index, there.double())
    answers = answers[:, :width]
    rewards = torch.where(answers.isnan(), sums / counts.clamp(min=1), answers)
    return TurnRewards(torch.where(mask, rewards, 0.0).float(), mask)


def _check(call_turns: Tensor, turn_counts: Tensor, answers: Tensor) -> None:
    beyond = ~answers.isnan() & (torch.arange(answers.shape[1]) >= turn_counts[:, None])
    for what, bad in (("a call", call_turns >= turn_counts[:, None]), ("an answer", beyond)):
        if bool(bad.any()):
            row = int(bad.any(1).nonzero()[0, 0])
            place = int(call_turns[row].max()) if what == "a call" else int(beyond[row].nonzero()[-1, 0])
            raise ScorecraftError(
                f"turn_rewards: rollout {row} has {int(turn_counts[row])} turns, and {what} in turn {place}, counted "
                "from 0; calls and turns must be read off the same text"
            )
