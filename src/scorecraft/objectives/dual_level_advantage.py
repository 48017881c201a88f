"""Advantages of turns on two levels: turn against the same turn of the group, and rollout against rollout."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.objectives.advantages import Singleton
from scorecraft.objectives.group_standardized import group_standardized_advantages


@implements("turn-matching")
def dual_level_advantages(
    turn_rewards: Float32[Tensor, "rollout turn"],
    turn_mask: Bool[Tensor, "rollout turn"],
    group: Int64[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"] | None = None,
    *,
    discount: float = 0.9,
    weight: float = 0.5,
    epsilon: float = 1e-6,
    singleton: Singleton = "raw",
) -> Float32[Tensor, "rollout turn"]:
    """Return ``A[i,t] = weight A_turn[i,t] + (1 - weight) A_rollout[i]``, 0 where there is no turn.

    ``A_turn`` is the discounted return ``D[i,t] = sum_{k>=t} discount^(k-t) r[i,k]``, standardised over the rollouts of
    the group that have a turn t; ``A_rollout`` is the sum of all turn rewards, standardised over the group. Standard
    deviations are the sample's, plus ``epsilon``; where all are equal the advantage is 0.

    Args:
        turn_rewards: reward of every turn, a table in place of lists of different lengths.
        turn_mask: which turns there are; a gap is no turn and takes no time.
        group: the prompt that a rollout answers.
        valid: rollouts that count; the others get 0 and are in no mean. None for all.
        discount: per turn, in [0, 1].
        weight: of the turn level, in [0, 1].
        epsilon: added to standard deviations.
        singleton: for a turn that no other rollout of the group has, and a rollout alone in its group: "raw" takes the
            return as it is, as published, a bonus for being the longest; "zero" gives no advantage on that level.

    Raises `ScorecraftError` for turn rewards that are not finite, or a discount or weight outside [0, 1].

    Source: MatchTIR, 2026, arXiv 2601.10712.
    """
    for name, value in (("discount", discount), ("weight", weight)):
        if not 0 <= value <= 1:
            raise ScorecraftError(f"dual-level advantage: expected a {name} in [0, 1], got {value}")
    if not bool(torch.isfinite(turn_rewards[turn_mask]).all()):
        raise ScorecraftError("dual-level advantage: a turn reward is not finite")
    known = torch.ones_like(group, dtype=torch.bool) if valid is None else valid
    rewards = turn_rewards.detach().masked_fill(~turn_mask, 0.0)
    counted = turn_mask & known[:, None]
    width = rewards.shape[1]
    returns = torch.zeros_like(rewards)
    ahead = rewards.new_zeros(len(rewards))
    for turn in range(width - 1, -1, -1):
        ahead = torch.where(turn_mask[:, turn], rewards[:, turn] + discount * ahead, ahead)
        returns[:, turn] = ahead
    places = torch.arange(width, device=group.device).expand_as(rewards)
    of_turn = group_standardized_advantages(
        returns.flatten(), (group[:, None] * width + places).flatten(), counted.flatten(),
        epsilon=epsilon, ddof=1, singleton=singleton,
    ).view_as(rewards)  # fmt: skip
    of_rollout = group_standardized_advantages(
        rewards.sum(1), group, known, epsilon=epsilon, ddof=1, singleton=singleton
    )
    fused = weight * of_turn + (1 - weight) * of_rollout[:, None]
    return torch.where(counted, fused, torch.zeros_like(fused))


def broadcast_turns(
    values: Float32[Tensor, "rollout turn"],
    turn_mask: Bool[Tensor, "rollout turn"],
    turns: Int64[Tensor, "rollout token"],
) -> Float32[Tensor, "rollout token"]:
    """Return the value of its turn at every token, 0 at tokens of no turn.

    Args:
        values: of every turn.
        turn_mask: which turns have one.
        turns: index of the turn a token is in, -1 outside any.

    Raises `ScorecraftError`, naming the rollout and both counts, where a rollout's tokens are not in the turns that
    have values.
    """
    width = max(turn_mask.shape[1], int(turns.max()) + 1 if turns.numel() else 0)
    present = _first_tokens(turns, width) < turns.shape[1]
    wide = torch.zeros_like(present)
    wide[:, : turn_mask.shape[1]] = turn_mask
    wrong = (present != wide).any(1)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0, 0])
        raise ScorecraftError(
            f"rollout {row}: tokens of {int(present[row].sum())} turns, but values of {int(wide[row].sum())}; "
            "each turn with tokens needs one value"
        )
    return value_of_each_token(values, turns)


def value_of_each_token(
    values: Float32[Tensor, "rollout turn"], turns: Int64[Tensor, "rollout token"]
) -> Float32[Tensor, "rollout token"]:
    """Return `broadcast_turns` where every token is known to be in a turn that has a value, or in none.

    Args:
        values: of every turn.
        turns: index of the turn a token is in, -1 outside any.
    """
    # A last column of 0 is what -1, counted from the end, reads.
    with_none = torch.cat((values, values.new_zeros(len(values), 1)), dim=1)
    return with_none.gather(1, turns.remainder(with_none.shape[1]))


def turn_rewards_of_returns(
    returns: Float32[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
    turns: Int64[Tensor, "rollout token"],
) -> tuple[Float32[Tensor, "rollout turn"], Bool[Tensor, "rollout turn"]]:
    """Return the rewards of turns whose undiscounted sums the returns are, and which turns there are.

    Args:
        returns: of every sampled token: the credit still to come.
        mask: True where the policy sampled the token.
        turns: index of the turn a sampled token is in, which only grows, -1 outside any.
    """
    sampled = turns.masked_fill(~mask, -1)
    first = _first_tokens(sampled, int(sampled.max()) + 1 if sampled.numel() else 0)
    there = first < turns.shape[1]
    at_start = torch.zeros(first.shape, device=turns.device)
    at_start[there] = returns.detach()[there.nonzero()[:, 0], first[there]]
    rewards = torch.zeros_like(at_start)
    ahead = at_start.new_zeros(len(turns))
    for turn in range(first.shape[1] - 1, -1, -1):
        # What is still to come at its start, without what is still to come at the next one's.
        rewards[:, turn] = torch.where(there[:, turn], at_start[:, turn] - ahead, 0.0)
        ahead = torch.where(there[:, turn], at_start[:, turn], ahead)
    return rewards, there


def _first_tokens(turns: Tensor, width: int) -> Tensor:
    """Return the column of the first token of every turn; the number of columns for a turn without one."""
    starts = turns >= 0
    starts[:, 1:] &= turns[:, 1:] != turns[:, :-1]
    row, token = starts.nonzero(as_tuple=True)
    first = torch.full((len(turns) * width,), turns.shape[1], dtype=torch.int64, device=turns.device)
    return first.scatter_reduce(0, row * width + turns[row, token], token, "amin").view(len(turns), width)
