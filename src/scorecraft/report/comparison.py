"""How the recipes of a report end up, and which differences are more than the luck of the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scorecraft.report.seeds import Series
from scorecraft.report.verdict import ends
from scorecraft.stats.intervals import paired_bootstrap

# key: (title, how its numbers read). The first is measured on held-out problems after the last step, the others are
# means over the last twentieth of the steps.
MEASURES = {
    "held-out accuracy": "share",
    "reward": "number",
    "accuracy": "share",
    "gap": "number",
    "length": "number",
    "truncated": "share",
    "entropy": "number",
    "kl": "number",
    "zero_advantage_groups": "share",
}
TITLES = {
    "held-out accuracy": "Held-out accuracy",
    "reward": "Reward",
    "accuracy": "Accuracy in training",
    "gap": "Gap (reward minus accuracy)",
    "length": "Completion length",
    "truncated": "Truncated",
    "entropy": "Entropy",
    "kl": "KL",
    "zero_advantage_groups": "Groups without a signal",
}
# With fewer seeds all of them often agree in sign by chance: 2 of 2 half of the time, 5 of 5 once in 16.
ENOUGH_SEEDS = 5


def final_values(metrics: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what a run came to: its last held-out accuracy, and means over the last twentieth of its steps."""
    found: dict[str, float] = {}
    held_out = [row["accuracy"] for row in evaluations if isinstance(row.get("accuracy"), int | float)]
    if held_out:
        found["held-out accuracy"] = held_out[-1]
    for key in MEASURES:
        if both := ends(metrics, key):
            found[key] = both[1]
    return found


def comparison(series: Sequence[Series], finals: Sequence[Mapping[str, float]], steps: Sequence[int]) -> dict[str, Any]:
    """Return the table of differences to the first recipe, paired by seed; empty where nothing can be paired.

    finals: what every run came to. steps: the last step of every run.

    A difference is the mean over the seeds both recipes have, with its 95 % percentile bootstrap interval (none for
    one seed); it is clear where the interval leaves out 0.
    """
    if len(series) < 2:
        return {}
    first, *others = series
    shared = [[seed for seed in first.seeds if seed is not None and seed in other.seeds] for other in others]
    if not any(shared):
        return {}
    rows = [row for key in MEASURES if (row := _row(key, series, shared, finals))]
    return {
        "baseline": first.name,
        "recipes": [one.name for one in series],
        "seeds": shared,
        "rows": rows,
        "sentences": [
            *(_sentence(first, other, shared[place], rows, place) for place, other in enumerate(others)),
            *_cautions(series, shared, steps),
        ],
    }


def _row(
    key: str, series: Sequence[Series], shared: Sequence[Sequence[Any]], finals: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    tables = [
        {seed: finals[m][key] for seed, m in zip(one.seeds, one.members, strict=True) if key in finals[m]}
        for one in series
    ]
    if not any(tables):
        return {}
    first, *others = tables
    return {
        "key": key,
        "title": TITLES[key],
        "format": MEASURES[key],
        "values": [sum(table.values()) / len(table) if table else None for table in tables],
        "differences": [
            difference([(other[seed], first[seed]) for seed in seeds if seed in other and seed in first])
            for other, seeds in zip(others, shared, strict=True)
        ],
    }


def difference(pairs: Sequence[tuple[float, float]]) -> dict[str, Any] | None:
    """Return the mean of ``second - first`` over pairs with its interval; None without a pair."""
    if not pairs:
        return None
    if len(pairs) == 1:
        return {"estimate": pairs[0][0] - pairs[0][1], "low": None, "high": None, "seeds": 1, "clear": None}
    found = paired_bootstrap(*zip(*pairs, strict=True), method="percentile")
    clear = found.low > 0 or found.high < 0
    return {"estimate": found.estimate, "low": found.low, "high": found.high, "seeds": len(pairs), "clear": clear}


def _sentence(first: Series, other: Series, seeds: Sequence[Any], rows: Sequence[dict[str, Any]], place: int) -> str:
    pair = f"{other.name} against {first.name}"
    if not seeds:
        return f"{pair}: they share no seed, so nothing can be paired."
    if len(seeds) == 1:
        return f"{pair}: one seed only, so the differences have no interval and none can be told from chance."
    clear = [
        f"{row['title'].lower() if row['key'] != 'kl' else 'KL'} {written(found, row['format'])}"
        for row in rows
        if (found := row["differences"][place]) and found["clear"]
    ]
    said = f"clear of 0 in {', '.join(clear)}" if clear else "no difference is clear of 0"
    return f"{pair}, over {len(seeds)} seeds: {said}."


def written(found: Mapping[str, Any], kind: str) -> str:
    """Return a difference with its sign and interval as text; shares in percentage points."""
    digits = "+.1f" if kind == "share" else "+.3g"
    factor, unit = (100, " points") if kind == "share" else (1, "")
    texts = [
        format(factor * found[name], digits).replace("-", "\u2212")
        for name in ("estimate", "low", "high")
        if found[name] is not None
    ]
    return f"{texts[0]}{unit}" + (f" [{texts[1]}, {texts[2]}]" if len(texts) > 1 else "")


def _cautions(series: Sequence[Series], shared: Sequence[Sequence[Any]], steps: Sequence[int]) -> list[str]:
    found = []
    fewest = min((len(seeds) for seeds in shared if len(seeds) > 1), default=ENOUGH_SEEDS)
    if fewest < ENOUGH_SEEDS:
        found.append(
            f"With {fewest} seeds an interval is often clear of 0 by chance; take {ENOUGH_SEEDS} or more before "
            "believing it."
        )
    lasts = sorted({steps[member] for one in series for member in one.members})
    if len(lasts) > 1:
        found.append(f"The runs did not all end at the same step: from step {lasts[0]} to step {lasts[-1]}.")
    return found
