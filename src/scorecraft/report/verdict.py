"""What became of a run, in one or two sentences that state only what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NO_STEP = "No step has been logged yet."


def verdict(metrics: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the sentences: how reward and held-out accuracy moved, and whether they moved apart.

    The reward is averaged over the first and the last twentieth of the steps (at least one step each), since a
    single step is noisy; accuracy is the first and the last held-out evaluation, with the interval of the last.
    """
    changes = [text for text in (_reward(metrics), _accuracy(metrics, evaluations)) if text]
    if not changes:
        return [NO_STEP] if not metrics else [f"{len(metrics)} steps logged, without a reward."]
    sentence = ", ".join(changes)
    return [sentence[0].upper() + sentence[1:] + ".", *_apart(metrics, evaluations)]


def ends(metrics: Sequence[Mapping[str, Any]], key: str) -> tuple[float, float] | None:
    """Return the mean of the first and of the last twentieth of a metric's values; None where it has none."""
    values = [row[key] for row in metrics if isinstance(row.get(key), int | float)]
    if not values:
        return None
    count = max(1, len(values) // 20)
    return sum(values[:count]) / count, sum(values[-count:]) / count


def _reward(metrics: Sequence[Mapping[str, Any]]) -> str:
    found = ends(metrics, "reward")
    if found is None:
        return ""
    first, last = found
    single = sum(row.get("reward") is not None for row in metrics) == 1
    return f"reward {last:.2f}" if single else f"reward {first:.2f} → {last:.2f}"


def _accuracy(metrics: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]]) -> str:
    measured = [row for row in evaluations if isinstance(row.get("accuracy"), int | float)]
    if not measured:
        found = ends(metrics, "accuracy")
        return f"accuracy in training {_percent(found[0])} → {_percent(found[1])}" if found else ""
    last = measured[-1]
    text = f"held-out accuracy {_percent(measured[0]['accuracy'])}"
    if len(measured) > 1:
        text += f" → {_percent(last['accuracy'])}"
    interval = _interval(last)
    return text + (f" [{100 * interval[0]:.0f}, {100 * interval[1]:.0f}]" if interval else "")


def _apart(metrics: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]]) -> list[str]:
    measured = [row for row in evaluations if isinstance(row.get("accuracy"), int | float)]
    reward = ends(metrics, "reward")
    if len(measured) < 2 or reward is None or reward[1] <= reward[0]:
        return []
    before, after = _interval(measured[0]), _interval(measured[-1])
    if before and after and after[1] < before[0]:
        return ["The reward rose while accuracy fell: the policy earns it in a way that does not solve the task."]
    return []


def _interval(row: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = row.get("accuracy_low"), row.get("accuracy_high")
    return (float(low), float(high)) if isinstance(low, int | float) and isinstance(high, int | float) else None


def _percent(value: float) -> str:
    return f"{100 * value:.0f}\u00a0%"
