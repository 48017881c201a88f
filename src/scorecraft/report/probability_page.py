"""One page about a file of probabilities: metrics with intervals, four pictures, and where they are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from scorecraft.metrics.decision_curve import decision_curve_of_sums
from scorecraft.metrics.file_metrics import FileMetrics, Group
from scorecraft.metrics.paired_files import Difference, Paired
from scorecraft.metrics.reliability import curve_of_sums
from scorecraft.metrics.slices import CalibrationSlice
from scorecraft.metrics.streaming import coarser
from scorecraft.metrics.summary import CALIBRATION_BINS, Measured
from scorecraft.report.static_page import BLUE, GREEN, GREY, ORANGE, image, picture, static_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_SLICES, HISTOGRAM_BINS = 20, 50


def page(found: FileMetrics, paired: Paired | None = None) -> str:
    """Return the page as HTML that needs nothing else and runs nothing.

    Args:
        found: what the file's probabilities are worth.
        paired: the differences from another model, where there is one.

    Raises `ScorecraftError` where matplotlib is absent.
    """
    body = (
        f'<p class="dim">{escape(about(found))}</p>'
        + image(draw(found), _said(found))
        + f'<p class="dim">{escape(_legend(found))}</p>'
        + (_differences(paired) if paired is not None else "")
        + _slices(found)
        + _metrics(found.metrics, found.confidence)
        + _groups(found.groups)
        + f'<p class="dim">{escape(small_print(found))}</p>'
    )
    return static_page(f"{found.path.name}: are the probabilities right?", body)


def about(found: FileMetrics) -> str:
    """Return in a line what was measured.

    Args:
        found: what the file's probabilities are worth.
    """
    what = found.columns[0] if len(found.columns) == 1 else f"{len(found.columns)} classes ({', '.join(found.classes)})"
    return f"{found.rows:,} rows; label '{found.label}', probability {what}."


def small_print(found: FileMetrics) -> str:
    """Return what intervals mean, and what was not exact.

    Args:
        found: what the file's probabilities are worth.
    """
    level = f"{100 * found.confidence:g} %"
    said = f"Intervals are at {level}, each by itself; those of slices hold at {level} for all slices together."
    if found.exact:
        return said
    return f"{said} Scores were counted in narrow bins; where that costs precision, a bound says how much."


def number(value: float | None) -> str:
    """Return a metric for reading, to four significant digits.

    Args:
        value: None where it is undefined.
    """
    return "-" if value is None else f"{value:.4g}"


def bounds(low: float | None, high: float | None) -> str:
    """Return an interval for reading; nothing where there is none."""
    return "" if low is None or high is None else f"[{low:.4g}, {high:.4g}]"


def draw(found: FileMetrics) -> str:
    """Return reliability diagram, score distributions, decision curve and ROC curve as SVG text.

    Args:
        found: what the file's probabilities are worth.
    """

    def panels(figure: Figure) -> None:
        axes = figure.subplots(2, 2)
        for draw_one, axis in zip((_reliability, _distributions, _decisions, _roc), axes.flat, strict=True):
            draw_one(axis, found)

    return picture(panels, (10.4, 5.6))


def _event(found: FileMetrics) -> str:
    return "most probable class is right" if len(found.columns) > 1 else "label is 1"


def _reliability(axis: Axes, found: FileMetrics) -> None:
    curve = curve_of_sums(coarser(found.totals.sums, CALIBRATION_BINS), confidence=found.confidence)
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    error = [curve.rate - curve.low, curve.high - curve.rate]
    size = 3 + 5 * np.sqrt(curve.weight / curve.weight.max())
    axis.errorbar(curve.mean_prob, curve.rate, yerr=np.maximum(error, 0), fmt="none", color=BLUE, linewidth=1)
    axis.scatter(curve.mean_prob, curve.rate, s=size**2, color=BLUE, zorder=3)
    axis.set(title="reliability", xlabel="mean probability", ylabel=f"how often the {_event(found)}")
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def _distributions(axis: Axes, found: FileMetrics) -> None:
    sums = coarser(found.totals.sums, HISTOGRAM_BINS)
    centre, width = (sums.edges[:-1] + sums.edges[1:]) / 2, 1 / HISTOGRAM_BINS
    names = ("wrong", "right") if len(found.columns) > 1 else ("label 0", "label 1")
    for rows, sign, colour, name in zip(sums.rows, (-1, 1), (ORANGE, BLUE), names, strict=True):
        axis.bar(centre, sign * rows, width, color=colour, label=f"{name}: {int(rows.sum()):,} rows")
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    axis.set(title="distribution of probabilities", xlabel="probability", ylabel="rows", xlim=(-0.02, 1.02))
    axis.legend(frameon=False, fontsize=7)


def _decisions(axis: Axes, found: FileMetrics) -> None:
    curve = decision_curve_of_sums(coarser(found.totals.sums, 100), confidence=found.confidence)
    axis.fill_between(curve.threshold, curve.low, curve.high, color=BLUE, alpha=0.2, linewidth=0)
    axis.plot(curve.threshold, curve.net_benefit, color=BLUE, linewidth=1.2, label="act from this probability on")
    axis.plot(curve.threshold, curve.act_on_all, color=GREY, linestyle="--", linewidth=0.8, label="act on all")
    axis.axhline(0, color=GREY, linewidth=0.8, label="act on none")
    top = float(max(curve.net_benefit.max(), curve.act_on_all.max(), 0.01))
    axis.set(title="decision curve", xlabel="threshold", ylabel="net benefit", ylim=(-0.25 * top, 1.1 * top))
    axis.legend(frameon=False, fontsize=7)


def _roc(axis: Axes, found: FileMetrics) -> None:
    counts = found.totals.counts
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    axis.set(title="ROC curve", xlabel="false-positive rate", ylabel="true-positive rate")
    if counts.positives.any() and counts.negatives.any():
        sides = (counts.negatives, counts.positives)
        rates = [np.concatenate(([0], np.cumsum(side[::-1]) / side.sum())) for side in sides]
        # No more points than can be seen.
        kept = np.unique(np.linspace(0, len(rates[0]) - 1, 2000).astype(int))
        axis.plot(rates[0][kept], rates[1][kept], color=GREEN, linewidth=1.2)
    else:
        axis.text(0.5, 0.4, "one class only", ha="center", color=GREY)


def _said(found: FileMetrics) -> str:
    error = next(one for one in found.metrics if one.name == "ece")
    return (
        "Reliability diagram, distribution of probabilities, decision curve and ROC curve; calibration error "
        f"{number(error.value)} {bounds(error.low, error.high)}"
    )


def _legend(found: FileMetrics) -> str:
    of = "All four are of the most probable class and its probability. " if len(found.columns) > 1 else ""
    return (
        f"{of}Reliability: points below the line were stated too high; their size goes by their rows. Decision curve: "
        "who acts from a threshold t on holds a false alarm to cost t / (1 - t) of what a catch is worth."
    )


def _metrics(metrics: Sequence[Measured], confidence: float) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.title)}</td><td class='number'>{number(one.value)}</td>"
        f"<td class='number'>{bounds(one.low, one.high)}</td><td class='dim'>{escape(remark(one))}</td></tr>"
        for one in metrics
    )
    head = f"<tr><th>metric</th><th></th><th>{100 * confidence:g} % interval</th><th></th></tr>"
    return f'<h2>Metrics</h2><div class="wide"><table>{head}{rows}</table></div>'


def remark(one: Measured) -> str:
    """Return what is to be said of a metric: why it is undefined, and how far bins can have moved it.

    Args:
        one: the metric.
    """
    off = f"off by at most {one.bound:.1g}, from bins of scores" if one.bound > 0 else ""
    return "; ".join(part for part in (one.note, off) if part)


def _slices(found: FileMetrics) -> str:
    if not found.sliced:
        return ""
    wrong = [one for one in found.slices if one.finding]
    columns = ", ".join(f"'{name}'" for name in found.sliced)
    head = f"<h2>Worst-calibrated slices</h2><p>Slices of {escape(columns)}, of 100 rows or more: {len(found.slices)}. "
    if not found.slices:
        return f"{head}</p>"
    said = f"{len(wrong)} of them are wrong beyond chance." if wrong else "None is wrong beyond chance."
    rows = "".join(_slice(one) for one in found.slices[:SHOWN_SLICES])
    titles = ("slice", "rows", "stated", "happened", "gap", "", "error", "")
    top = "".join(f"<th>{title}</th>" for title in titles)
    return f'{head}{said}</p><div class="wide"><table><tr>{top}</tr>{rows}</table></div>'


def _slice(one: CalibrationSlice) -> str:
    cells = (number(one.mean_prob), number(one.rate), f"{one.gap:+.3g}", bounds(one.low, one.high), number(one.error))
    return (
        f"<tr><td>{escape(one.column)}: {escape(one.value)}</td><td class='number'>{one.rows:,}</td>"
        + "".join(f"<td class='number'>{cell}</td>" for cell in cells)
        + f"<td class='bad'>{escape(one.finding)}</td></tr>"
    )


def _groups(groups: Sequence[Group]) -> str:
    if not groups:
        return ""
    names = ("base_rate", "brier", "ece", "auroc")
    titles = ["group", "rows", "stated", *("happened", "Brier score", "ECE", "AUROC")]
    rows = ""
    for group in groups:
        found = {one.name: one for one in group.metrics}
        cells = "".join(
            f"<td class='number'>{number(found[name].value)} <span class='dim'>"
            f"{bounds(found[name].low, found[name].high)}</span></td>"
            for name in names
        )
        rows += (
            f"<tr><td>{escape(group.column)}: {escape(group.value)}</td><td class='number'>{group.rows:,}</td>"
            f"<td class='number'>{number(group.mean_prob)}</td>{cells}</tr>"
        )
    top = "".join(f"<th>{title}</th>" for title in titles)
    return f'<h2>Groups</h2><div class="wide"><table><tr>{top}</tr>{rows}</table></div>'


def _differences(paired: Paired) -> str:
    rows = "".join(_difference(one) for one in paired.differences)
    top = "".join(f"<th>{title}</th>" for title in ("", "first", "second", "difference", "", "p-value", "better"))
    return (
        f"<h2>Against another model</h2><p>First: {escape(paired.first)}; second: {escape(paired.second)}; "
        f'{paired.rows:,} rows of both.</p><div class="wide"><table><tr>{top}</tr>{rows}</table></div>'
    )


def _difference(one: Difference) -> str:
    gap = "-" if one.difference is None else f"{one.difference:+.4g}"
    p_value = "" if one.p_value is None else f"{one.p_value:.2g} ({one.test})"
    cells = (number(one.first), number(one.second), gap, bounds(one.low, one.high), p_value)
    return (
        f"<tr><td>{escape(one.title)}</td>"
        + "".join(f"<td class='number'>{escape(cell)}</td>" for cell in cells)
        + f"<td>{escape(one.better or one.note)}</td></tr>"
    )
