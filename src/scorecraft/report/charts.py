"""Which curves a report draws, under which titles, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

# One list per metric, all as long as that under ``step``.
Columns = dict[str, list[float | None]]
# Keys that are not curves of their own: the axis, and what other sections show.
_NOT_CURVES = ("step", "zero/")


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: its curves by metric key, and how its numbers read (``share`` is a fraction shown in percent)."""

    title: str
    keys: tuple[str, ...]
    help: str = ""
    format: str = "number"
    labels: tuple[str, ...] = ()


_KNOWN = (
    Chart("Completion length", ("length",), "Mean number of tokens in a completion."),
    Chart("Entropy", ("entropy",), "Mean entropy of the sampled tokens, in nats; a fall to 0 ends exploration."),
    Chart("KL", ("kl",), "Mean KL divergence of the sampled tokens, in nats."),
    Chart("Clip fraction", ("clip_fraction",), "Share of tokens whose ratio was clipped.", "share"),
    Chart("Truncated", ("truncated",), "Share of completions that the length limit cut.", "share"),
    Chart("Gradient norm", ("gradient_norm",), "Norm of the gradient before clipping."),
    Chart(
        "Groups without a signal",
        ("zero_advantage_groups",),
        "Share of groups in which every advantage is 0: all completions earned the same.",
        "share",
    ),
    Chart(
        "Reward spread",
        ("reward_spread",),
        "Mean over saved groups of the reward's standard deviation; at 0 nothing is learned.",
    ),
    Chart("Loss", ("loss",), "Not a measure of progress: advantages are centred anew at each step."),
    Chart("Learning rate", ("learning_rate",)),
    Chart("Tokens per second", ("tokens_per_second",)),
    Chart("Seconds per step", ("seconds",)),
)

_LAST = ("learning_rate", "tokens_per_second", "seconds")


def is_share(key: str) -> bool:
    """Return True for a metric that is a fraction of rollouts, tokens, groups or problems."""
    shares = {key for chart in _KNOWN if chart.format == "share" for key in chart.keys}
    return key in shares | {"accuracy", "unparsed"} or key.startswith(("pass@", "mean@", "zero/", "outcomes/"))


def parts(keys: Iterable[str]) -> list[Chart]:
    """Return one chart for each part of the reward and what it measured, in the order the metrics have them."""
    charts = []
    for key in keys:
        kind, _, name = key.partition("/")
        if kind == "reward" and name:
            charts.append(Chart(name, (key,), "Mean over the completions this reward did not abstain from."))
        elif kind == "measure":
            reward, _, measurement = name.rpartition("/")
            note = "Before its transforms." if measurement == "raw" else "Measured beside the reward, no part of it."
            charts.append(Chart(f"{reward}: {measurement.replace('_', ' ')}", (key,), note))
    return charts


def dynamics(keys: Iterable[str]) -> list[Chart]:
    """Return the charts of the training itself: those known by name, then outcomes, then whatever else there is."""
    present = list(keys)
    known = [chart for chart in _KNOWN if chart.keys[0] in present]
    taken = {"reward", "accuracy", "gap", *(key for chart in known for key in chart.keys)}
    elsewhere = (*_NOT_CURVES, "reward/", "measure/", "outcomes/")
    rest = [key for key in present if key not in taken and not key.startswith(elsewhere)]
    early = [chart for chart in known if chart.keys[0] not in _LAST]
    late = [chart for chart in known if chart.keys[0] in _LAST]
    other = [Chart(key.replace("_", " ").capitalize(), (key,)) for key in rest]
    return [*early, *_outcomes(present), *other, *late]


def _outcomes(keys: Sequence[str]) -> list[Chart]:
    found: dict[str, list[str]] = {}
    for key in keys:
        if key.startswith("outcomes/") and key.count("/") >= 2:
            found.setdefault(key.rsplit("/", 1)[0], []).append(key)
    return [
        Chart(
            f"Outcomes of {stem.removeprefix('outcomes/')}",
            tuple(members),
            "How the scores came about; a failure never counts as a 0.",
            labels=tuple(member.rsplit("/", 1)[1] for member in members),
        )
        for stem, members in found.items()
    ]


def gap(keys: Iterable[str]) -> list[Chart]:
    """Return the chart of the gap between proxy and truth, if both were measured."""
    text = "Reward minus accuracy at every step: what was earned beyond the truth. Rising is the mark of hacking."
    return [Chart("Gap of proxy and truth", ("gap",), text)] if "gap" in keys else []


def with_derived(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with what follows from them: ``gap`` (reward minus accuracy), ``zero/clipped`` (share of tokens)."""
    found = []
    for row in rows:
        extra: dict[str, Any] = {}
        reward, accuracy = row.get("reward"), row.get("accuracy")
        if isinstance(reward, int | float) and isinstance(accuracy, int | float):
            extra["gap"] = reward - accuracy
        if row.get("clip_fraction") is not None:
            extra["zero/clipped"] = row["clip_fraction"]
        found.append(extra | dict(row))
    return found


def pass_at_k(keys: Iterable[str]) -> list[Chart]:
    """Return the chart of the held-out pass@k, if there is any."""
    members = tuple(key for key in keys if key.startswith("pass@"))
    title = "Held-out pass@k"
    text = "Chance that at least one of k completions is correct."
    return [Chart(title, members, text, "share", members)] if members else []


def as_json(charts: Iterable[Chart]) -> list[dict[str, Any]]:
    """Return the charts as plain values for the page."""
    return [asdict(chart) for chart in charts]


def union_of_keys(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return every key that holds a number in some row, in order of appearance."""
    seen: dict[str, None] = {}
    for row in rows:
        for key, value in row.items():
            if key not in seen and isinstance(value, int | float):
                seen[key] = None
    return list(seen)


def columns(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Return rows of metrics as one list per key, the last row of a step winning, with 6 significant digits."""
    last = {row["step"]: row for row in rows}
    ordered = [last[step] for step in sorted(last)]
    return {key: [number(row.get(key)) for row in ordered] for key in union_of_keys(ordered)}


def number(value: Any) -> float | None:
    """Return a number with 6 significant digits; None for what is none, or not finite."""
    if not isinstance(value, int | float) or not abs(value) < float("inf"):
        return None
    return int(value) if value == int(value) and abs(value) < 1e15 else float(f"{value:.6g}")
