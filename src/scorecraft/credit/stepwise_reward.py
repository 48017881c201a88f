"""VSRM: every step of a thought earns the change that it makes in the verified accuracy of a forced answer."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.credit.min_form import token_returns_of_steps
from scorecraft.errors import ScorecraftError

Where = Literal["start", "end"]
Last = Literal["replace", "add"]


@implements("stepwise-reward")
def accuracy_gains(
    acc: Float32[Tensor, "*rollout probe"], mask: Bool[Tensor, "*rollout probe"] | None = None
) -> tuple[Float32[Tensor, "*rollout step"], Bool[Tensor, "*rollout step"]]:
    """Return ``d_j = a_{j+1} - a_j``, the gain of the step from probe j to probe j + 1, and which steps there are.

    A probe that is missing (it failed) merges the two steps beside it: the gain stands in the last of their columns,
    and the others are no steps. Before the first probe there is none.

    Args:
        acc: share of right answers that every prefix was forced to, in [0, 1]; the last is of the whole thought. One
            row, or a batch.
        mask: which probes there are; None for all.

    Raises `ScorecraftError` for accuracies outside [0, 1] or NaN, and for a single row without a probe.

    Source: Promoting Efficient Reasoning with Verifiable Stepwise Reward, 2025, arXiv 2508.10293.
    """
    steps = _steps(*_checked(acc, mask))
    return steps.gains, steps.there


class _Steps(NamedTuple):
    """Accuracy before and after each step, its gain, and which steps there are."""

    before: Tensor
    after: Tensor
    gains: Tensor
    there: Tensor


def _steps(acc: Tensor, mask: Tensor) -> _Steps:
    earlier, there = _segments(mask)
    before, after = acc.gather(-1, earlier), acc[..., 1:]
    return _Steps(before, after, torch.where(there, after - before, torch.zeros_like(after)), there)


def _checked(acc: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    acc = acc.detach()
    mask = torch.ones_like(acc, dtype=torch.bool) if mask is None else mask
    if acc.ndim == 1 and len(acc) == 0:
        raise ScorecraftError("stepwise reward: expected at least one accuracy, that of the whole thought, got none")
    bad = mask & ~((acc >= 0) & (acc <= 1))
    if bool(bad.any()):
        place = bad.nonzero()[0].tolist()
        raise ScorecraftError(
            f"stepwise reward: the accuracy at {place} is {float(acc[tuple(place)])}; expected a number from 0 to 1, "
            "and False in the mask where a probe failed"
        )
    return torch.where(mask, acc, torch.zeros_like(acc)), mask


def _segments(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probe that each step starts from (0 where there is none) and which steps there are."""
    columns = torch.arange(mask.shape[-1], device=mask.device).expand_as(mask)
    at_or_before = torch.where(mask, columns, torch.full_like(columns, -1)).cummax(-1).values
    earlier = at_or_before[..., :-1]
    return earlier.clamp(min=0), mask[..., 1:] & (earlier >= 0)


def _changing(steps: _Steps, eps: float, min_effect: float | None, probes: int | None) -> Tensor:
    """Return which steps count as a change of accuracy."""
    changing = steps.there & (steps.gains.abs() >= eps)
    if min_effect is None:
        return changing
    if probes is None or probes < 1:
        raise ScorecraftError(
            f"stepwise reward: min_effect needs the number of answers behind each accuracy, got probes={probes}"
        )
    if not 0 < min_effect < math.inf:
        raise ScorecraftError(f"stepwise reward: expected a positive min_effect, got {min_effect}")
    pooled = (steps.before + steps.after) / 2
    error = (pooled * (1 - pooled) * 2 / probes).clamp(min=0).sqrt()
    return changing & (steps.gains.abs() >= min_effect * error)


@implements("stepwise-reward")
def stepwise_rewards(
    acc: Float32[Tensor, "*rollout probe"],
    mask: Bool[Tensor, "*rollout probe"] | None = None,
    *,
    gamma: float = 0.7,
    max_lookahead: int = 4,
    eps: float = 1e-5,
    min_effect: float | None = None,
    probes: int | None = None,
) -> Float32[Tensor, "*rollout step"]:
    """Return ``r_j = d_j`` where accuracy changes, and elsewhere ``gamma^h d_{j+h}``, h steps on to the next change.

    Where no change follows within ``max_lookahead`` steps a step earns 0. With ``max_lookahead=0`` the rewards of a
    thought add up to ``a_n - a_0``: they are a potential's differences, which move credit and cannot change which
    policy is best. With more they are not: `padding_gain` says what is paid for steps that do nothing.

    Args:
        acc: see `accuracy_gains`; one row, or a batch.
        mask: which probes there are; a step beside a missing one is merged with its neighbour, and the reward stands
            in the last column of the two.
        gamma: discount per step of looking ahead, in (0, 1].
        max_lookahead: steps, at least 0; the published code's is 4, and 0 is safe.
        eps: least change that counts; above the rounding of accuracies.
        min_effect: least change in standard errors of a two-proportion test, ``sqrt(2 p (1 - p) / probes)`` with p the
            mean of both accuracies; smaller ones count as none. None for no test, as published. The rewards then no
            longer add up to ``a_n - a_0``: a slow decline is free, and its sudden repair paid.
        probes: answers behind each accuracy; needed for ``min_effect``.

    Raises `ScorecraftError` for a gamma outside (0, 1], a look-ahead below 0, a test without its numbers, and what
    `accuracy_gains` refuses.

    Source: Promoting Efficient Reasoning with Verifiable Stepwise Reward, 2025, arXiv 2508.10293; constants of its
    published code.
    """
    _check_lookahead(gamma, max_lookahead)
    steps = _steps(*_checked(acc, mask))
    gains, there = steps.gains, steps.there
    changing = _changing(steps, eps, min_effect, probes)
    count = gains.shape[-1]
    columns = torch.arange(count, device=acc.device).expand_as(gains)
    next_change = torch.where(changing, columns, torch.full_like(columns, count)).flip(-1).cummin(-1).values.flip(-1)
    # Merged steps are one step of looking ahead.
    place = there.long().cumsum(-1)
    far = torch.full_like(place[..., :1], count + max_lookahead + 1)
    ahead = torch.cat((place, far), -1).gather(-1, next_change) - place
    change = torch.cat((gains, torch.zeros_like(gains[..., :1])), -1) if count else gains
    paid = change.gather(-1, next_change) * gamma ** ahead.clamp(max=max_lookahead + 1).float()
    return torch.where(there & (ahead <= max_lookahead), paid, torch.zeros_like(paid))


def _check_lookahead(gamma: float, max_lookahead: int) -> None:
    if not 0 < gamma <= 1:
        raise ScorecraftError(f"stepwise reward: expected a gamma in (0, 1], got {gamma}")
    if max_lookahead < 0:
        raise ScorecraftError(f"stepwise reward: expected a look-ahead of at least 0 steps, got {max_lookahead}")


@implements("stepwise-reward")
def padding_gain(gamma: float = 0.7, max_lookahead: int = 4) -> float:
    """Return ``sum_{h=1..H} gamma^h``: what H steps without effect earn before a gain of 1, which earns 1 itself.

    Args:
        gamma: discount of `stepwise_rewards`.
        max_lookahead: H.

    Raises `ScorecraftError` for a gamma outside (0, 1] or a look-ahead below 0.
    """
    _check_lookahead(gamma, max_lookahead)
    return float(sum(gamma**steps for steps in range(1, max_lookahead + 1)))


@implements("stepwise-reward")
def place_step_rewards(
    rewards: Float32[Tensor, "*rollout step"],
    token_pos: Int64[Tensor, "*rollout probe"],
    length: int,
    where: Where = "end",
    probe_mask: Bool[Tensor, "*rollout probe"] | None = None,
) -> Float32[Tensor, "*rollout token"]:
    """Return token rewards: every step's reward on one of its tokens, 0 on all others.

    Args:
        rewards: of `stepwise_rewards`; one row, or a batch.
        token_pos: the token of every cut (see `token_positions`) and, last, the end of the thought, exclusive.
        length: number of token columns.
        where: "end" for the step's last token, so that nothing after the step is credited; "start" for its first, as
            the published code has it.
        probe_mask: which probes, and so which cuts, there are; None for all.

    Raises `ScorecraftError` for other than one position more than rewards, and for positions that lie outside the
    columns or do not increase, as those of two cuts in one token.

    Source: Promoting Efficient Reasoning with Verifiable Stepwise Reward, 2025, arXiv 2508.10293.
    """
    if where not in ("start", "end"):
        raise ScorecraftError(f"place_step_rewards: unknown place '{where}'; expected 'end' or 'start'")
    steps, probes = rewards.shape[-1], token_pos.shape[-1]
    if probes != steps + 1 and (steps, probes) != (0, 0):
        raise ScorecraftError(
            f"place_step_rewards: {steps} rewards need {steps + 1} positions, those of the cuts and the thought's "
            f"end, got {probes}"
        )
    mask = torch.ones_like(token_pos, dtype=torch.bool) if probe_mask is None else probe_mask
    if bool((mask & ((token_pos < 0) | (token_pos > length))).any()):
        raise ScorecraftError(f"place_step_rewards: a position lies outside the {length} token columns")
    earlier, there = _segments(mask)
    first, end = token_pos.gather(-1, earlier), token_pos[..., 1:]
    if bool((there & (end <= first)).any()):
        place = (there & (end <= first)).nonzero()[0].tolist()
        raise ScorecraftError(
            f"place_step_rewards: the step at {place} goes from token {int(first[tuple(place)])} to "
            f"{int(end[tuple(place)])}; expected positions that increase"
        )
    out = torch.zeros(*rewards.shape[:-1], length, dtype=torch.float32, device=rewards.device)
    if steps == 0 or length == 0:
        return out
    index = (end - 1 if where == "end" else first).masked_fill(~there, 0)
    return out.scatter_add(-1, index, rewards.detach().masked_fill(~there, 0.0))


@implements("stepwise-reward")
def vsrm_outcome_reward(
    closed: Bool[Tensor, " rollout"],
    boxed: Bool[Tensor, " rollout"],
    correct: Bool[Tensor, " rollout"],
    *,
    not_closed: float = -10.0,
    not_boxed: float = -9.5,
) -> Float32[Tensor, " rollout"]:
    """Return 1 for a right answer, 0 for a wrong one, less without an answer, and least for a thought without an end.

    The two penalties press for short thoughts wherever length is limited: whatever this is compared with needs them
    too.

    Args:
        closed: whether the thought was closed; False where it was cut off.
        boxed: whether an answer could be read from its box; not read where the thought is open.
        correct: whether the answer is right; not read where there is none.
        not_closed: reward of a thought that was not closed.
        not_boxed: reward of a closed thought without an answer.

    Source: Promoting Efficient Reasoning with Verifiable Stepwise Reward, 2025, arXiv 2508.10293; constants of its
    published code.
    """
    answered = torch.where(boxed, correct.float(), torch.full_like(correct, not_boxed, dtype=torch.float32))
    return torch.where(closed, answered, torch.full_like(answered, not_closed))


@implements("stepwise-reward")
def vsrm_token_rewards(
    step_token_rewards: Float32[Tensor, "rollout token"],
    outcome: Float32[Tensor, " rollout"],
    response_len: Int64[Tensor, " rollout"],
    last: Last = "replace",
) -> Float32[Tensor, "rollout token"]:
    """Return the step rewards with the outcome on each response's last token.

    Args:
        step_token_rewards: of `place_step_rewards`.
        outcome: reward of the answer.
        response_len: tokens of each response; one of length 0 earns nothing.
        last: what becomes of a step reward on the last token. "replace" is published, for rewards at the start of
            steps; "add" keeps that of a thought which ends with the response.

    Raises `ScorecraftError` for lengths that do not fit the columns, or a step reward beyond a response.

    Source: Promoting Efficient Reasoning with Verifiable Stepwise Reward, 2025, arXiv 2508.10293.
    """
    if last not in ("replace", "add"):
        raise ScorecraftError(f"vsrm_token_rewards: unknown last '{last}'; expected 'replace' or 'add'")
    width = step_token_rewards.shape[1]
    if bool(((response_len < 0) | (response_len > width)).any()):
        raise ScorecraftError(f"vsrm_token_rewards: expected lengths from 0 to {width}, got {response_len.tolist()}")
    columns = torch.arange(width, device=response_len.device)
    beyond = (columns >= response_len[:, None]) & (step_token_rewards != 0)
    if bool(beyond.any()):
        row = int(beyond.nonzero()[0, 0])
        raise ScorecraftError(f"row {row}: a step reward lies beyond the response's {int(response_len[row])} tokens")
    at_last = columns == response_len[:, None] - 1
    kept = step_token_rewards.detach() if last == "add" else step_token_rewards.detach().masked_fill(at_last, 0.0)
    return kept + outcome.detach()[:, None] * at_last


@implements("stepwise-reward")
def stepwise_token_returns(
    acc: Float32[Tensor, "rollout step"],
    acc_mask: Bool[Tensor, "rollout step"],
    steps: Int64[Tensor, "rollout token"],
    mask: Bool[Tensor, "rollout token"],
    *,
    gamma: float = 0.7,
    max_lookahead: int = 4,
    where: Where = "end",
    eps: float = 1e-5,
    min_effect: float | None = None,
    probes: int | None = None,
) -> Float32[Tensor, "rollout token"]:
    """Return at every sampled token the step rewards still to come.

    Args:
        acc: accuracy after every step, so that the first step earns nothing.
        acc_mask: which steps were probed.
        steps: index of the step that a token is in, -1 outside any.
        mask: True where the policy sampled the token.
        gamma: see `stepwise_rewards`, as the arguments below.
        max_lookahead: steps.
        where: token of a step that earns its reward: no later token is credited. See `place_step_rewards`.
        eps: least change that counts.
        min_effect: least change in standard errors.
        probes: answers behind each accuracy.

    Source: Promoting Efficient Reasoning with Verifiable Stepwise Reward, 2025, arXiv 2508.10293.
    """
    if where not in ("start", "end"):
        raise ScorecraftError(f"stepwise reward: unknown place '{where}'; expected 'end' or 'start'")
    if acc.shape[1] == 0:
        return torch.zeros(mask.shape, dtype=torch.float32, device=mask.device)
    rewards = stepwise_rewards(
        acc, acc_mask, gamma=gamma, max_lookahead=max_lookahead, eps=eps, min_effect=min_effect, probes=probes
    )
    rewards = torch.cat((torch.zeros_like(acc[:, :1]), rewards), 1)
    to_come = rewards.flip(1).cumsum(1).flip(1)
    if where == "start":
        steps = _first_tokens(steps, acc_mask)
    return token_returns_of_steps(to_come, acc_mask, steps, mask)


def _first_tokens(steps: Tensor, acc_mask: Tensor) -> Tensor:
    """Return steps with -1 at all tokens but the first of each (merged) step; those then have the next step to come."""
    count = acc_mask.shape[1]
    columns = torch.arange(count, device=steps.device).expand_as(acc_mask)
    probed = torch.where(acc_mask, columns, torch.full_like(columns, count)).flip(1).cummin(1).values.flip(1)
    opens = (steps >= 0) & (steps < count)
    opens[:, 1:] &= steps[:, 1:] != steps[:, :-1]
    rows, places = opens.nonzero(as_tuple=True)
    found = probed[rows, steps[rows, places]]
    rows, places, found = (each[found < count] for each in (rows, places, found))
    # A step that is taken up again, after tokens outside any, has one first token.
    first = torch.full((steps.shape[0] * count,), steps.shape[1], dtype=torch.int64, device=steps.device)
    first = first.scatter_reduce(0, rows * count + found, places, "amin")
    kept = first[rows * count + found] == places
    out = torch.full_like(steps, -1)
    out[rows[kept], places[kept]] = found[kept]
    return out


class OverthinkingReport(NamedTuple):
    """What the steps of thoughts do.

    effective, ineffective, harmful: number of steps that raise accuracy, leave it, and lower it.
    first_solved_at: first probe at which the problem is solved, -1 for none.
    wasted_fraction: share of the steps after that probe, 0 where there is none.
    """

    effective: Int64[Tensor, "*rollout"]
    ineffective: Int64[Tensor, "*rollout"]
    harmful: Int64[Tensor, "*rollout"]
    first_solved_at: Int64[Tensor, "*rollout"]
    wasted_fraction: Float32[Tensor, "*rollout"]


@implements("stepwise-reward")
def overthinking_report(
    acc: Float32[Tensor, "*rollout probe"],
    mask: Bool[Tensor, "*rollout probe"] | None = None,
    *,
    solved: float = 0.5,
    eps: float = 1e-5,
    min_effect: float | None = None,
    probes: int | None = None,
) -> OverthinkingReport:
    """Return how many steps of each thought help, do nothing and harm, and how much comes after the solution.

    Args:
        acc: see `accuracy_gains`; one row, or a batch.
        mask: which probes there are; None for all.
        solved: least accuracy that counts as solved; at 0.5 the most frequent of two answers is right.
        eps: least change that counts.
        min_effect: see `stepwise_rewards`.
        probes: answers behind each accuracy.

    Raises `ScorecraftError` for a ``solved`` outside (0, 1], and what `stepwise_rewards` refuses.

    Source: Promoting Efficient Reasoning with Verifiable Stepwise Reward, 2025, arXiv 2508.10293.
    """
    if not 0 < solved <= 1:
        raise ScorecraftError(f"overthinking_report: expected a 'solved' in (0, 1], got {solved}")
    acc, mask = _checked(acc, mask)
    steps = _steps(acc, mask)
    gains, there = steps.gains, steps.there
    changing = _changing(steps, eps, min_effect, probes)
    width = acc.shape[-1]
    columns = torch.arange(width, device=acc.device).expand_as(mask)
    # Accuracies are shares of few answers; 0.5 as three of six must not be lost to rounding.
    reached = torch.where(mask & (acc >= solved - 1e-6), columns, torch.full_like(columns, width))
    first = torch.cat((reached, torch.full_like(columns[..., :1], width)), -1).amin(-1) if width else reached.sum(-1)
    ever = first < width
    after = (there & (columns[..., :-1] >= first[..., None])).sum(-1)
    return OverthinkingReport(
        effective=(changing & (gains > 0)).sum(-1),
        ineffective=(there & ~changing).sum(-1),
        harmful=(changing & (gains < 0)).sum(-1),
        first_solved_at=torch.where(ever, first, torch.full_like(first, -1)),
        wasted_fraction=after.float() / there.sum(-1).clamp(min=1),
    )
