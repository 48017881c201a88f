"""Counts of a part, made to be added up: what the summary and the page need without reading the file again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from scorecraft.problem import Outcome
from scorecraft.rescoring.rows import CompletionRow
from scorecraft.rescoring.source import BadRow, Part
from scorecraft.rollouts import Rollouts
from scorecraft.scores import RewardTable

EXAMPLES = 4
MOST_SHOWN = 20
_PROMPT, _COMPLETION = 400, 1200
SAME = 1e-6


def tally(
    part: Part,
    file: str,
    rows: Sequence[CompletionRow | BadRow],
    good: Sequence[CompletionRow],
    rollouts: Rollouts,
    table: RewardTable,
) -> dict[str, Any]:
    """Return the counts of one part as JSON values.

    Args:
        part: which rows.
        file: the file's name.
        rows: all of them.
        good: those that could be read, in order.
        rollouts: the same as a table.
        table: their scores.
    """
    bad = [row for row in rows if isinstance(row, BadRow)]
    places = [place for place, row in enumerate(rows) if isinstance(row, CompletionRow)]
    totals = [total if ok else None for total, ok in zip(table.total.tolist(), table.valid.tolist(), strict=True)]
    names = [f"{file}:{part.first_row + place + 1}" for place in places]
    return {
        "rows": len(rows),
        "unreadable": len(bad),
        "bad_rows": [str(row) for row in bad[:MOST_SHOWN]],
        "total": _moments(table.total[table.valid]),
        "rewards": {name: _reward(scores) for name, scores in table.parts.items()},
        "groups": _groups(rollouts, table),
        "lengths": _lengths(rollouts, table),
        "examples": _examples(good, names, totals, rollouts.lengths.tolist()),
    }


def _moments(values: torch.Tensor) -> dict[str, float]:
    numbers = values.double()
    found = {"count": float(len(numbers)), "sum": float(numbers.sum()), "squares": float((numbers**2).sum())}
    return found | ({"low": float(numbers.min()), "high": float(numbers.max())} if len(numbers) else {})


def _reward(scores: Any) -> dict[str, Any]:
    outcomes = Counter(str(outcome) for outcome in scores.outcomes)
    measures = {name: _moments(values[~values.isnan()]) for name, values in scores.metrics.items()}
    return {"outcomes": dict(outcomes), "values": _moments(scores.values[~scores.values.isnan()]), "measures": measures}


def _groups(rollouts: Rollouts, table: RewardTable) -> dict[str, float]:
    count = int(rollouts.group.max()) + 1 if len(rollouts) else 0
    group, total = rollouts.group[table.valid], table.total[table.valid]
    low = torch.full((count,), float("inf")).scatter_reduce_(0, group, total, "amin")
    high = torch.full((count,), -float("inf")).scatter_reduce_(0, group, total, "amax")
    sizes = torch.bincount(rollouts.group[table.valid], minlength=count)
    several = sizes > 1
    return {
        "count": float(count),
        "compared": float(several.sum()),
        "equal": float((several & (high - low <= SAME)).sum()),
    }


def _lengths(rollouts: Rollouts, table: RewardTable) -> dict[str, list[float]]:
    """Return count and sum of totals for completions of up to 1, 2, 4, 8, ... tokens."""
    found: dict[str, list[float]] = {}
    lengths, totals = rollouts.lengths[table.valid], table.total[table.valid].double()
    bins = torch.ceil(torch.log2(lengths.clamp(min=1).double())).long()
    for each in torch.unique(bins).tolist():
        inside = totals[bins == each]
        found[str(2**each)] = [float(len(inside)), float(inside.sum())]
    return found


def _examples(
    rows: Sequence[CompletionRow], names: Sequence[str], totals: Sequence[float | None], lengths: Sequence[int]
) -> dict[str, list[dict[str, Any]]]:
    known = [(total, place) for place, total in enumerate(totals) if total is not None]
    order = sorted(known, key=lambda pair: (pair[0], pair[1]))
    picked = {
        "worst": [place for _, place in order[:EXAMPLES]],
        "best": [place for _, place in sorted(known, key=lambda pair: (-pair[0], pair[1]))[:EXAMPLES]],
        "without a total": [place for place, total in enumerate(totals) if total is None][:EXAMPLES],
    }
    return {
        kind: [
            {
                "where": names[place],
                "total": totals[place],
                "length": lengths[place],
                "answer": rows[place].answer[:200],
                "prompt": rows[place].prompt[:_PROMPT],
                "completion": rows[place].completion[:_COMPLETION],
            }
            for place in places
        ]
        for kind, places in picked.items()
    }


def add_up(tallies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the counts of all parts together.

    Args:
        tallies: what `tally` returned, part by part.
    """
    whole: dict[str, Any] = {}
    for one in tallies:
        own = {name: value for name, value in one.items() if name != "paired"}
        whole = _added(whole, own) if whole else own
    return whole


def _added(a: Any, b: Any, key: str = "") -> Any:
    if isinstance(b, Mapping):
        both = {name: _added(a[name], value, name) for name, value in b.items() if name in a}
        return {**a, **b, **both}
    if key in ("low", "high"):
        return min(a, b) if key == "low" else max(a, b)
    if key in ("bad_rows", "without a total"):
        return [*a, *b][: MOST_SHOWN if key == "bad_rows" else EXAMPLES]
    if key in ("worst", "best"):
        sign = -1 if key == "best" else 1
        return sorted([*a, *b], key=lambda one: sign * one["total"])[:EXAMPLES]
    return [x + y for x, y in zip(a, b, strict=True)] if isinstance(b, list) else a + b


def mean(moments: Mapping[str, float]) -> float | None:
    """Return the mean of what was counted; None of nothing."""
    return moments["sum"] / moments["count"] if moments["count"] else None


def failures(reward: Mapping[str, Any]) -> dict[str, int]:
    """Return how many rows a reward gave no value, by outcome."""
    return {name: count for name, count in reward["outcomes"].items() if name != Outcome.SCORED}
