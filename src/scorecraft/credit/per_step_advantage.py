"""What each reasoning step changed: advantages from prefix values, and the step at which a response was lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError

PitRule = Literal["argmin", "drop", "threshold"]


@implements("per-step-advantage")
def step_advantages(
    step_values: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    prompt_values: Float32[Tensor, " rollout"],
) -> Float32[Tensor, "rollout step"]:
    """Return ``A_i = Q_i - Q_(i-1)``, with the prompt's own value before the first step; 0 where there is no step.

    The advantages of a row add up to ``Q_last - V``, and ``Q_last`` is the outcome where the last step ends the
    response, so a step that is repeated earns only what it changes.

    Args:
        step_values: Q of the response up to and including each step.
        step_mask: which steps exist; a gap is passed over.
        prompt_values: V, the value of each bare prompt.

    Raises `ScorecraftError` for a value that is not finite.

    Source: RL on Incorrect Synthetic Data, 2024, arXiv 2406.14532.
    """
    values = _checked("step_advantages", step_values, step_mask, prompt_values)
    return torch.where(step_mask, values - _previous(values, step_mask, prompt_values), torch.zeros_like(values))


@implements("per-step-advantage")
def first_pit(
    step_values: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    prompt_values: Float32[Tensor, " rollout"],
    rule: PitRule = "argmin",
    threshold: float | None = None,
) -> Int64[Tensor, " rollout"]:
    """Return the step after which each response was lost, counted from 1; 0 where there is none.

    Counted from 1 so that ``steps[:pit]`` ends at the pit and ``steps[: pit - 1]`` just before it. "argmin" (the
    paper's): the first step with the lowest Q. "drop": the first with the lowest advantage. "threshold": the first
    with ``Q <= threshold``, and 0 where no value is that low.

    Args:
        step_values: Q of the response up to and including each step.
        step_mask: which steps exist.
        prompt_values: V, the value of each bare prompt; only "drop" depends on it.
        rule: see above.
        threshold: for the rule of that name.

    Raises `ScorecraftError` for an unknown rule, a threshold missing or not asked for, or values that are not finite.

    Source: RL on Incorrect Synthetic Data, 2024, arXiv 2406.14532; "drop" and "threshold" are additions.
    """
    if rule not in ("argmin", "drop", "threshold"):
        raise ScorecraftError(f"first_pit: unknown rule '{rule}'; expected 'argmin', 'drop' or 'threshold'")
    if (rule == "threshold") != (threshold is not None):
        raise ScorecraftError(f"first_pit: rule '{rule}' with threshold {threshold}; only 'threshold' has one")
    values = _checked("first_pit", step_values, step_mask, prompt_values)
    if rule == "drop":
        values = step_advantages(step_values, step_mask, prompt_values)
    wanted = step_mask
    if threshold is not None:
        wanted = step_mask & (values <= threshold)
        values = torch.zeros_like(values)
    if values.shape[1] == 0:
        return torch.zeros(len(values), dtype=torch.int64, device=values.device)
    # Of equal values argmin returns the first.
    pit = values.masked_fill(~wanted, float("inf")).argmin(1) + 1
    return torch.where(wanted.any(1), pit, torch.zeros_like(pit))


@implements("per-step-advantage")
def uninformative(
    step_values: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    prompt_values: Float32[Tensor, " rollout"],
) -> Bool[Tensor, " rollout"]:
    """Return where all values, the prompt's included, are equal, so that no step can be told from another.

    Args:
        step_values: Q of the response up to and including each step.
        step_mask: which steps exist.
        prompt_values: V, the value of each bare prompt.

    Raises `ScorecraftError` for a value that is not finite.
    """
    return ~step_advantages(step_values, step_mask, prompt_values).ne(0).any(1)


@implements("per-step-advantage")
def spurious_steps(
    step_values: Float32[Tensor, "rollout step"],
    step_mask: Bool[Tensor, "rollout step"],
    prompt_values: Float32[Tensor, " rollout"],
    tolerance: float = 0.05,
) -> Bool[Tensor, "rollout step"]:
    """Return which steps have ``A_i <= tolerance``: in a right response these did nothing for its being right.

    Where the value is already 1 nothing can raise it, and a sound step shows as spurious; values under a smaller K
    leave more room.

    Args:
        step_values: Q of the (right) response up to and including each step.
        step_mask: which steps exist.
        prompt_values: V, the value of each bare prompt.
        tolerance: the largest advantage that counts as none, at least 0.

    Raises `ScorecraftError` for a negative tolerance, or a value that is not finite.

    Source: RL on Incorrect Synthetic Data, 2024, arXiv 2406.14532.
    """
    if not tolerance >= 0:
        raise ScorecraftError(f"spurious_steps: expected a tolerance of at least 0, got {tolerance}")
    return step_mask & (step_advantages(step_values, step_mask, prompt_values) <= tolerance)


def first_pit_by_bisection(value_of: Callable[[int], float], steps: int) -> tuple[int, dict[int, float]]:
    """Return the first step with the lowest Q, counted from 1, and all values that were asked for.

    Asks for at most ``ceil(log2(steps)) + 1`` values instead of ``steps``. Right where Q never rises from one step to
    the next; where it does, the step found may be a later one than that of `first_pit`.

    Args:
        value_of: Q of the response up to and including the step, which is counted from 1; called once for each.
        steps: how many steps the response has, at least 1.

    Raises `ScorecraftError` for a response without steps, or a value that is not finite.
    """
    if steps < 1:
        raise ScorecraftError(f"first_pit_by_bisection: expected a response of at least 1 step, got {steps}")
    seen: dict[int, float] = {}

    def value(step: int) -> float:
        seen[step] = float(value_of(step))
        if not abs(seen[step]) < float("inf"):
            raise ScorecraftError(f"first_pit_by_bisection: the value of step {step} is {seen[step]}")
        return seen[step]

    low, high = 0, steps
    lowest = value(steps)
    while high - low > 1:
        middle = (low + high) // 2
        if (found := value(middle)) <= lowest:
            high, lowest = middle, found
        else:
            low = middle
    return high, seen


def _previous(values: Tensor, step_mask: Tensor, prompt_values: Tensor) -> Tensor:
    """Return the value just before every step: that of the step before it, or of the prompt."""
    places = torch.arange(1, values.shape[1] + 1, device=values.device).expand_as(step_mask)
    places = torch.where(step_mask, places, torch.zeros_like(places))
    before = torch.cat((torch.zeros_like(prompt_values, dtype=torch.int64)[:, None], places), 1)[:, :-1]
    if values.shape[1] > 0:
        before = before.cummax(1).values
    return torch.cat((prompt_values.detach()[:, None], values), 1).gather(1, before)


def _checked(name: str, step_values: Tensor, step_mask: Tensor, prompt_values: Tensor) -> Tensor:
    values = step_values.detach().masked_fill(~step_mask, 0.0)
    bad = ~torch.isfinite(values).all(1) | ~torch.isfinite(prompt_values)
    if bool(bad.any()):
        raise ScorecraftError(f"{name}: a value of rollout {int(bad.nonzero()[0, 0])} is not finite")
    return values
