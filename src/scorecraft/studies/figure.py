"""The picture of a study: every seed a dot, the mean with its interval, and the curves with their bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from scorecraft.errors import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which people with colour blindness can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
PANEL = (3.6, 2.7)  # inches
COLUMNS = 3


def draw(result: Mapping[str, Any]) -> str:
    """Return the figure of a study's result as SVG text; the same result gives the same text."""
    require("matplotlib", "studies", "drawing a study")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = [
        (experiment, kind, item)
        for experiment in result["experiments"]
        for kind in ("metrics", "curves")
        for item in experiment[kind]
    ]
    rows = -(-len(panels) // COLUMNS)
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": result["slug"], "font.size": 8, "font.family": "sans-serif"}
    with mpl.rc_context(style):
        figure = Figure(figsize=(PANEL[0] * min(COLUMNS, len(panels)), PANEL[1] * rows), layout="constrained")
        axes = figure.subplots(rows, min(COLUMNS, len(panels)), squeeze=False).flatten()
        for axis, (experiment, kind, item) in zip(axes, panels, strict=False):
            draw_panel = _draw_metric if kind == "metrics" else _draw_curve
            draw_panel(axis, experiment, item)
            axis.set_title(_plain(experiment["title"]), fontsize=8, color="#555555")
            axis.spines[["top", "right"]].set_visible(False)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _draw_metric(axis: Axes, experiment: Mapping[str, Any], metric: Mapping[str, Any]) -> None:
    factor = 100 if metric["percent"] else 1
    arms: Sequence[Mapping[str, Any]] = experiment["arms"]
    for place, arm in enumerate(arms):
        colour = COLOURS[place % len(COLOURS)]
        values = [factor * value for value in arm["values"][metric["name"]].values()]
        interval = arm["intervals"][metric["name"]]
        mean, low, high = (factor * interval[key] for key in ("estimate", "low", "high"))
        spread = [place + 0.22 + 0.05 * (number % 3) for number in range(len(values))]
        axis.plot(spread, values, "o", color=colour, markersize=2.5, alpha=0.6, markeredgewidth=0)
        axis.errorbar(place, mean, [[max(0.0, mean - low)], [max(0.0, high - mean)]], fmt="o", color=colour, capsize=3)
    axis.set_xticks(range(len(arms)), [_plain(arm["label"]) for arm in arms], rotation=20, ha="right")
    axis.set_xlim(-0.5, len(arms) - 0.3)
    axis.set_ylabel(_plain(metric["label"]) + (" (%)" if metric["percent"] else ""))


def _draw_curve(axis: Axes, experiment: Mapping[str, Any], curve: Mapping[str, Any]) -> None:
    for place, arm in enumerate(experiment["arms"]):
        band, colour = curve["arms"][arm["name"]], COLOURS[place % len(COLOURS)]
        x = range(1, len(band["mean"]) + 1)
        axis.fill_between(x, band["low"], band["high"], color=colour, alpha=0.15, linewidth=0)
        axis.plot(x, band["mean"], color=colour, linewidth=1.2, label=_plain(arm["label"]))
    axis.set_xlabel(_plain(curve["x_label"]))
    axis.set_ylabel(_plain(curve["label"]))
    axis.legend(frameon=False, fontsize=7)


def _plain(text: str) -> str:
    """Keep text from being read as a formula."""
    return str(text).replace("$", r"\$")
