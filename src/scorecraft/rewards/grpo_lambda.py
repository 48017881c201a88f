"""Switched length penalty (GRPO-lambda): only the groups that are already accurate are pressed to be short."""

from __future__ import annotations

import math
import warnings
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float32, Float64, Int64, Real
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.rewards.relative_length import relative_length

Selection = Literal["top_fraction", "threshold"]
SELECTIONS: tuple[Selection, ...] = ("top_fraction", "threshold")


@implements("grpo-lambda")
def length_penalty_reward(
    correct: Bool[Tensor, " rollout"],
    lengths: Real[Tensor, " rollout"],
    *,
    alpha: float = 0.2,
    std_floor: float = 0.0,
) -> Float32[Tensor, " rollout"]:
    """Return ``1 - alpha sigmoid((L - mean) / std)`` for the correct completions of one group, 0 for the wrong ones.

    Mean and population standard deviation are those of the correct completions. Where these do not differ in length,
    the sigmoid is 1/2.

    Args:
        correct: whether the answer is right.
        lengths: tokens of each completion, padding left out; at least 1.
        alpha: strength of the penalty, in [0, 1), so that a correct completion always earns more than a wrong one.
            No source gives the paper's; 0.2 is a choice, and a third-party implementation takes 0.6.
        std_floor: least standard deviation (tokens).

    Raises `ScorecraftError` for an alpha outside [0, 1), a negative ``std_floor`` or a length below 1.

    Source: Arora and Zanette, 2025, Training Language Models to Reason Efficiently, arXiv 2502.04463.
    """
    one_group = torch.zeros(len(correct), dtype=torch.int64, device=correct.device)
    return switched_length_penalty(
        correct, lengths, one_group, torch.ones_like(correct), alpha=alpha, std_floor=std_floor
    )


@implements("grpo-lambda")
def switched_length_penalty(
    correct: Bool[Tensor, " rollout"],
    lengths: Real[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    efficient: Bool[Tensor, " rollout"],
    *,
    alpha: float = 0.2,
    std_floor: float = 0.0,
) -> Float32[Tensor, " rollout"]:
    """Return the length-penalised reward where ``efficient``, and the plain 0 or 1 elsewhere.

    Args:
        correct: whether the answer is right.
        lengths: tokens of each completion.
        group: the prompt that a rollout answers.
        efficient: whether the rollout's group is one of those that are pressed to be short.
        alpha: see `length_penalty_reward`.
        std_floor: see `length_penalty_reward`.

    Raises as `length_penalty_reward`.

    Source: Stable Reinforcement Learning for Efficient Reasoning, 2025, arXiv 2505.18086.
    """
    if not 0 <= alpha < 1:
        raise ScorecraftError(
            f"length penalty: expected an alpha in [0, 1), got {alpha}; from 1 on a correct answer could earn nothing"
        )
    if not 0 <= std_floor < math.inf:
        raise ScorecraftError(f"length penalty: expected a std_floor of at least 0, got {std_floor}")
    bad = ~(lengths >= 1)
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0])
        raise ScorecraftError(f"length penalty: rollout {row} has length {lengths[row]:g}; expected at least 1 token")
    penalty = alpha * relative_length(lengths, correct, group, std_floor).sigmoid()
    return (correct.double() * (1 - penalty * efficient)).float()


class GroupAccuracies(NamedTuple):
    """The accuracy of every group, in the order of the groups' first rollouts in the batch.

    accuracy: share of correct completions, NaN for a group without a verdict. place: the group's place of each
    rollout. first: row of each group's first rollout. counted: verdicts in each group.
    """

    accuracy: Float64[Tensor, " group"]
    place: Int64[Tensor, " rollout"]
    first: Int64[Tensor, " group"]
    counted: Int64[Tensor, " group"]


@implements("grpo-lambda")
def group_accuracies(
    correct: Bool[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    valid: Bool[Tensor, " rollout"] | None = None,
) -> GroupAccuracies:
    """Return ``acc_k = (1/G) sum_i c_k^i`` of every group.

    Args:
        correct: whether the answer is right.
        group: the prompt that a rollout answers.
        valid: False where there is no verdict, which is in no mean; None for all True.
    """
    if valid is None:
        valid = torch.ones_like(correct)
    ids, sorted_index = torch.unique(group, return_inverse=True)
    rows = torch.arange(len(group), device=group.device)
    first = torch.full((len(ids),), len(group), dtype=torch.int64, device=group.device)
    first, order = first.scatter_reduce(0, sorted_index, rows, "amin").sort()
    index = order.argsort()[sorted_index]
    zeros = torch.zeros(len(ids), dtype=torch.float64, device=group.device)
    counted = zeros.index_add(0, index, valid.double())
    right = zeros.index_add(0, index, (correct & valid).double())
    return GroupAccuracies(right / counted, index, first, counted.long())


@implements("grpo-lambda")
def efficiency_groups(
    accuracy: Float64[Tensor, " group"],
    *,
    lam: float = 0.2,
    selection: Selection = "top_fraction",
    threshold: float | None = None,
    tie_break: Float64[Tensor, " group"] | None = None,
) -> Bool[Tensor, " group"]:
    """Return which groups are pressed to be short.

    "top_fraction": the ``n = ceil(lam B)`` most accurate of B groups, at least one where lam > 0; with lam 0 none,
    which is plain GRPO, and with lam 1 all, which is the length penalty on everything. "threshold": the groups of an
    accuracy of at least ``threshold``, which needs no other group. The rounding and ties are not in the paper: of
    equally accurate groups the first in the batch are taken.

    Args:
        accuracy: of the groups of the whole batch, of all workers; one of NaN (no verdict) is not ranked.
        lam: the paper's lambda, in [0, 1].
        selection: how groups are chosen.
        threshold: accuracy in [0, 1]; given if and only if ``selection`` is "threshold".
        tie_break: random numbers that order equally accurate groups instead of their place in the batch.

    Raises `ScorecraftError` for values outside their range. Warns where the batch has a single group, all of which
    would then be penalised.

    Source: Stable Reinforcement Learning for Efficient Reasoning, 2025, arXiv 2505.18086.
    """
    if selection not in SELECTIONS:
        raise ScorecraftError(f"unknown selection '{selection}'; expected 'top_fraction' or 'threshold'")
    if not 0 <= lam <= 1:
        raise ScorecraftError(f"efficiency groups: expected a lam in [0, 1], got {lam}")
    if (threshold is not None) != (selection == "threshold"):
        raise ScorecraftError("efficiency groups: give a threshold with selection 'threshold', and only then")
    if threshold is not None:
        if not 0 <= threshold <= 1:
            raise ScorecraftError(f"efficiency groups: expected a threshold in [0, 1], got {threshold}")
        return accuracy >= threshold
    known = ~accuracy.isnan()
    count = int(known.sum())
    if count == 1 and 0 < lam < 1:
        warnings.warn(
            "efficiency groups: the batch has one group, so all of it is penalised; take several prompts a step, or "
            "selection 'threshold'",
            ScorecraftWarning,
            stacklevel=2,
        )
    # The small amount keeps 0.2 * 5 from being rounded up to 2.
    wanted = math.ceil(lam * count - 1e-9)
    order = torch.arange(len(accuracy), device=accuracy.device) if tie_break is None else tie_break.argsort(stable=True)
    ranked = order[accuracy.nan_to_num(nan=-1.0)[order].argsort(descending=True, stable=True)]
    chosen = torch.zeros_like(known)
    chosen[ranked[: max(wanted, int(lam > 0 and count > 0))]] = True
    return chosen


@implements("grpo-lambda")
def grpo_lambda_reward(
    correct: Bool[Tensor, " rollout"] | Float32[Tensor, " rollout"],
    lengths: Real[Tensor, " rollout"],
    group: Int64[Tensor, " rollout"],
    *,
    lam: float = 0.2,
    alpha: float = 0.2,
    selection: Selection = "top_fraction",
    threshold: float | None = None,
    std_floor: float = 0.0,
    correct_threshold: float | None = None,
    tie_break: Float64[Tensor, " group"] | None = None,
) -> tuple[Float32[Tensor, " rollout"], Bool[Tensor, " rollout"]]:
    """Return the reward of a whole batch, and which rollouts are in an efficiency-prioritised group.

    ``r = 1 - alpha sigmoid((L - mean) / std)`` for a correct completion of such a group, where mean and standard
    deviation are those of its correct completions; 1 for a correct one of another group; 0 for a wrong one.

    Args:
        correct: whether the answer is right, or a score with ``correct_threshold``.
        lengths: tokens of each completion, padding left out.
        group: the prompt that a rollout answers; groups may differ in size, and rows lie in one column, as everywhere
            here, so that they may.
        lam: share of the groups that are pressed to be short.
        alpha: see `length_penalty_reward`.
        selection: see `efficiency_groups`.
        threshold: see `efficiency_groups`.
        std_floor: see `length_penalty_reward`.
        correct_threshold: the score from which on an answer is right; needed where ``correct`` is not boolean.
        tie_break: see `efficiency_groups`; one number a group, in the order of the groups' first rollouts.

    Raises `ScorecraftError` as `efficiency_groups` and `length_penalty_reward`, and for scores without a
    ``correct_threshold``. Warns of groups of one, whose advantage is 0 whatever they earn.

    Source: Stable Reinforcement Learning for Efficient Reasoning, 2025, arXiv 2505.18086.
    """
    if correct.dtype != torch.bool:
        if correct_threshold is None:
            raise ScorecraftError(
                "grpo_lambda_reward: 'correct' is not boolean; say from which score on an answer is right, such as "
                "correct_threshold=1.0"
            )
        correct = correct >= correct_threshold
    groups = group_accuracies(correct, group)
    if bool((groups.counted == 1).any()):
        warnings.warn(
            "grpo_lambda_reward: a group has a single completion, so it has no advantage; take a group_size of 2 or "
            "more",
            ScorecraftWarning,
            stacklevel=2,
        )
    chosen = efficiency_groups(groups.accuracy, lam=lam, selection=selection, threshold=threshold, tie_break=tie_break)
    efficient = chosen[groups.place]
    return switched_length_penalty(correct, lengths, group, efficient, alpha=alpha, std_floor=std_floor), efficient
