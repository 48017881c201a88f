"""The picture of a study: every seed a dot, the mean with its interval, and the curves with their bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from scorecraft.errors import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which people with colour blindness can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
WIDTH = 4.2  # inches of a panel with its labels
CURVES, PER_ARM, AROUND = 2.6, 0.24, 0.9  # inches of height: of curves, of an arm, of title and axis
COLUMNS = 3
LABEL = 26  # characters of an arm's label before it is broken

Panel = tuple[Mapping[str, Any], str, Mapping[str, Any]]


def draw(result: Mapping[str, Any]) -> str:
    """Return the figure of a study's result as SVG text; the same result gives the same text.

    An experiment starts a new row, and an arm has one colour wherever its name occurs.
    """
    require("matplotlib", "studies", "drawing a study")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = _rows(result["experiments"])
    heights = [max(_height(panel) for panel in row) for row in rows]
    columns = max(len(row) for row in rows)
    colours = _colours(result["experiments"])
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": result["slug"], "font.size": 8, "font.family": "sans-serif"}
    with mpl.rc_context(style):
        figure = Figure(figsize=(WIDTH * columns, sum(heights)), layout="constrained")
        axes = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
        for row, line in zip(rows, axes, strict=True):
            for (experiment, kind, item), axis in zip(row, line, strict=False):
                (_draw_metric if kind == "metrics" else _draw_curve)(axis, experiment, item, colours)
                axis.set_title(_plain(experiment["title"]), fontsize=8, color="#555555")
                axis.spines[["top", "right"]].set_visible(False)
            for axis in line[len(row) :]:
                axis.set_visible(False)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _rows(experiments: Sequence[Mapping[str, Any]]) -> list[list[Panel]]:
    rows: list[list[Panel]] = []
    for experiment in experiments:
        panels = [(experiment, kind, item) for kind in ("metrics", "curves") for item in experiment[kind]]
        rows += [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    return rows


def _height(panel: Panel) -> float:
    experiment, kind, _ = panel
    if kind == "curves":
        return CURVES + 0.12 * len(experiment["arms"])
    return AROUND + PER_ARM * sum(1 + 0.5 * _label(arm).count("\n") for arm in experiment["arms"])


def _colours(experiments: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    names = dict.fromkeys(arm["name"] for experiment in experiments for arm in experiment["arms"])
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}


def _draw_metric(
    axis: Axes, experiment: Mapping[str, Any], metric: Mapping[str, Any], colours: Mapping[str, str]
) -> None:
    factor = 100 if metric["percent"] else 1
    arms: Sequence[Mapping[str, Any]] = experiment["arms"]
    for place, arm in enumerate(arms):
        colour = colours[arm["name"]]
        values = [factor * value for value in arm["values"][metric["name"]].values()]
        interval = arm["intervals"][metric["name"]]
        mean, low, high = (factor * interval[key] for key in ("estimate", "low", "high"))
        spread = [place + 0.18 + 0.06 * (number % 3) for number in range(len(values))]
        axis.plot(values, spread, "o", color=colour, markersize=2.5, alpha=0.6, markeredgewidth=0)
        error = [[max(0.0, mean - low)], [max(0.0, high - mean)]]
        axis.errorbar(mean, place, xerr=error, fmt="o", color=colour, markersize=4, capsize=2.5)
    axis.set_yticks(range(len(arms)), [_label(arm) for arm in arms], fontsize=7)
    axis.set_ylim(len(arms) - 0.4, -0.5)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set_xlabel(_plain(metric["label"]) + (" (%)" if metric["percent"] else ""))


def _draw_curve(
    axis: Axes, experiment: Mapping[str, Any], curve: Mapping[str, Any], colours: Mapping[str, str]
) -> None:
    for arm in experiment["arms"]:
        band, colour = curve["arms"][arm["name"]], colours[arm["name"]]
        x = range(1, len(band["mean"]) + 1)
        axis.fill_between(x, band["low"], band["high"], color=colour, alpha=0.15, linewidth=0)
        axis.plot(x, band["mean"], color=colour, linewidth=1.2, label=_plain(arm["label"]))
    axis.set_xlabel(_plain(curve["x_label"]))
    axis.set_ylabel(_plain(curve["label"]))
    # Beneath the axis, where it covers no curve.
    axis.legend(frameon=False, fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _label(arm: Mapping[str, Any]) -> str:
    return "\n".join(wrap(_plain(arm["label"]), LABEL))


def _plain(text: str) -> str:
    """Keep text from being read as a formula."""
    return str(text).replace("$", r"\$")
