"""One page about a ranking: how stable each rank is, what failure costs, whether the benchmarks' order matters."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from scorecraft.arena.swiss_ranking import Z95
from scorecraft.arena.table_ranking import METHODS, TITLES, TableRanking
from scorecraft.report.static_page import BLUE, GREY, ORANGE, image, picture, static_page, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What is drawn in colour or named in a picture; all else stands in the tables.
MOST_CURVES, MOST_DRAWN = 8, 40
STABILITY = ("swiss", "z-score", "borda", "bradley-terry", "elo")


def page(found: TableRanking, name: str) -> str:
    """Return the page as HTML that needs nothing else and runs nothing.

    Args:
        found: the ranking.
        name: of the table.

    Raises `ScorecraftError` where matplotlib is absent.
    """
    body = (
        f'<p class="dim">{escape(about(found))}</p>'
        + f"<p>{escape(verdict(found))}</p>"
        + "<h2>How stable is each rank?</h2>"
        + image(draw_stability(found), f"Shares of ranks under resampling; first is {_first(found)}")
        + f'<p class="dim">{escape(resampling(found))} Dark: often; a dot is the rank of the whole table.</p>'
        + "<h2>All rankings beside each other</h2>"
        + table(*ranks_table(found))
        + "<h2>What failure costs</h2>"
        + image(draw_sensitivity(found), "Expected win score against the number of models that leave after each round")
        + table(*sensitivity_table(found), text_columns=(0, 5))
        + _orders(found)
        + "<h2>Agreement of the methods</h2>"
        + table(*agreement_table(found))
        + _missing(found)
    )
    return static_page(f"{name}: which model is best?", body)


def about(found: TableRanking) -> str:
    """Return in a line what was ranked.

    Args:
        found: the ranking.
    """
    table_, settings = found.table, found.settings
    leave = f"{settings.eliminate} of the weakest leave after each round" if settings.eliminate else "nobody leaves"
    order = "in random order" if settings.order == "random" else "in this order: " + ", ".join(table_.benchmarks)
    return (
        f"{len(table_.models)} models, {len(table_.benchmarks)} benchmarks {order}. Swiss: {settings.runs:,} "
        f"tournaments, {leave}."
    )


def verdict(found: TableRanking) -> str:
    """Return in a sentence or two how far the first place can be relied on.

    Args:
        found: the ranking.
    """
    swiss, models = found.of("swiss"), found.table.models
    first = int(np.argmin(swiss.rank))
    others = sorted({models[int(np.argmin(one.rank))] for one in found.methods} - {models[first]})
    agree = "All methods put it first." if not others else f"Other methods put first: {', '.join(others)}."
    said = f"First by Swiss rounds: {models[first]}, {swiss.value[first]:.3f} of {len(found.table.benchmarks)} points"
    said += f", not told apart from {models[_order(found)[1]]}. " if found.swiss.tied[first] else ". "
    if found.resampled != "nothing":
        said += f"It stays first in {100 * swiss.shares[first, 0]:.0f} % of the resamples. "
    return said + agree


def resampling(found: TableRanking) -> str:
    """Return what the intervals are of.

    Args:
        found: the ranking.
    """
    count, level = found.settings.resamples, f"{100 * found.settings.confidence:g} %"
    if found.resampled == "nothing":
        return "Nothing was drawn anew, so there are no intervals."
    kept = "; they keep their order" if found.resampled == "benchmarks" else ""
    return f"Intervals at {level} from {count} draws of {found.resampled} with repetition{kept}."


def ranks_table(found: TableRanking) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return titles and rows: each model's Swiss score and its rank under every method, with intervals.

    Args:
        found: the ranking.
    """
    titles = ("model", "Swiss points", "", *(TITLES[name] for name in METHODS))
    rows = []
    for m in _order(found):
        ranks = tuple(rank_and_interval(one, m) for one in found.methods)
        swiss = found.of("swiss")
        error = Z95 * found.swiss.sem[m]
        tie = "tied" if found.swiss.tied[m] else ""
        rows.append((found.table.models[m], f"{swiss.value[m]:.3f} ± {error:.3f}", tie, *ranks))
    return titles, rows


def rank_and_interval(one: Any, model: int) -> str:
    """Return a rank with its interval, if that is wider than the rank itself.

    Args:
        one: a method's ranking.
        model: which.
    """
    low, high = int(one.low[model]), int(one.high[model])
    return f"{one.rank[model]}" if low == high else f"{one.rank[model]} [{low}, {high}]"


def sensitivity_table(found: TableRanking) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return titles and rows: expected scores with nobody and with most leaving, the slope, survival, and the label.

    Args:
        found: the ranking.
    """
    sens = found.sensitivity
    titles = ("model", f"T = {sens.grid[0]}", f"T = {sens.grid[-1]}", "slope", "against the field", "")
    rows = [
        (
            found.table.models[m], f"{sens.curves[0, m]:.3f}", f"{sens.curves[-1, m]:.3f}", f"{sens.slope[m]:+.3f}",
            f"{sens.relative[m]:+.3f}", "" if sens.label[m] == "other" else sens.label[m],
        )
        for m in _order(found)
    ]  # fmt: skip
    return titles, rows


def agreement_table(found: TableRanking) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return titles and rows: Kendall's tau of every two methods.

    Args:
        found: the ranking.
    """
    titles = ("Kendall's tau", *(TITLES[name] for name in METHODS))
    rows = [(TITLES[name], *(f"{tau:.2f}" for tau in row)) for name, row in zip(METHODS, found.tau, strict=True)]
    return titles, rows


def order_sentence(found: TableRanking) -> str:
    """Return how much the ranking hangs on the order of the benchmarks; empty for a single one.

    Args:
        found: the ranking.
    """
    if found.orders is None:
        return ""
    tau = found.orders.tau
    leaders = {int(np.argmin(one)) for one in found.orders.ranks}
    return (
        f"Under {len(tau)} random orders of the benchmarks, Kendall's tau with the given order is {np.mean(tau):.2f} "
        f"({np.min(tau):.2f} to {np.max(tau):.2f}); first is one of {len(leaders)}: "
        f"{', '.join(found.table.models[m] for m in sorted(leaders))}."
    )


def draw_stability(found: TableRanking) -> str:
    """Return as SVG how often each model had each rank, for five ways to rank.

    Args:
        found: the ranking.
    """
    order = _order(found)[:MOST_DRAWN]
    models = len(found.table.models)

    def panels(figure: Figure) -> None:
        axes = np.atleast_1d(figure.subplots(1, len(STABILITY), sharey=True))
        for axis, name in zip(axes, STABILITY, strict=True):
            one = found.of(name)
            axis.imshow(one.shares[order], cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            axis.scatter(one.rank[order] - 1, np.arange(len(order)), s=9, color=ORANGE, zorder=3)
            ticks = np.unique(np.linspace(0, models - 1, min(models, 5)).round().astype(int))
            axis.set_xticks(ticks, [str(tick + 1) for tick in ticks])
            axis.set(title=TITLES[name], xlabel="rank")
        axes[0].set_yticks(np.arange(len(order)), [_short(found.table.models[m]) for m in order])

    return picture(panels, (10.4, 1.4 + 0.2 * len(order)))


def draw_sensitivity(found: TableRanking) -> str:
    """Return as SVG the expected scores over the number that leaves, and who survives how long.

    Args:
        found: the ranking.
    """
    sens = found.sensitivity
    order = _order(found)

    def panels(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for place, m in enumerate(order):
            _curve(left, sens.grid, sens.curves[:, m], place, found.table.models[m])
        left.set(xlabel="models that leave after each round", ylabel="expected win score, points")
        left.set_xticks(sens.grid)
        left.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
        right.axhline(0, color=GREY, linewidth=0.8)
        right.axvline(float(np.median(sens.curves[0])), color=GREY, linewidth=0.8)
        right.scatter(sens.curves[0], sens.slope, s=16, color=BLUE)
        for m in order[:MOST_CURVES]:
            right.annotate(_short(found.table.models[m]), (sens.curves[0, m], sens.slope[m]), fontsize=7)
        right.set(xlabel=f"expected score at T = {sens.grid[0]}", ylabel="points lost or won for one more that leaves")

    return picture(panels, (10.4, 3.8))


def _curve(axis: Axes, grid: tuple[int, ...], curve: Any, place: int, name: str) -> None:
    if place < MOST_CURVES:
        axis.plot(grid, curve, marker=".", linewidth=1.2, label=_short(name))
    else:
        axis.plot(grid, curve, color=GREY, linewidth=0.5, alpha=0.5)


def _orders(found: TableRanking) -> str:
    said = order_sentence(found)
    return f"<h2>Does the order of the benchmarks matter?</h2><p>{escape(said)}</p>" if said else ""


def _missing(found: TableRanking) -> str:
    cells = found.table.missing
    if not cells:
        return ""
    rows = [(model, benchmark) for benchmark, model in cells]
    rule = "lose to all that have one" if found.settings.missing == "loss" else "sit the benchmark out"
    return f"<h2>Missing scores</h2><p>{len(cells)}; they {rule}.</p>" + table(
        ("model", "benchmark"), rows, text_columns=(0, 1)
    )


def _order(found: TableRanking) -> list[int]:
    return [int(m) for m in np.argsort(found.of("swiss").rank)]


def _first(found: TableRanking) -> str:
    return found.table.models[_order(found)[0]]


def _short(name: str) -> str:
    # A dollar sign would start a formula.
    name = name.replace("$", r"\$")
    return name if len(name) <= 24 else name[:23] + "…"
